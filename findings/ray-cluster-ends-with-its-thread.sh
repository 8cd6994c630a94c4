#!/usr/bin/env bash
# On Linux a local Ray cluster ends with the thread that began it, not with its process; Ray still says that it runs.
#
# Seen with ray 2.60.0 on Python 3.11. What ``ray.init()`` starts is asked of the kernel to end with its parent
# (PR_SET_PDEATHSIG), and to the kernel the parent is the thread. So a cluster that is begun in a worker thread, by
# ``ray.init()`` or by the first call that needs one, is gone as soon as the pool of that thread is shut down.
# ``ray.is_initialized()`` is True all the same, and calls of actors go on for a while; the process itself is ended by
# Ray a minute later, from no thread of Python. Whoever loads things in threads has to begin Ray before, in one that stays.
#
# Output seen:
#   begun in the main thread: gcs_server and raylet are there; is_initialized() is True
#   begun in a thread that has ended: neither is there; is_initialized() is True
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'ray==2.60.0'
cat > "$folder/begin.py" <<'PY'
import os
import subprocess
import sys
import threading
import time

import ray


def begin():
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def started():
    """Names of the processes of Ray that this one, or one that it started, has begun and that run."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,stat=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()]
    family = {str(os.getpid())}
    while more := {row[0] for row in rows if row[1] in family} - family:
        family |= more
    names = {row[3].split("/")[-1].strip() for row in rows if row[0] in family and not row[2].startswith("Z")}
    return sorted(names & {"gcs_server", "raylet"})


if sys.argv[1] == "main":
    begin()
else:
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
until = time.monotonic() + 15
while started() and time.monotonic() < until:
    time.sleep(0.5)
print(" and ".join(started()) or "neither", ray.is_initialized(), flush=True)
os._exit(0)  # what was started ends with this process
PY
main=$("$folder/env/bin/python" "$folder/begin.py" main 2>/dev/null)
thread=$("$folder/env/bin/python" "$folder/begin.py" thread 2>/dev/null)
echo "begun in the main thread: ${main% *} are there; is_initialized() is ${main##* }"
echo "begun in a thread that has ended: ${thread% *} is there; is_initialized() is ${thread##* }"
[ "$main" = "gcs_server and raylet True" ] && [ "$thread" = "neither True" ]
