#!/usr/bin/env bash
# Inside a function that Numba compiled, text.split(None, n) throws away all that comes after the n-th word.
#
# Seen with numba 0.68.1 and numpy 2.4.6 on Python 3.11. Python's str.split takes a most number of cuts; what is left of
# the text is the last item, uncut. Under @njit with white space as the separator (None, or only maxsplit given) the rest
# is missing: "d1 0.5 a title" split once is ['d1'], not ['d1', '0.5 a title']. Split with 0, it is cut everywhere, as with
# -1, not nowhere. No error, no warning. With a separator given the rest is there, and rsplit keeps it.
# A reader of lines such as qrels, run files or "id text" loses the text. Way out: split(" ", n), or split outside.
#
# Output seen:
#   Python split(None, 1): ['d1', '0.5 a title']
#   Numba split(None, 1): ['d1']
#   Python split(None, 2): ['d1', '0.5', 'a title']
#   Numba split(None, 2): ['d1', '0.5']
#   Python split(None, 0): ['d1 0.5 a title']
#   Numba split(None, 0): ['d1', '0.5', 'a', 'title']
#   Numba split(" ", 1): ['d1', '0.5 a title']
#   Numba rsplit(None, 1): ['d1 0.5 a', 'title']
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'numba==0.68.1' 'numpy==2.4.6'
cat > "$folder/run.py" <<'PY'
from numba import njit

LINE = "d1 0.5 a title"


def by_space(text, most):
    return text.split(None, most)


def by_sign(text, most):
    return text.split(" ", most)


def from_right(text, most):
    return text.rsplit(None, most)


compiled = njit(by_space)
for most in (1, 2, 0):
    print(f"Python split(None, {most}): {by_space(LINE, most)}")
    print(f"Numba split(None, {most}): {list(compiled(LINE, most))}")
print(f'Numba split(" ", 1): {list(njit(by_sign)(LINE, 1))}')
print(f"Numba rsplit(None, 1): {list(njit(from_right)(LINE, 1))}")
PY
seen=$("$folder/venv/bin/python" -W ignore "$folder/run.py")
echo "$seen"
expected="Python split(None, 1): ['d1', '0.5 a title']
Numba split(None, 1): ['d1']
Python split(None, 2): ['d1', '0.5', 'a title']
Numba split(None, 2): ['d1', '0.5']
Python split(None, 0): ['d1 0.5 a title']
Numba split(None, 0): ['d1', '0.5', 'a', 'title']
Numba split(\" \", 1): ['d1', '0.5 a title']
Numba rsplit(None, 1): ['d1 0.5 a', 'title']"
[ "$seen" = "$expected" ]
