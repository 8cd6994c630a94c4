#!/usr/bin/env bash
# Recurrent Gemma in transformers 4.56.2 remembers one pass in the next, with use_cache=False too.
#
# Its recurrent layers keep their state in the module. A pass of one token does not begin anew but continues from it. So
# the same token gives other hidden states the second time, and after a pass over two rows a pass over three fails.
# transformers 5.24.0 has the state in the cache, and both work.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   4.56.2: the same token twice: not the same; two rows, then three: RuntimeError
#   5.24.0: the same token twice: the same; two rows, then three: works
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import torch
import transformers
from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

torch.manual_seed(0)
config = RecurrentGemmaConfig(
    vocab_size=100,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=1,
    lru_width=32,
)
model = RecurrentGemmaForCausalLM(config).eval()


def pass_over(rows: int) -> torch.Tensor:
    ids = torch.full((rows, 1), 7)
    position_ids = torch.full((rows, 1), 3)
    with torch.no_grad():
        return model(input_ids=ids, position_ids=position_ids, use_cache=False).logits


same = torch.equal(pass_over(2), pass_over(2))
try:
    pass_over(3)
    after = "works"
except RuntimeError as error:
    after = type(error).__name__
print(
    f"{transformers.__version__}: the same token twice: {'the same' if same else 'not the same'}; "
    f"two rows, then three: {after}"
)
PY
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'torch==2.13.0' 'numpy==2.3.5'
for version in 4.56.2 5.24.0; do
  "$folder/env/bin/python" -m pip install --quiet "transformers==$version"
  "$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" || tail -2 "$folder/errors" >&2
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
4.56.2: the same token twice: not the same; two rows, then three: RuntimeError
5.24.0: the same token twice: the same; two rows, then three: works
SEEN
