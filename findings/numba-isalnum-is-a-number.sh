#!/usr/bin/env bash
# Inside a function that Numba compiled, "A".isalpha() is 2 and "7".isalnum() is 4, not True.
#
# Seen with numba 0.68.1 and numpy 2.4.6 on Python 3.11. For a text of one ASCII character, str.isalpha and str.isalnum give
# the bits of a table of characters: 1 for a small letter, 2 for a capital, 4 for a digit. Longer texts and all other
# characters give True. The other ten methods of this kind give True for one character, too. `if c.isalnum():` works. What
# counts, sums or compares does not, and nothing warns: a share of letters is more than 1, and a tokenizer that begins a
# word where c.isalnum() is not that of the character before cuts "Lamp" into "L" and "amp", and "BM25" into "BM" and "25".
# One loop over characters is how text is read in such functions. Way out: bool(c.isalnum()).
#
# Output seen:
#   letters of 'LAMP of 1984', of 12 characters: Python 6, Numba 10
#   letters and digits: Python 10, Numba 26
#   words by a change of isalnum: Python ['Lamp', 'BM25'], Numba ['L', 'amp', 'BM', '25']
#   the same with bool(): Numba ['Lamp', 'BM25']
#   'A'.isalpha() == True: Python True, Numba False
#   methods that give more than 1 for a character: isalpha, isalnum
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'numba==0.68.1' 'numpy==2.4.6'
cat > "$folder/run.py" <<'PY'
from numba import njit

NAMES = """isalpha isalnum isascii isdecimal isdigit isidentifier
    islower isnumeric isprintable isspace istitle isupper""".split()


def letters(text):
    count = 0
    for c in text:
        count += c.isalpha()
    return count


def letters_and_digits(text):
    count = 0
    for c in text:
        count += c.isalnum()
    return count


def words(text):
    """Cut a text where isalnum changes, and leave out what is not of letters or digits."""
    found, begin = [""], 0
    for i in range(1, len(text) + 1):
        if i == len(text) or text[i].isalnum() != text[i - 1].isalnum():
            if text[begin].isalnum():
                found.append(text[begin:i])
            begin = i
    return found[1:]


def words_of_bool(text):
    found, begin = [""], 0
    for i in range(1, len(text) + 1):
        if i == len(text) or bool(text[i].isalnum()) != bool(text[i - 1].isalnum()):
            if text[begin].isalnum():
                found.append(text[begin:i])
            begin = i
    return found[1:]


def is_true(text):
    return text.isalpha() == True  # noqa: E712


TEXT = "LAMP of 1984"
print(f"letters of {TEXT!r}, of {len(TEXT)} characters: Python {letters(TEXT)}, Numba {njit(letters)(TEXT)}")
print(f"letters and digits: Python {letters_and_digits(TEXT)}, Numba {njit(letters_and_digits)(TEXT)}")
print(f"words by a change of isalnum: Python {words('Lamp BM25')}, Numba {list(njit(words)('Lamp BM25'))}")
print(f"the same with bool(): Numba {list(njit(words_of_bool)('Lamp BM25'))}")
print(f"'A'.isalpha() == True: Python {is_true('A')}, Numba {njit(is_true)('A')}")
odd = []
for name in NAMES:
    asks = njit(eval(f"lambda text: text.{name}() + 0"))
    if any(asks(chr(code)) > 1 for code in range(1, 0x250)):
        odd.append(name)
print(f"methods that give more than 1 for a character: {', '.join(odd)}")
PY
seen=$("$folder/venv/bin/python" -W ignore "$folder/run.py")
echo "$seen"
expected="letters of 'LAMP of 1984', of 12 characters: Python 6, Numba 10
letters and digits: Python 10, Numba 26
words by a change of isalnum: Python ['Lamp', 'BM25'], Numba ['L', 'amp', 'BM', '25']
the same with bool(): Numba ['Lamp', 'BM25']
'A'.isalpha() == True: Python True, Numba False
methods that give more than 1 for a character: isalpha, isalnum"
[ "$seen" = "$expected" ]
