#!/usr/bin/env bash
# Ray Serve does not change when an application was last deployed, where serve.run replaces it.
#
# Seen with ray 2.60.0 on Python 3.11. serve.run with the name of an application that runs replaces its code and its
# deployments. `last_deployed_time_s` of serve.status(), documented as the time at which the application was deployed,
# stays that of the first one, so it does not tell whether an application is still the one that one deployed oneself.
# The names of its deployments do.
#
# Output seen:
#   deployments: First, then Second
#   last_deployed_time_s: the same, though some 2 seconds lie between
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'ray[serve]==2.60.0'
cat > "$folder/replace.py" <<'PY'
import logging
import sys
import time

import ray
from ray import serve


@serve.deployment
class First:
    def __call__(self):
        return "first"


@serve.deployment
class Second:
    def __call__(self):
        return "second"


ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
logging.getLogger("ray.serve").setLevel(logging.ERROR)
seen = []
for one in (First, Second):
    before = time.time()
    serve.run(one.bind(), name="application")
    status = serve.status().applications["application"]
    seen.append((list(status.deployments), status.last_deployed_time_s, before))
    time.sleep(2)
(first, then, _), (second, now, asked) = seen
serve.shutdown()
print(f"deployments: {first[0]}, then {second[0]}")
if (first, second) != (["First"], ["Second"]):
    sys.exit("the application was not replaced as before")
if now != then or now > asked - 2:
    sys.exit(f"last_deployed_time_s went from {then} to {now}")
print("last_deployed_time_s: the same, though some 2 seconds lie between")
PY
"$folder/env/bin/python" "$folder/replace.py"
