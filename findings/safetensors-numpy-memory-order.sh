#!/usr/bin/env bash
# safetensors 0.8.0 saves NumPy arrays that are not in C order with other values, without a word.
#
# Up to 0.7.0, safetensors.numpy.save copied an array into C order. 0.8.0 writes its memory as it lies, under the
# shape that it has: what is loaded again has the right shape and dtype and the values in another order. A column
# of a matrix comes back as the beginning of the matrix. Nothing warns. It is issue 825 of the project, reported in
# August 2026 and open in November 2026.
#
# Output seen:
#   0.7.0: transposed equal, column equal
#   0.8.0: transposed differs, column differs
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
given = {"transposed": matrix.T, "column": matrix[:, 1]}
loaded = load(save(given))
equal = {name: "equal" if np.array_equal(loaded[name], array) else "differs" for name, array in given.items()}
print(f"{safetensors.__version__}: " + ", ".join(f"{name} {verdict}" for name, verdict in equal.items()))
PY
for version in 0.7.0 0.8.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet "safetensors==$version" 'numpy==2.3.5'
  "$folder/$version/bin/python" "$folder/check.py"
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
0.7.0: transposed equal, column equal
0.8.0: transposed differs, column differs
SEEN
