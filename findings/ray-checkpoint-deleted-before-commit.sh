#!/usr/bin/env bash
# Ray Data deletes a job's checkpoint before the Datasink has committed what the job wrote.
#
# Seen with ray 2.60.0 on Python 3.11. With a CheckpointConfig (delete_checkpoint_on_success is the default) the
# checkpoint is deleted when the execution succeeds, which is before Datasink.on_write_complete is called: the place
# where "this can be used to commit a write output". If that fails, or the driver dies there, write_datasink raises,
# nothing was committed, and the next run finds no checkpoint and does all of the work again. A sink that commits has
# to set delete_checkpoint_on_success=False and delete the checkpoint after its commit.
#
# Output seen:
#   rows checkpointed before on_write_complete is called: no checkpoint
#   write_datasink: RuntimeError, the commit failed
#   rows that the second run wrote: 20 of 20
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'ray[data]==2.60.0'
cat > "$folder/check.py" <<'PY'
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import DataContext, Datasink
from ray.data.checkpoint import CheckpointConfig

corpus, checkpoint = (os.path.join(sys.argv[1], name) for name in ("corpus", "checkpoint"))
os.makedirs(corpus)
pq.write_table(pa.table({"id": [f"r{i}" for i in range(20)]}), os.path.join(corpus, "0.parquet"))
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
context = DataContext.get_current()
context.enable_progress_bars = False
context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=checkpoint)


class Sink(Datasink):
    def __init__(self, fails):
        self.fails = fails

    def write(self, blocks, ctx):
        return sum(len(block) for block in map(pa.table, blocks))

    def on_write_complete(self, result):
        self.rows = sum(result.write_returns)
        self.left = os.path.isdir(checkpoint) and bool(os.listdir(checkpoint))
        if self.fails:
            raise RuntimeError("the commit failed")


sinks = Sink(True), Sink(False)
for sink in sinks:
    try:
        ray.data.read_parquet(corpus).write_datasink(sink)
    except Exception as error:
        failed = f"{type(error).__name__}, {error}"
first, second = sinks
print("rows checkpointed before on_write_complete is called:", "some" if first.left else "no checkpoint")
print("write_datasink:", failed)
print("rows that the second run wrote:", second.rows, "of 20")
sys.exit(0 if not first.left and second.rows == 20 else 1)
PY
"$folder/env/bin/python" "$folder/check.py" "$folder" 2>/dev/null
