#!/usr/bin/env bash
# A run of Ray Data that is killed while it writes a checkpoint cannot be resumed from it.
#
# Seen with ray 2.60.0 and pyarrow 26.0.1 on Python 3.11. For a Datasink that writes no files, Ray writes each checkpoint
# file in place, under the name that later runs read. What a kill leaves of it has no Parquet footer. Every later run
# lists it, fails with pyarrow's error, which names no file, and writes nothing, although the rest of the checkpoint is
# good. (Datasinks that write files have two steps, a pending file and a rename.) Whoever resumes jobs has to delete
# the files without a footer first; their rows are written again, as after any kill between a write and its checkpoint.
#
# Here a run of 6,000,000 rows is killed as soon as a checkpoint file is there, and run again twice.
#
# Output seen (the sizes differ):
#   killed while it wrote a checkpoint file: without a footer, 4 bytes or more
#   second run: ArrowInvalid without a name
#   third run, without that file: 6000000 rows written
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'ray[data]==2.60.0' 'pyarrow==26.0.1'
cat > "$folder/job.py" <<'PY'
import sys

import pyarrow as pa
import ray
from ray.data import DataContext, Datasink
from ray.data.checkpoint import CheckpointConfig

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
context = DataContext.get_current()
context.enable_progress_bars = False
context.target_max_block_size = 1 << 30
context.checkpoint_config = CheckpointConfig(
    id_column="id", checkpoint_path=sys.argv[1], delete_checkpoint_on_success=False
)


class Sink(Datasink):
    def write(self, blocks, ctx):
        return sum(len(block) for block in map(pa.table, blocks))

    def on_write_complete(self, result):
        print(sum(result.write_returns), "rows written", flush=True)


try:
    ray.data.range(6_000_000, override_num_blocks=1).write_datasink(Sink())
except Exception as error:
    print(type(error).__name__, "with" if ".parquet" in str(error) else "without", "a name", flush=True)
PY
cat > "$folder/check.py" <<'PY'
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
checkpoint = os.path.join(folder, "checkpoint")


def start():
    return subprocess.Popen(
        [sys.executable, os.path.join(folder, "job.py"), checkpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def end(process):
    """Kill a run and all that it started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, listed.splitlines())}
    family = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def torn():
    names = [os.path.join(checkpoint, name) for name in os.listdir(checkpoint)] if os.path.isdir(checkpoint) else []
    found = []
    for name in names:
        try:
            pq.read_metadata(name)
        except pa.ArrowInvalid:
            found.append(name)
    return found


for _ in range(20):  # a kill may come too late
    shutil.rmtree(checkpoint, ignore_errors=True)
    run = start()
    until = time.monotonic() + 120
    while not (os.path.isdir(checkpoint) and os.listdir(checkpoint)) and time.monotonic() < until:
        time.sleep(0.0005)
    end(run)
    if torn():
        break
files = torn()
print("killed while it wrote a checkpoint file:", "without a footer," if files else "complete,",
      "4 bytes or more" if files and os.path.getsize(files[0]) >= 4 else "empty")
second = start().communicate()[0].split("\n")[0]
print("second run:", second)
for name in files:
    os.remove(name)
third = start().communicate()[0].split("\n")[0]
print("third run, without that file:", third)
sys.exit(0 if files and second == "ArrowInvalid without a name" and third == "6000000 rows written" else 1)
PY
"$folder/env/bin/python" "$folder/check.py" "$folder"
