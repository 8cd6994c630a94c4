"""Whether the lines of a paragraph are filled to one width, as wrapped text is, or are one thing each."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LOWER, SPACE, STOP
from s3_retriever.structure.kinds import Flags, Points
from s3_retriever.structure.lines import FIRST, INDENT, LAST, WORDS, Lines
from s3_retriever.structure.scanning import marker_end

DOUBLE = 0x2E80
"""The first character of those of Han and the like, which are as wide as two."""

_SLACK = 8  # columns that a filled line may be shorter or longer than the usual one, at least


@njit(cache=True, nogil=True)
def columns(points: Points, lines: Lines, i: int) -> Any:
    """Return how wide a line is, without the white space at its ends."""
    width = lines[i, LAST] - lines[i, FIRST]
    for at in range(lines[i, FIRST], lines[i, LAST]):
        width += points[at] >= DOUBLE
    return width


@njit(cache=True, nogil=True)
def _first_word(points: Points, flags: Flags, lines: Lines, i: int) -> Any:
    """Return a hash of the first word of a line in which all numbers look alike."""
    value, number = np.uint64(0xCBF29CE484222325), False
    for at in range(lines[i, FIRST], lines[i, LAST]):
        if flags[at] & SPACE:
            break
        if not (number and flags[at] & DIGIT):
            number = flags[at] & DIGIT != 0
            value = (value ^ np.uint64(48 if number else points[at])) * np.uint64(0x100000001B3)
    return value


@njit(cache=True, nogil=True)
def are_entries(points: Points, flags: Flags, lines: Lines) -> Any:
    """Tell whether lines that begin with small letters are one thing each: entries of a log, words of a list.

    They begin with the same word, have hardly more than one, or are of any length. Text that was wrapped has
    lines of one length, the last one aside, and ends with a stop. Verse goes on behind commas. Lines further
    in than the first are parts of others.
    """
    first = lines[0, FIRST]
    if not flags[first] & LOWER or marker_end(points, flags, first, lines[0, LAST]) >= 0:
        return False
    n = small = words = alike = open_ends = stops = 0
    lengths = np.empty(len(lines), np.int64)
    before = np.uint64(0)
    for i in range(len(lines)):
        if lines[i, INDENT] > lines[0, INDENT]:
            continue
        small += flags[lines[i, FIRST]] & LOWER != 0
        words += lines[i, WORDS]
        final = points[lines[i, LAST] - 1]
        stops += flags[lines[i, LAST] - 1] & STOP != 0 or final == 58
        open_ends += final == 44 or final == 59 or final == 45
        word = _first_word(points, flags, lines, i)
        alike += n > 0 and word == before
        before = word
        lengths[n] = lines[i, LAST] - lines[i, FIRST]
        n += 1
    if n < 3 or 4 * small < 3 * n or 4 * open_ends >= n:
        return False
    if 4 * alike >= 3 * (n - 1) or words <= 2 * n:
        return True
    if 0 < 2 * stops < n:
        return False
    usual = np.median(lengths[: n - 1])
    return 2 * np.count_nonzero(np.abs(lengths[: n - 1] - usual) > max(_SLACK, usual / 6)) >= n - 1
