#!/usr/bin/env bash
# Inside a function that Numba compiled, sorted() and list.sort() with a key put items that tie in another order.
#
# Seen with numba 0.68.1 and numpy 2.4.6 on Python 3.11. Python promises that its sort is stable: what compares equal
# keeps its order, with reverse=True too. The same line under @njit runs a quicksort. Numba's documentation says so in a
# note about speed, and says nothing of order; nothing warns. Up to 15 items are sorted by insertion, which is stable, so
# tests with a handful of items pass. A ranking that was sorted by id and is then sorted by score has its ties in another
# order, and a sort by two keys, the minor one first, gives a wrong result. Way out: put what shall decide a tie into the
# key, as (-score, id); or np.argsort(keys, kind="mergesort"), which is stable under @njit as well.
#
# Output seen:
#   15 items: sorted as by Python, reversed as by Python
#   16 items: sorted not as by Python, reversed not as by Python
#   100 items: sorted not as by Python, reversed not as by Python
#   100 items by (key, place): as by Python
#   100 items by np.argsort, mergesort: as by Python
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'numba==0.68.1' 'numpy==2.4.6'
cat > "$folder/run.py" <<'PY'
import numpy as np
from numba import njit


def up(size):
    """Sort numbers by thirds: three of them tie in each."""
    return sorted([(i * 7) % size for i in range(size)], key=lambda number: number // 3)


def down(size):
    return sorted([(i * 7) % size for i in range(size)], key=lambda number: number // 3, reverse=True)


def by_both(size):
    pairs = [((i * 7) % size // 3, i) for i in range(size)]
    return [place for _, place in sorted(pairs, key=lambda pair: (pair[0], pair[1]))]


def by_array(keys):
    return np.argsort(keys, kind="mergesort")


def compare(function, *values):
    return "as by Python" if list(njit(function)(*values)) == list(function(*values)) else "not as by Python"


for size in (15, 16, 100):
    print(f"{size} items: sorted {compare(up, size)}, reversed {compare(down, size)}")
print(f"100 items by (key, place): {compare(by_both, 100)}")
keys = np.arange(100) * 7 % 100 // 3
stable = np.array(sorted(range(100), key=lambda place: keys[place]))
same = np.array_equal(njit(by_array)(keys), stable)
print(f"100 items by np.argsort, mergesort: {'' if same else 'not '}as by Python")
PY
seen=$("$folder/venv/bin/python" -W ignore "$folder/run.py")
echo "$seen"
expected='15 items: sorted as by Python, reversed as by Python
16 items: sorted not as by Python, reversed not as by Python
100 items: sorted not as by Python, reversed not as by Python
100 items by (key, place): as by Python
100 items by np.argsort, mergesort: as by Python'
[ "$seen" = "$expected" ]
