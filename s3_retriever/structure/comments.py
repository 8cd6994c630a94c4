"""Whether number signs begin comments, and the lines of a paragraph of comments."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, STOP, UPPER
from s3_retriever.structure.kinds import CODE, Bytes, Flags, Points
from s3_retriever.structure.lines import END, FIRST, INDENT, LAST, LETTERS, OTHERS, WORDS, Lines
from s3_retriever.structure.marks import SIGNED, signed
from s3_retriever.structure.scanning import is_entry, marker_end, word_end

_TEXT = 4  # words of a line of text, at least


@njit(cache=True, nogil=True)
def has_comments(points: Points, flags: Flags, lines: Lines, kinds: Bytes) -> Any:
    """Tell whether more lines with number signs are comments than can be headings.

    Comments stand one below the other, or above what is no text. Lines that are code already are let be.
    """
    n, comments, headings = len(lines), 0, 0
    for i in range(n):
        row = lines[i]
        first = row[FIRST]
        if kinds[i] == CODE or first == row[END] or points[first] != 35 or row[INDENT] >= SIGNED:
            continue
        level = signed(points, flags, row)
        above = i > 0 and lines[i - 1, FIRST] < lines[i - 1, END]
        below = i + 1 < n and lines[i + 1, FIRST] < lines[i + 1, END]
        beside = above and _is_like(points, flags, lines[i - 1], level)
        beside |= below and _is_like(points, flags, lines[i + 1], level)
        if not level or beside:
            comments += 1
        elif below and points[lines[i + 1, FIRST]] != 35:
            text = _is_text(points, flags, lines[i + 1])
            headings += text
            comments += not text
        else:
            headings += not above or points[lines[i - 1, FIRST]] == 35
    return comments > headings


@njit(cache=True, nogil=True)
def are_settings(points: Points, flags: Flags, lines: Lines, kinds: Bytes) -> Any:
    """Tell whether most lines are entries of settings, items or sections, comments and code aside."""
    total = found = 0
    for i in range(len(lines)):
        first, last = lines[i, FIRST], lines[i, LAST]
        if first == lines[i, END] or points[first] == 35 or kinds[i]:
            continue
        total += 1
        is_part = points[last - 1] == 93 and (points[first] == 91 or last - first == 1)  # a section, or "]"
        is_part |= points[first] == 34 and points[last - 1] == 44  # of a list in TOML
        is_part |= marker_end(points, flags, first, last) >= 0
        found += is_part or is_entry(points, flags, first, last)
    return 2 * found > total


@njit(cache=True, nogil=True)
def _is_like(points: Points, flags: Flags, row: npt.NDArray[np.int64], level: int) -> Any:
    """Tell whether a line begins with a number sign, and is no heading of another level."""
    found = signed(points, flags, row)
    return points[row[FIRST]] == 35 and (found == level or not found)


@njit(cache=True, nogil=True)
def _is_text(points: Points, flags: Flags, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line below a number sign can be text in Markdown: an item, a row, words."""
    first, last = row[FIRST], row[LAST]
    point = points[first]
    if marker_end(points, flags, first, last) >= 0:
        return True
    if point == 124 or point == 96 or point == 62 or point == 60 or point == 33 or point == 42:  # | ` > < ! *
        return True
    if point == 91:  # a link, and no section
        return points[last - 1] != 93
    if not flags[first] & (LETTER | DIGIT) and point != 95:
        return False
    end = word_end(points, flags, first, last)
    if end > first + 1 and flags[first] & UPPER and flags[end - 1] & UPPER and row[WORDS] > 1:
        return False  # an instruction, as in "RUN make"
    if is_entry(points, flags, first, last):
        return False
    is_long = row[WORDS] >= _TEXT or flags[last - 1] & STOP
    return is_long and row[OTHERS] * 6 < row[LETTERS]
