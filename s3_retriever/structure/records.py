"""Records of lines ``name: value`` with blank lines between, as tables become when their files are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, SPACE
from s3_retriever.structure.kinds import DATA, JOINED, Bytes, Flags, Hashes, Points, Starts
from s3_retriever.structure.lines import END, FIRST, INDENT, LAST, Lines
from s3_retriever.structure.scanning import hash_word
from s3_retriever.structure.sentences import cut_sentences

_NAME = 80  # characters of the longest name
_COMPARED = 16  # lines of a record whose names are compared with those of the next one
_WHOLE = 800  # characters of the longest record that is one unit, which fits small budgets


@njit(cache=True, nogil=True)
def _name(points: Points, flags: Flags, lines: Lines, i: int) -> Any:
    """Return the hash of the name before a colon and a gap that begins a line; 0 where there is none."""
    first, last = lines[i, FIRST], lines[i, LAST]
    if lines[i, INDENT] or not (flags[first] & (LETTER | DIGIT) or points[first] == 95):
        return np.uint64(0)
    for at in range(first + 1, min(last, first + _NAME)):
        if points[at] == 58 and (at + 1 == last or flags[at + 1] & SPACE):
            return hash_word(points, first, at)
    return np.uint64(0)


@njit(cache=True, nogil=True)
def _are_alike(one: Hashes, other: Hashes) -> Any:
    """Tell whether two paragraphs have two names or more in common, half of one's, and none twice."""
    one, other = one[:_COMPARED], other[:_COMPARED]
    if not (one[0] and other[0]):
        return False
    shared = 0
    for names in (one, other):
        for i in range(len(names)):
            for k in range(i):
                if names[i] and names[i] == names[k]:
                    return False
    for i in range(len(one)):
        for k in range(len(other)):
            shared += one[i] != 0 and one[i] == other[k]
    return shared >= 2 and 2 * shared >= min(np.count_nonzero(one), np.count_nonzero(other))


@njit(cache=True, nogil=True)
def mark_records(points: Points, flags: Flags, lines: Lines, kinds: Bytes) -> None:
    """Mark paragraphs as data that have names in common with the paragraph before or after them."""
    n = len(lines)
    names = np.zeros(n, np.uint64)
    before = end = at = 0
    while at < n:
        if lines[at, FIRST] == lines[at, END] or kinds[at]:
            at += 1
            continue
        begin = at
        while at < n and lines[at, FIRST] < lines[at, END] and not kinds[at]:
            names[at] = _name(points, flags, lines, at)
            at += 1
        if end and _are_alike(names[before:end], names[begin:at]):
            kinds[before:end] = kinds[begin:at] = DATA | JOINED
            kinds[before] = kinds[begin] = DATA
        before, end = begin, at


@njit(cache=True, nogil=True)
def cut_record(
    points: Points,
    flags: Flags,
    lines: Lines,
    words: tuple[Hashes, ...],
    starts: Starts,
    out_kinds: Bytes,
    out_levels: Bytes,
    found: int,
) -> Any:
    """Write where the units of a record begin; return how many units there are now.

    A long one is cut at its lines, which are of level 1, and in them at sentences, which are of level 2.
    """
    begin, n = 0, len(lines)
    is_long = lines[n - 1, LAST] - lines[0, FIRST] > _WHOLE
    for k in range(1, n + 1) if is_long else range(n, n):
        if k < n and not _name(points, flags, lines, k):
            continue
        first = found
        found = cut_sentences(points, flags, lines[begin:k], words, starts, found)
        out_kinds[first:found], out_levels[first:found] = DATA, 2
        if k < n:
            starts[found], out_kinds[found], out_levels[found] = lines[k, FIRST], DATA, 1
            found += 1
        begin = k
    return found
