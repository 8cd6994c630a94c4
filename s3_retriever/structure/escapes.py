"""What escapes of XML and HTML stand for, and tags within what is no markup."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, hash_of
from s3_retriever.structure.kinds import Flags, Points
from s3_retriever.structure.scanning import hash_word
from s3_retriever.structure.tag_names import BITS, NAMES

_ESCAPES = {
    "quot": '"',
    "apos": "'",
    "lt": "<",
    "gt": ">",
    "amp": "&",
    "nbsp": "\xa0",
    "laquo": "«",
    "raquo": "»",
    "ldquo": "“",
    "rdquo": "”",
    "lsquo": "‘",
    "rsquo": "’",
    "mdash": "—",
    "ndash": "–",
    "hellip": "…",
}
_FOUND = dict(sorted((hash_of(name), ord(mark)) for name, mark in _ESCAPES.items()))
_HASHES, _MARKS = np.array([*_FOUND], np.uint64), np.array([*_FOUND.values()], np.uint32)
_LONGEST = 12  # characters of an escape
_TAG = 300  # characters of a tag that is escaped


@njit(cache=True, nogil=True)
def read_escape(points: Points, flags: Flags, at: int, end: int) -> Any:
    """Return what the escape at an offset stands for, what is behind it, and the bits of a name.

    Those of a tag that is escaped itself, which stands for 0. A name that is not known stands for its first
    letter, as in "&eacute;". Where there is no escape, an ampersand.
    """
    stop, limit = at + 1, min(end, at + _LONGEST)
    while stop < limit and points[stop] != 59:
        stop += 1
    if stop >= limit or stop == at + 1:
        return np.uint32(38), at + 1, 0
    if points[at + 1] == 35:
        point = _number(points, at + 2, stop)
        return (point, stop + 1, 0) if point else (np.uint32(38), at + 1, 0)
    if not flags[at + 1] & LETTER:
        return np.uint32(38), at + 1, 0
    name = hash_word(points, at + 1, stop)
    place = np.searchsorted(_HASHES, name)
    if place == len(_HASHES) or _HASHES[place] != name:
        return points[at + 1], stop + 1, 0
    point = _MARKS[place]
    if point != 60:
        return point, stop + 1, 0
    begin = stop + 1 + (points[stop + 1] == 47)
    if not flags[begin] & LETTER:
        return point, stop + 1, 0
    k, limit = begin, min(end - 3, begin + _TAG)
    while k < limit and not (points[k] == 38 and points[k + 2] == 116 and points[k + 3] == 59):
        k += 1
    if k >= limit or points[k + 1] != 103:  # &gt;
        return point, stop + 1, 0
    return np.uint32(0), k + 4, _bits_of(points, flags, begin)


@njit(cache=True, nogil=True)
def skip_markup(points: Points, flags: Flags, at: int, end: int) -> Any:
    """Return 0, what is behind the tag at an offset, and the bits of its name; of what is none, itself."""
    begin = at + 1 + (points[at + 1] == 47)
    if flags[begin] & LETTER:
        for k in range(begin, min(end, begin + _TAG)):
            if points[k] == 62:
                return np.uint32(0), k + 1, _bits_of(points, flags, begin)
            if points[k] == 60:
                break
    return points[at], at + 1, 0


@njit(cache=True, nogil=True)
def _number(points: Points, at: int, stop: int) -> Any:
    """Return the character of a number, which is hexadecimal behind an x; 0 where it is none."""
    base = 16 if points[at] | 32 == 120 else 10
    at += base == 16
    value = 0
    for k in range(at, stop):
        digit = int(points[k]) - 48 if points[k] <= 57 else int(points[k] | 32) - 87
        if not 0 <= digit < base:
            return np.uint32(0)
        value = min(value * base + digit, 0x110000)
    return np.uint32(value if 32 < value < 0x110000 else 0)


@njit(cache=True, nogil=True)
def _bits_of(points: Points, flags: Flags, begin: int) -> Any:
    stop = begin
    while flags[stop] & (LETTER | DIGIT):
        stop += 1
    name = hash_word(points, begin, stop)
    place = np.searchsorted(NAMES, name)
    return BITS[place] if place < len(NAMES) and NAMES[place] == name else 0
