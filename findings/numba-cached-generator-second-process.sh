#!/usr/bin/env bash
# A Numba generator with cache=True works in the process that compiles it and in no later one.
#
# Seen with numba 0.68.1 on Python 3.11. A generator compiled with @njit(cache=True) is loaded from the cache by the
# next process. A function that iterates over it and is compiled there then ends with a KeyError that names the
# generator's type. The first run of a program is fine, every later one fails until the cache is deleted.
# Plain functions with cache=True do not do this.
#
# Output seen:
#   process 1: 6
#   process 2: KeyError
#   process 3: KeyError
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'numba==0.68.1' 'numpy==2.3.5'
cat > "$folder/running.py" <<'PY'
from numba import njit


@njit(cache=True)
def sums(numbers):
    total = 0
    for number in numbers:
        total += number
        yield total
PY
cat > "$folder/check.py" <<'PY'
import sys

import numpy as np
from numba import njit
from running import sums


@njit
def last(numbers):
    found = 0
    for found_now in sums(numbers):
        found = found_now
    return found


try:
    outcome = last(np.array([1, 2, 3]))
except Exception as error:
    outcome = type(error).__name__
print(f"process {sys.argv[1]}: {outcome}")
PY
for process in 1 2 3; do "$folder/env/bin/python" "$folder/check.py" "$process"; done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
process 1: 6
process 2: KeyError
process 3: KeyError
SEEN
