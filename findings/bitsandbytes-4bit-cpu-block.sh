#!/usr/bin/env bash
# bitsandbytes 0.50.2 on a CPU: a 4-bit layer whose input is not a multiple of 64 ends with a RuntimeError.
#
# Seen where the CPU has AVX512-BF16. There Linear4bit packs its weights anew at the first pass in eval mode, and takes
# one scale per row and block of 64 inputs; the quantisation itself lets blocks run over the ends of rows. With 96
# inputs the numbers of scales differ. In train mode, which does not pack, the same layer works.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   64 inputs: eval works, train works
#   96 inputs: eval RuntimeError: shape '[32, 1]' is invalid for input of size 48, train works
#   128 inputs: eval works, train works
#
# Exit status 0: it is still so. 1: it has changed, or the CPU has no AVX512-BF16.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'bitsandbytes==0.50.2' 'torch==2.13.0' 'numpy==2.3.5'
cat > "$folder/check.py" <<'PY'
import torch
from bitsandbytes.nn import Linear4bit


def outcome(n_inputs: int, train: bool) -> str:
    layer = Linear4bit(n_inputs, 32, quant_type="nf4", compute_dtype=torch.float32)
    layer.load_state_dict(torch.nn.Linear(n_inputs, 32).state_dict())
    layer = layer.to("cpu").train(train)
    try:
        with torch.no_grad():
            layer(torch.ones(1, n_inputs))
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"
    return "works"


for n_inputs in (64, 96, 128):
    print(f"{n_inputs} inputs: eval {outcome(n_inputs, False)}, train {outcome(n_inputs, True)}")
PY
"$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
64 inputs: eval works, train works
96 inputs: eval RuntimeError: shape '[32, 1]' is invalid for input of size 48, train works
128 inputs: eval works, train works
SEEN
