#!/usr/bin/env bash
# bitsandbytes 0.50.2: what LLM.int8 gives for a row depends on the rows that share its batch.
#
# Linear8bitLt, with its usual threshold of 6, computes the columns in which any row has an outlier without int8. So a
# row without outliers is computed in another way where a neighbour has one: its numbers change by about one percent.
# The same text gives other keys, or another next token, in another batch. With threshold 0 nothing changes.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   threshold 6.0: with a plain neighbour the same, with one that has an outlier not the same
#   threshold 0.0: with a plain neighbour the same, with one that has an outlier the same
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'bitsandbytes==0.50.2' 'torch==2.13.0' 'numpy==2.3.5'
cat > "$folder/check.py" <<'PY'
import torch
from bitsandbytes.nn import Linear8bitLt

torch.manual_seed(0)
weights = torch.nn.Linear(64, 32).state_dict()
row, plain = torch.randn(2, 64).half().clamp(-3, 3)
outlier = plain.clone()
outlier[5] = 20.0
for threshold in (6.0, 0.0):
    layer = Linear8bitLt(64, 32, has_fp16_weights=False, threshold=threshold)
    layer.load_state_dict(weights)
    layer = layer.to("cpu").eval()
    with torch.no_grad():
        alone = layer(row[None])[0]
        same = [torch.equal(alone, layer(torch.stack([row, other]))[0]) for other in (plain, outlier)]
    words = ["the same" if one else "not the same" for one in same]
    print(f"threshold {threshold}: with a plain neighbour {words[0]}, with one that has an outlier {words[1]}")
PY
"$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
threshold 6.0: with a plain neighbour the same, with one that has an outlier not the same
threshold 0.0: with a plain neighbour the same, with one that has an outlier the same
SEEN
