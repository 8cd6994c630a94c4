"""Lines of a text and what each looks like, in one pass over the characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import (
    BREAK,
    DIGIT,
    LETTER,
    LOWER,
    PADDING,
    SPACE,
    STOP,
    TOP,
    UPPER,
    WIDE,
)

START, END, FIRST, LAST, INDENT = range(5)
"""Columns: where the line begins and ends (its break not in it), its first character that is no white space
and one past the last, both the end in a blank line; columns of white space before it, a tab counting four."""

LETTERS, UPPERS, LOWERS, DIGITS, OTHERS = range(5, 10)
"""Columns: letters, those of upper and of lower case, digits, and characters that are nothing of these."""

PIPES, TABS, COMMAS, SEMICOLONS, QUOTES, GAPS, WIDEST = range(10, 17)
"""Columns: such characters inside the line (commas and semicolons only where no white space follows); runs of
two spaces or more, or with a tab, which no full stop precedes; and the longest of them, a tab being eight."""

LEADERS, RULE, WORDS, PAGE, SHAPE, LISTED = range(17, 23)
"""Columns: the longest run of dots, spaces between them or not; the character that alone makes up the line,
white space aside; words, by the white space between; pages that begin with it, which who knows them fills in;
a hash of the line in which all numbers look alike; commas that white space follows."""

COLUMNS = 23

Lines = npt.NDArray[np.int64]
"""int64 (n, COLUMNS), one row per line."""


@njit(cache=True, nogil=True)
def count_lines(points: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16]) -> Any:
    """Return how many lines a text has; the top of a page begins one."""
    found, begins = 1, True
    for i in range(len(points) - PADDING):
        found += flags[i] & TOP != 0 and not begins
        begins = flags[i] & BREAK and not (points[i] == 13 and points[i + 1] == 10)
        found += begins
    return found


@njit(cache=True, nogil=True)
def look_at_lines(points: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16], out: Lines) -> None:
    """Fill a row per line; ``out`` has as many as :func:`count_lines` says, and is zero."""
    n = len(points) - PADDING
    line = begin = 0
    while begin <= n:
        row = out[line]
        at, first, last, indent, turned = begin, -1, begin, 0, False
        letters = uppers = lowers = digits = others = 0
        pipes = tabs = commas = semicolons = listed = quotes = gaps = widest = 0
        dots = leaders = words = run = 0
        rule, only, has_tab, before, number = 0, True, False, 0, False
        shape = np.uint64(0xCBF29CE484222325)
        while at < n:
            point = points[at]
            kind = flags[at]
            turned = kind & TOP != 0 and at > begin
            if turned:
                break
            if kind & SPACE:
                if kind & BREAK and not (point == 13 and points[at + 1] == 10):
                    break
                run += 1
                if point == 9:
                    has_tab = True
                    if first < 0:
                        indent += 3
                    else:
                        tabs += 1
                if first < 0:
                    indent += 1
                at += 1
                continue
            if first < 0:
                first, rule = at, point
                words = 1
            elif run:
                words += 1
                if (run > 1 or has_tab) and not before & (STOP | WIDE):
                    gaps += 1
                    widest = max(widest, 8 if has_tab else run)
            run, has_tab, last = 0, False, at + 1
            if point != rule:
                only = False
            if point == 46 or point == 0x2026 or point == 0xB7:
                dots += 3 if point == 0x2026 else 1
                leaders = max(leaders, dots)
            else:
                dots = 0
            if kind & LETTER:
                letters += 1
                if kind & UPPER:
                    uppers += 1
                elif kind & LOWER:
                    lowers += 1
            elif kind & DIGIT:
                digits += 1
            else:
                others += 1
                if point == 124:
                    pipes += 1
                elif point == 44 or point == 59:
                    if points[at + 1] > 32:
                        commas += point == 44
                        semicolons += point == 59
                    else:
                        listed += point == 44
                elif point == 34:
                    quotes += 1
            if not kind & DIGIT:
                shape = (shape ^ np.uint64(point)) * np.uint64(0x100000001B3)
                number = False
            elif not number:
                shape = (shape ^ np.uint64(48)) * np.uint64(0x100000001B3)
                number = True
            before = kind
            at += 1
        row[START], row[END] = begin, at
        row[FIRST], row[LAST] = (first, last) if first >= 0 else (at, at)
        row[INDENT], row[LETTERS], row[UPPERS], row[LOWERS] = indent, letters, uppers, lowers
        row[DIGITS], row[OTHERS], row[PIPES], row[TABS], row[COMMAS] = digits, others, pipes, tabs, commas
        row[SEMICOLONS], row[QUOTES], row[GAPS], row[WIDEST] = semicolons, quotes, gaps, widest
        row[LEADERS], row[WORDS], row[LISTED] = leaders, words, listed
        row[RULE] = rule if only and first >= 0 else 0
        row[SHAPE] = np.int64(shape >> np.uint64(1))
        begin = at if turned else at + 1
        line += 1
