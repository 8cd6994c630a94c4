"""What tells a text with marks from a program: number signs of headings, fences, titles at the margin."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, SPACE, STOP
from s3_retriever.structure.kinds import CODE, JOINED, Bytes, Flags, Points
from s3_retriever.structure.lines import (
    DIGITS,
    END,
    FIRST,
    INDENT,
    LAST,
    LETTERS,
    LOWERS,
    OTHERS,
    RULE,
    WORDS,
    Lines,
)
from s3_retriever.structure.scanning import item_text
from s3_retriever.structure.sections import read_number

_FENCED = 12  # columns before a fence, at most
SIGNED = 4
"""Columns before number signs from which on they mark no heading."""
_AMISS = 2  # characters by which an underline is too short or too long, at most
UNDERLINED = 120  # characters of the longest line that is underlined
_TITLE, _TITLES = 8, 3  # words of a title of a manual page, at most; titles that it has, at least


@njit(cache=True, nogil=True)
def fence(points: Points, flags: Flags, row: npt.NDArray[np.int64]) -> Any:
    """Return the mark and the width of the fence that a line opens, maybe behind a marker; else 0 and 0."""
    last = row[LAST]
    at = item_text(points, flags, row[FIRST], last)
    if points[at] == 58 and flags[at + 1] & SPACE:  # what a term means, in Markdown
        at += 1
        while at < last and flags[at] & SPACE:
            at += 1
    mark, end = points[at], at
    if row[INDENT] >= _FENCED or (mark != 96 and mark != 126):
        return np.uint32(0), 0
    while end < last and points[end] == mark:
        end += 1
    for place in range(end, last):
        if mark == 96 and points[place] == 96:  # code within a line
            return np.uint32(0), 0
    return (mark, end - at) if end - at >= 3 else (np.uint32(0), 0)


@njit(cache=True, nogil=True)
def mark_fences(points: Points, flags: Flags, lines: Lines, kinds: Bytes, marked_up: bool) -> Any:
    """Mark lines between fences as code, and return how many fences there are.

    One that is never closed reaches to the end, as in CommonMark. Lines that markup has told are let be.
    """
    found, mark, width = 0, np.uint32(0), 0
    for i in range(len(lines)):
        row = lines[i]
        first, last = row[FIRST], row[LAST]
        if marked_up and kinds[i]:
            continue
        if mark:
            kinds[i] = CODE | JOINED if first == row[END] else CODE
            run = 0
            while first + run < last and points[first + run] == mark:
                run += 1
            if run >= width and first + run == last:
                kinds[i], mark = CODE | JOINED, np.uint32(0)
        elif first < row[END]:
            opens, width = fence(points, flags, row)
            # A line of tildes below another is an underline of reStructuredText.
            if opens and not (opens == 126 and i > 0 and lines[i - 1, FIRST] < lines[i - 1, END]):
                kinds[i], mark = CODE, opens
                found += 1
    return found


@njit(cache=True, nogil=True)
def signed(points: Points, flags: Flags, row: npt.NDArray[np.int64]) -> Any:
    """Return the level of a heading in Markdown's number signs; 0 where the line is none."""
    first, last = row[FIRST], row[LAST]
    at = first
    while at < last and points[at] == 35:
        at += 1
    level = at - first
    return level if 1 <= level <= 6 and at < last and flags[at] & SPACE and row[INDENT] < SIGNED else 0


