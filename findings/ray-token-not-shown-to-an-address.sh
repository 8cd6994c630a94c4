#!/usr/bin/env bash
# Ray asks for a token where its user has one, and then does not show it to a cluster that is named by its address.
#
# Seen with ray 2.60.0 on Python 3.11. The first ``ray.init()`` that begins a cluster of its own writes a token into
# ~/.ray. From then on each cluster that the same user begins by ``ray start`` asks for it. ``ray.init("host:port")``
# does not show it, tries for some 20 seconds, and raises a ConnectionError that does not speak of tokens. With
# RAY_AUTH_MODE=token the same call connects. A user who never began a cluster by ``ray.init()`` is asked for nothing.
#
# Here with a home folder of its own.
#
# Output seen (addresses differ):
#   before a ray.init(): connected
#   after a ray.init(): ConnectionError Failed to connect to Ray cluster at 192.0.2.2:6391
#   after a ray.init(), RAY_AUTH_MODE=token: connected
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
export RAY_TMPDIR=/tmp/ray-finding-$$
stop() {
    pkill -f "$RAY_TMPDIR" || true
    sleep 3
    pkill -KILL -f "$RAY_TMPDIR" || true  # gcs_server stays otherwise
}
trap 'stop; rm -rf "$folder" "$RAY_TMPDIR"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'ray[default]==2.60.0'
mkdir "$folder/home" "$RAY_TMPDIR"
export HOME=$folder/home
unset RAY_ADDRESS RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH
cat > "$folder/connect.py" <<'PY'
import sys

import ray

try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level="CRITICAL")
    print("connected")
except ConnectionError as error:
    print(type(error).__name__, error)
PY
start() {
    "$folder/env/bin/ray" start --head --num-cpus 1 --port "$1" --include-dashboard=false \
        --temp-dir "$RAY_TMPDIR" > "$folder/log" 2>&1
}
connect() {
    timeout 100 "$folder/env/bin/python" "$folder/connect.py" "127.0.0.1:$1" 2> "$folder/log" | tail -1
}
start 6390
one=$(connect 6390)
stop
"$folder/env/bin/python" -c 'import ray; ray.init("local", num_cpus=1, include_dashboard=False); ray.shutdown()' \
    > "$folder/log" 2>&1
start 6391
two=$(connect 6391)
three=$(RAY_AUTH_MODE=token connect 6391)
echo "before a ray.init(): $one"
echo "after a ray.init(): $two"
echo "after a ray.init(), RAY_AUTH_MODE=token: $three"
[ "$one $three" = "connected connected" ]
[[ "$two" == ConnectionError* && "$two" != *oken* ]]
