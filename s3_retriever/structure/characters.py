"""What each character is to the structure of a text: a table of bits, by code point."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt

LETTER, UPPER, LOWER, DIGIT, SPACE, STOP, WIDE, CLOSER, BREAK, SPACED, TOP = (1 << bit for bit in range(11))
"""Bits of a character: a letter or mark; of upper and of lower case; a digit; white space; ends a sentence if
a gap follows; ends a sentence in any case; closes a quotation or bracket; ends a line; of a script that puts
spaces between phrases instead of stops; begins a page, which no table tells."""

_SIZE = 0x20000
"""Code points that the table holds; those above are taken for letters, which nearly all of them are."""

# Sentence_Terminal of Unicode, without the full stop of ASCII. What is written without a space after it is
# WIDE: the stops of Han, kana, Khmer, Myanmar, Ethiopic and Tibetan, and those that are inside no word.
_STOPS = (
    ".!?…\u037e\u203c\u203d\u2047-\u2049\u2e2e\u061d-\u061f\u0700-\u0702\u07f9\u1803\u1809"
    "\u1944\u1945\ufe52\ufe56\ufe57\uff0e"
)
_WIDES = (
    "。！？｡\u0589\u06d4\u0964\u0965\u104b\u1362\u1367\u1368\u17d4\u17d5\u0f0d\u0f0e\u1c3b\u1c3c\u1c7e\u1c7f"
    "\u166e\u1735\u1736\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d-\uaa5f"
    "\uaaf0\uaaf1\uabeb\u1aa8-\u1aab\u1b5a\u1b5b\u1b5e\u1b5f"
)
# Marks that are part of the character before them stay with a stop, as closers do.
_CLOSERS = "\u0300-\u036f\u200c\u200d\u20d0-\u20f0\ufe00-\ufe0f\"'”’»)\\]」』）】〉》〕｣›"
_BREAKS = "\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
_PHRASED = "\u0e00-\u0eff\u0f00-\u0fff"  # Thai, Lao, Tibetan

_EXPRESSIONS = (
    (
        LETTER,
        r"[^\W\d_]|[\u0300-\u036f\u0900-\u0963\u0971-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u102b-\u103e\u17b4-\u17d3]",
    ),
    (DIGIT, r"\d"),
    (SPACE, r"\s"),
    (STOP, f"[{_STOPS}]"),
    (WIDE, f"[{_WIDES}]"),
    (CLOSER, f"[{_CLOSERS}]"),
    (BREAK, f"[{_BREAKS}]"),
    (SPACED, f"[{_PHRASED}]"),
)


@cache
def character_table() -> npt.NDArray[np.uint16]:
    """Return the bits of each character, uint16 (131072,); read-only."""
    table = np.zeros(_SIZE, np.uint16)
    every = "".join(map(chr, range(_SIZE)))
    for bit, expression in _EXPRESSIONS:
        for match in re.finditer(f"(?:{expression})+", every):
            table[match.start() : match.end()] |= np.uint16(bit)
    for bit, tells in ((UPPER, str.isupper), (LOWER, str.islower)):
        table[np.fromiter(map(tells, every), np.bool_, _SIZE)] |= np.uint16(bit)
    table[-1] = LETTER  # stands for all above
    table[0xFEFF] |= SPACE  # a byte order mark that was left at the beginning of a text
    table.flags.writeable = False
    return table


PADDING = 4
"""Zeros behind a text's characters, so that kernels can look past its end."""


def characters(text: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
    """Return a text's characters as numbers, and the bits of each; both with zeros behind them.

    Returns:
        uint32 and uint16 (n + PADDING,); lone surrogates are numbers like others.
    """
    points = np.zeros(len(text) + PADDING, np.uint32)
    points[: len(text)] = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return points, flags_of(points, len(text))


def flags_of(points: npt.NDArray[np.uint32], n: int) -> npt.NDArray[np.uint16]:
    """Return the bits of each of the first ``n`` characters, uint16; 0 for what is behind them."""
    flags: npt.NDArray[np.uint16] = character_table()[np.minimum(points, _SIZE - 1)]
    flags[n:] = 0
    return flags


def hash_of(word: str) -> int:
    """Return the hash of a word in lower case as kernels compute it (FNV-1a over code points, 64 bits)."""
    value = 0xCBF29CE484222325
    for character in word.lower():
        value = ((value ^ ord(character)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def hashes(words: str) -> npt.NDArray[np.uint64]:
    """Return the hashes of words with spaces between, ascending, for kernels to search in."""
    return np.sort(np.array([hash_of(word) for word in words.split()], np.uint64))