@njit(cache=True, nogil=True)
def is_markdown(points: Points, flags: Flags, lines: Lines, kinds: Bytes, fences: int) -> Any:
    """Tell whether number signs mark headings: they stand apart, or the text has more marks than comments.

    ``fences`` are how many there are; their lines have a kind already.
    """
    n, apart, comments, levels = len(lines), 0, 0, 0
    for i in range(n):
        row = lines[i]
        first = row[FIRST]
        if kinds[i] == CODE or first == row[END]:
            continue
        if points[first] == 34 and points[first + 1] == 34 and points[first + 2] == 34:
            return False  # Python says by such quotes what a program does
        if points[first] != 35:
            continue
        is_apart = (i == 0 or lines[i - 1, FIRST] == lines[i - 1, END]) and (
            i + 1 == n or lines[i + 1, FIRST] == lines[i + 1, END]
        )
        level = signed(points, flags, row)
        if level:
            levels |= 1 << level
        if level and is_apart:
            apart += 1
        else:
            comments += 1
    if not levels:
        return False
    links = 0
    for i in range(n):
        if kinds[i] != CODE and points[lines[i, FIRST]] != 35:
            for at in range(lines[i, FIRST], lines[i, LAST]):
                if points[at] == 93 and points[at + 1] == 40:
                    links += 1
                    break
    return apart + links + fences > comments and (links + fences > 0 or levels & (levels - 1) != 0)


@njit(cache=True, nogil=True)
def underline(flags: Flags, lines: Lines, kinds: Bytes, i: int) -> Any:
    """Return the character of the line that underlines a line; 0 where none does."""
    if i + 1 >= len(lines) or kinds[i + 1]:
        return 0
    length, below = lines[i, LAST] - lines[i, FIRST], lines[i + 1]
    rule = below[RULE]
    if below[LAST] - below[FIRST] < min(3, length) or length > UNDERLINED or rule == 46:
        return 0
    if lines[i, OTHERS] >= 3 * (lines[i, LETTERS] + lines[i, DIGITS]):
        return 0
    if i and lines[i - 1, RULE] == rule and below[LAST] - below[FIRST] < length:
        return 0  # fences of a listing
    return 0 if flags[below[FIRST]] & (LETTER | DIGIT) else rule


@njit(cache=True, nogil=True)
def has_other_headings(points: Points, flags: Flags, lines: Lines, kinds: Bytes) -> Any:
    """Tell whether two headings or more are underlined in their length, or have numbers such as 1.2.

    A text that begins with a heading in number signs has others like it.
    """
    found, begun = 0, False
    for i in range(len(lines)):
        first, last = lines[i, FIRST], lines[i, LAST]
        if kinds[i] == CODE or not lines[i, LETTERS]:
            continue
        if not begun and signed(points, flags, lines[i]):
            return False
        begun = True
        if underline(flags, lines, kinds, i):
            found += abs(lines[i + 1, LAST] - lines[i + 1, FIRST] - last + first) <= _AMISS
        elif last - first <= UNDERLINED and not flags[last - 1] & STOP:
            found += read_number(points, flags, first, last)[0] >= 2
    return found >= 2


@njit(cache=True, nogil=True)
def titled(lines: Lines, i: int) -> Any:
    """Tell whether a line is a title of a manual page: capitals at the margin, the next line further in."""
    row = lines[i]
    if row[INDENT] or row[LOWERS] or not row[LETTERS] or row[WORDS] > _TITLE or i + 1 == len(lines):
        return False
    return lines[i + 1, INDENT] > 0 and lines[i + 1, FIRST] < lines[i + 1, END]


@njit(cache=True, nogil=True)
def refers(points: Points, flags: Flags, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line refers to a manual page, as in "lamp(1), oil(3p)", and no semicolon ends it."""
    first, last = row[FIRST], row[LAST]
    for at in range(first + 1, last - 2):
        if points[at] == 40 and flags[at + 1] & DIGIT and flags[at - 1] & LETTER:
            after = at + 2
            while after < last and flags[after] & LETTER:
                after += 1
            if after < last and points[after] == 41:
                return points[last - 1] != 59
    return False


@njit(cache=True, nogil=True)
def is_manual(lines: Lines) -> Any:
    """Tell whether a text is a manual page: titles are most of what stands at the margin."""
    titles = margin = 0
    for i in range(len(lines)):
        if lines[i, FIRST] < lines[i, END] and lines[i, INDENT] == 0:
            margin += 1
            titles += titled(lines, i)
    return titles >= _TITLES and titles * 2 > margin
