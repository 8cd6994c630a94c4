#!/usr/bin/env bash
# transformers 4.56.2 reads a model that 5.24.0 saved with another base of its rotary embedding, without a word.
#
# Version 5 writes the base into `rope_parameters` of config.json. Version 4 looks for `rope_theta`, does not find it, and
# takes its default of 10,000; it keeps `rope_parameters` as a setting that nobody reads. The model loads, and gives other
# hidden states from the second token on.
#
# Our hosts are refused there (`UnsupportedHostError`), or read by code of ours that knows both names.
#
# Output seen:
#   saved by 5.24.0: rope_theta in config.json: False; rope_parameters: {'rope_theta': 100000.0, 'rope_type': 'default'}
#   read by 5.24.0: 100000.0
#   read by 4.56.2: 10000.0, warnings: 0
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/save.py" <<'PY'
import json
import sys
from pathlib import Path

import transformers
from transformers import LlamaConfig

rope = {"rope_theta": 100_000.0, "rope_type": "default"}
LlamaConfig(hidden_size=64, num_hidden_layers=2, rope_parameters=rope).save_pretrained(sys.argv[1])
saved = json.loads((Path(sys.argv[1]) / "config.json").read_text())
print(
    f"saved by {transformers.__version__}: rope_theta in config.json: {'rope_theta' in saved}; "
    f"rope_parameters: {dict(sorted(saved['rope_parameters'].items()))}"
)
print(f"read by {transformers.__version__}: {LlamaConfig.from_pretrained(sys.argv[1]).rope_parameters['rope_theta']}")
PY
cat > "$folder/read.py" <<'PY'
import sys
import warnings

import transformers
from transformers import AutoConfig

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    config = AutoConfig.from_pretrained(sys.argv[1])
print(f"read by {transformers.__version__}: {config.rope_theta}, warnings: {len(caught)}")
PY
for version in 5.24.0 4.56.2; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet "transformers==$version"
done
{
  "$folder/5.24.0/bin/python" "$folder/save.py" "$folder/model" 2> "$folder/errors" || tail -2 "$folder/errors" >&2
  "$folder/4.56.2/bin/python" "$folder/read.py" "$folder/model" 2>> "$folder/errors" || tail -2 "$folder/errors" >&2
} | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
saved by 5.24.0: rope_theta in config.json: False; rope_parameters: {'rope_theta': 100000.0, 'rope_type': 'default'}
read by 5.24.0: 100000.0
read by 4.56.2: 10000.0, warnings: 0
SEEN
