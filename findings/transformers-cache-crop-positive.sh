#!/usr/bin/env bash
# DynamicCache.crop of transformers 5.24.0 refuses a positive length, which 4.56 took.
#
# crop(n) kept the first n tokens, and crop(-n) removed the last n. With 5.24.0 only the negative form is left: code
# that cuts a cache back to a prompt of known length ends with a ValueError. crop(n - cache.get_seq_length()) works on
# both, where something is to be removed.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   4.56.0: crop(3) of 5 tokens leaves 3, crop(-2) leaves 3
#   5.24.0: crop(3) of 5 tokens: ValueError, crop(-2) leaves 3
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import torch
import transformers
from transformers import DynamicCache


def cropped(to: int) -> str:
    cache = DynamicCache()
    cache.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4), 0)
    try:
        cache.crop(to)
    except ValueError as error:
        return f": {type(error).__name__}"
    return f" leaves {cache.get_seq_length()}"


print(f"{transformers.__version__}: crop(3) of 5 tokens{cropped(3)}, crop(-2){cropped(-2)}")
PY
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'torch==2.13.0' 'numpy==2.3.5'
for version in 4.56.0 5.24.0; do
  "$folder/env/bin/python" -m pip install --quiet "transformers==$version"
  "$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors"
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
4.56.0: crop(3) of 5 tokens leaves 3, crop(-2) leaves 3
5.24.0: crop(3) of 5 tokens: ValueError, crop(-2) leaves 3
SEEN
