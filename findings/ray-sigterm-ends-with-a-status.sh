#!/usr/bin/env bash
# Ray 2.60.0 lets SIGTERM end a driver with an exit status, another one in ray.get than elsewhere, not by the signal.
#
# A Python process that nothing catches SIGTERM in ends by that signal: a shell says 143, a supervisor "killed by
# SIGTERM". ray.init() puts a handler of its own in its place. From then on the same process exits with status
# 15, and with status 1 while it waits in ray.get(). So a service manager sees a failure where it asked for the end, and
# code cannot tell the two apart from an exit(15) or exit(1) of the program.
#
# Output seen (the last line of each; before it Ray prints a stack to standard error):
#   without Ray: -15
#   after ray.init(): 15
#   in ray.get(): 1
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/driver.py" <<'PY'
import os
import signal
import sys
import threading
import time

if sys.argv[1] != "without Ray":
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
if sys.argv[1] == "in ray.get()":

    @ray.remote
    def wait():
        time.sleep(60)

    threading.Timer(3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    ray.get(wait.remote())
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)
PY
cat > "$folder/check.py" <<'PY'
import pathlib
import subprocess
import sys

driver = str(pathlib.Path(__file__).with_name("driver.py"))
for where in ("without Ray", "after ray.init()", "in ray.get()"):
    ended = subprocess.run([sys.executable, driver, where], stderr=subprocess.DEVNULL, timeout=120)
    print(f"{where}: {ended.returncode}")
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'ray==2.60.0'
"$folder/venv/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
without Ray: -15
after ray.init(): 15
in ray.get(): 1
SEEN
