"""Which lines are rows of tables, and which of them are headers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.kinds import HEADER, JOINED, TABLE, Bytes, Flags, Points
from s3_retriever.structure.lines import (
    COMMAS,
    DIGITS,
    END,
    FIRST,
    GAPS,
    LAST,
    LEADERS,
    LETTERS,
    OTHERS,
    PIPES,
    QUOTES,
    RULE,
    SEMICOLONS,
    TABS,
    WIDEST,
    WORDS,
    Lines,
)

_VALUE = 60  # characters of the longest value behind dots that lead to it, some dots among them
_NEAR = 4  # lines from one row with such dots to the next, at most


@njit(cache=True, nogil=True)
def _is_separator(points: Points, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line is made of dashes and the like alone, in columns or not."""
    if row[LETTERS] or row[DIGITS] or row[OTHERS] < 3:
        return False
    for at in range(row[FIRST], row[LAST]):
        point = points[at]
        if not (
            point == 32
            or point == 9
            or point == 45
            or point == 61
            or point == 124
            or point == 43
            or point == 58
            or 0x2500 <= point <= 0x257F
        ):
            return False
    return True


@njit(cache=True, nogil=True)
def _table_kind(lines: Lines, points: Points, i: int) -> Any:
    """Return what row a line can be: 1 of pipes, 2 of columns, 3 of commas, 4 of semicolons, else 0."""
    row = lines[i]
    if row[FIRST] == row[END]:
        return 0
    if row[PIPES]:
        return 1
    # In a border of columns, marks are more than gaps; a rule may be made of "* * *" or "- - -" too.
    if _is_separator(points, row) and (
        not row[RULE] or (row[WORDS] > 1 and row[LAST] - row[FIRST] >= 3 * row[WORDS])
    ):
        return 2
    if row[LEADERS] >= 4:
        return 0
    if row[GAPS] and i + 1 < len(lines) and lines[i + 1, WORDS] > 1 and _is_separator(points, lines[i + 1]):
        return 2
    if (row[GAPS] >= 2 or row[WIDEST] >= 3) and row[WORDS] <= 4 * (row[GAPS] + 1):
        return 2
    if row[COMMAS] >= 2 and row[WORDS] <= 6 * (row[COMMAS] + 1):
        return 3
    if row[SEMICOLONS] >= 2 and row[WORDS] <= 6 * (row[SEMICOLONS] + 1):
        return 4
    return 0


@njit(cache=True, nogil=True)
def _has_leader(points: Points, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a label, dots that lead to a value, and a short value make up a line."""
    if row[LEADERS] < 4:
        return False
    first, at, dots, words, digits = row[FIRST], row[LAST] - 1, 0, 1, 0
    for place in (first, at):
        if points[place] == 46 or points[place] == 0x2026 or points[place] == 0xB7:
            return False
    while at > first and row[LAST] - at <= _VALUE and words <= 6:
        point = points[at]
        if point == 46 or point == 0x2026 or point == 0xB7:
            dots += 3 if point == 0x2026 else 1
            if dots >= 4 and (digits or row[LEADERS] >= 5):
                return True
        elif point != 32 and point != 9:
            dots = 0
            digits += 48 <= point <= 57
        elif not dots:
            words += 1
        at -= 1
    return False


@njit(cache=True, nogil=True)
def _mark_leaders(points: Points, lines: Lines, kinds: Bytes) -> None:
    """Mark two lines or more with labels, dot leaders and values that are near each other as rows."""
    before = -_NEAR - 1
    for i in range(len(lines)):
        if lines[i, LEADERS] >= 4 and not kinds[i] and _has_leader(points, lines[i]):
            if i - before <= _NEAR:
                kinds[before] = kinds[i] = TABLE
            before = i


@njit(cache=True, nogil=True)
def mark_tables(points: Points, flags: Flags, lines: Lines, kinds: Bytes) -> None:
    """Mark rows of tables and of delimited text, and headers, among the lines that are not marked yet."""
    _mark_leaders(points, lines, kinds)
    n = len(lines)
    i = 0
    while i < n:
        kind = _table_kind(lines, points, i) if not kinds[i] else 0
        if not kind:
            i += 1
            continue
        if kind == 2 and i + 1 < n and lines[i + 1, PIPES] and _is_separator(points, lines[i]):
            kind = 1  # the upper border of a grid
        end, rows, missed, open_quote, last = i, 0, 0, False, i
        ruled = False  # columns have a border, so that two spaces part them
        column = COMMAS if kind == 3 else SEMICOLONS
        while end < n and not kinds[end] and lines[end, FIRST] < lines[end, END]:
            row = lines[end]
            if open_quote:
                fits = True
            elif kind >= 3:
                fits = row[column] > 0 and (
                    row[column] == lines[i, column]
                    or row[QUOTES] > 0
                    or points[row[LAST] - 1] == points[lines[i, FIRST]]
                    or (abs(row[column] - lines[i, column]) <= 1 and row[column] >= 2)
                )
            else:
                is_border = _is_separator(points, row)
                ruled |= is_border and kind == 2
                fits = is_border or _table_kind(lines, points, end) == kind or (ruled and row[GAPS] > 0)
            if not fits:
                missed += 1
                if kind != 1 or missed > 3 or row[WORDS] > 12:
                    break
            else:
                rows += not open_quote
                missed, last = 0, end
                if kind >= 3 and row[QUOTES] % 2:
                    open_quote = not open_quote
            end += 1
        end = last + 1
        if rows < (2 if kind == 1 else 3):
            i += 1
            continue
        _mark_rows(points, lines, kinds, i, end, kind)
        i = end


@njit(cache=True, nogil=True)
def _mark_rows(points: Points, lines: Lines, kinds: Bytes, begin: int, end: int, kind: int) -> None:
    """Mark the lines of one table."""
    bordered = _is_separator(points, lines[begin])
    head = begin  # one past the last line of the header
    for i in range(begin + 1, min(end - 1, begin + 5)):  # one below the last row is its border
        if _is_separator(points, lines[i]):
            head = i + 1
            break
    if head == begin:
        digits = 0
        for i in range(begin + 1, end):
            digits += lines[i, DIGITS] > 0
        if kind != 2 or lines[begin, TABS] or (lines[begin, DIGITS] == 0 and digits * 2 > end - begin - 1):
            head = begin + 1
        if kind == 1:
            while head < min(end - 1, begin + 8) and (
                lines[head, PIPES] == 0
                or (
                    points[lines[head, FIRST]] == 124
                    and points[lines[begin, FIRST]] == 124
                    and points[lines[end - 1, FIRST]] != 124
                )
            ):
                head += 1
        if bordered and head == begin + 1:
            head += 1
    quoted = False
    for i in range(begin, end):
        row = lines[i]
        kinds[i] = HEADER if i < head else TABLE
        joined = quoted or (kind == 1 and row[PIPES] == 0) or (i > begin and _is_separator(points, row))
        joined = joined or (bordered and i == begin + 1)
        if joined and i != begin:
            kinds[i] |= JOINED
        if kind >= 3 and row[QUOTES] % 2:
            quoted = not quoted
