#!/usr/bin/env bash
# A large array is given huge pages by NumPy, and not by a function that Numba compiled from the same line.
#
# Seen with numba 0.68.1 and numpy 2.4.6 on Python 3.11, Linux with transparent huge pages on "madvise" (Debian's and
# Ubuntu's default). NumPy asks the kernel for huge pages for arrays of 4 MB and more (MADV_HUGEPAGE, the flag "hg" in
# /proc/self/smaps). Numba's own allocator does not. So writing 128 MB for the first time took 6 ms in an array of
# NumPy and 41 ms in one of Numba, with 575 and 32,768 page faults (AMD EPYC): kernels get a large result from outside.
#
# Output seen:
#   np.empty, 64 MB: huge pages wanted
#   np.empty in a compiled function, 64 MB: not wanted
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'numba==0.68.1' 'numpy==2.4.6'
cat > "$folder/run.py" <<'PY'
import numba
import numpy as np

SIZE = 16 << 20


def made():
    return np.empty(SIZE, np.float32)


def is_wanted(array):
    """Tell whether the memory in the middle of an array is marked for huge pages."""
    place, inside = array.ctypes.data + array.nbytes // 2, False
    with open("/proc/self/smaps") as lines:
        for line in lines:
            first = line.split()[0]
            if "-" in first and not first.endswith(":"):
                begin, end = (int(part, 16) for part in first.split("-"))
                inside = begin <= place < end
            elif inside and first == "VmFlags:":
                return "hg" in line.split()
    raise AssertionError


plain, compiled = made(), numba.njit(made)()
found = [is_wanted(plain), is_wanted(compiled)]
for name, wanted in zip(("np.empty", "np.empty in a compiled function"), found):
    print(f"{name}, {SIZE >> 18} MB: {'huge pages wanted' if wanted else 'not wanted'}")
raise SystemExit(found != [True, False])
PY
"$folder/venv/bin/python" "$folder/run.py"
