"""What the cells of a row are, and what parts them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, STOP
from s3_retriever.structure.kinds import Flags, Points
from s3_retriever.structure.lines import (
    COMMAS,
    DIGITS,
    FIRST,
    LAST,
    LETTERS,
    LISTED,
    OTHERS,
    PIPES,
    SEMICOLONS,
    START,
    TABS,
    WIDEST,
    Lines,
)
from s3_retriever.structure.scanning import is_entry, is_timed, marker_end

BY_PIPES, BY_GAPS, BY_COMMAS, BY_SEMICOLONS, BY_LISTED, BY_COMMA, BY_SEMICOLON = range(1, 8)
"""What parts the cells of a row: pipes; gaps or tabs; two commas or semicolons at least, no space behind
them; the same with spaces behind the commas; one comma, or one semicolon, no space behind it."""

Row = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def is_separator(points: Points, row: Row) -> Any:
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
def is_production(points: Points, row: Row) -> Any:
    """Tell whether a line is a rule of a grammar: a name, an equals sign, choices with pipes between.

    Where there are equals signs behind a pipe too, its cells are settings.
    """
    named = piped = False
    for at in range(row[FIRST] + 1, row[LAST] - 1):
        point = points[at]
        piped |= point == 124
        if point == 61 and points[at + 1] == 32 and (points[at - 1] == 32 or points[at - 1] == 58):
            if piped:
                return False
            named = True
    return named


@njit(cache=True, nogil=True)
def is_justified(points: Points, lines: Lines, begin: int, end: int) -> Any:
    """Tell whether lines are prose stretched to one width.

    In each line all spaces between words are as wide, but for one column, and the wide ones do not stand one
    below the other.
    """
    borders = aligned = flush = 0
    for i in range(begin, end):
        row, below = lines[i], lines[min(i + 1, end - 1)]
        shift, narrowest, run = below[START] - row[START], row[WIDEST], 0
        for at in range(row[FIRST], row[LAST]):
            if points[at] == 32:
                run += 1
            elif run:
                narrowest, run = min(narrowest, run), 0
            border = _gap_border(points, at)
            if border and i + 1 < end:
                borders += 1
                aligned += at + shift < below[LAST] and _gap_border(points, at + shift) == border
        if row[TABS] or row[WIDEST] > narrowest + 1:
            return False
        flush += i + 1 < end and abs(row[LAST] - row[START] - (below[LAST] - below[START])) <= 1
    return 2 * flush >= end - 1 - begin and 3 * aligned < borders


@njit(cache=True, nogil=True)
def _gap_border(points: Points, at: int) -> Any:
    """Return 1 where two spaces or more end before a character, 2 where they begin with it, else 0."""
    if points[at] != 32:
        return 1 if points[at - 1] == 32 and points[at - 2] == 32 else 0
    return 2 if points[at - 1] != 32 and points[at + 1] == 32 else 0


@njit(cache=True, nogil=True)
def separators(row: Row, kind: int) -> Any:
    """Return how many separators of a kind of table a line has; of gaps, the tabs."""
    if kind == BY_PIPES:
        return row[PIPES]
    if kind == BY_GAPS:
        return row[TABS]
    if kind in (BY_SEMICOLONS, BY_SEMICOLON):
        return row[SEMICOLONS]
    return row[LISTED] if kind == BY_LISTED else row[COMMAS]


@njit(cache=True, nogil=True)
def mark_of(kind: int) -> Any:
    """Return the character that parts the cells of a delimited row."""
    if kind == BY_PIPES:
        return 124
    return 59 if kind in (BY_SEMICOLONS, BY_SEMICOLON) else 44


@njit(cache=True, nogil=True)
def is_short_row(points: Points, flags: Flags, row: Row, kind: int) -> Any:
    """Tell whether a line is a row of short cells that does not read like a sentence or an item."""
    final = points[row[LAST] - 1]
    if flags[row[LAST] - 1] & STOP or final == 44 or final == 58 or final == 59:
        return False
    if row[LAST] - row[FIRST] > 41 * (separators(row, kind) + 1):
        return False
    mark, words, gap = mark_of(kind), 0, True
    for at in range(row[FIRST], row[LAST]):
        point = points[at]
        if point == mark:
            words, gap = 0, True
        elif point <= 32:
            gap = True
        elif gap:
            words, gap = words + 1, False
            if words > 5:
                return False
        if point == 38 and mark == 59:  # maybe an entity of HTML
            return False
    return not (
        marker_end(points, flags, row[FIRST], row[LAST]) >= 0
        or is_entry(points, flags, row[FIRST], row[LAST])
        or is_timed(points, flags, row[FIRST], row[LAST])
    )


@njit(cache=True, nogil=True)
def parts_a_number(points: Points, flags: Flags, row: Row) -> Any:
    """Tell whether the first comma of a line stands between digits."""
    for at in range(row[FIRST] + 1, row[LAST] - 1):
        if points[at] == 44:
            return flags[at - 1] & DIGIT != 0 and flags[at + 1] & DIGIT != 0
    return False


@njit(cache=True, nogil=True)
def ends_quoted(points: Points, row: Row, mark: int, quoted: bool) -> Any:
    """Tell whether a line ends inside a quoted cell, which a quote opens only where a cell begins."""
    fresh = True
    at = row[FIRST]
    while at < row[LAST]:
        point = points[at]
        if quoted:
            if point == 34 and points[at + 1] == 34:
                at += 1
            elif point == 34:
                quoted = fresh = False
        elif point == 34 and fresh:
            quoted = True
        elif point == mark:
            fresh = True
        elif point > 32:
            fresh = False
        at += 1
    return quoted


@njit(cache=True, nogil=True)
def count_cells(points: Points, flags: Flags, row: Row, kind: int) -> Any:
    """Count the cells of a row that are not empty, the figures among them, and the years and quarters.

    Years are no figures here. Last comes whether the figures count from one, as columns are numbered.
    """
    mark = 9 if kind == BY_GAPS else mark_of(kind)
    cells = figures = years = ordered = 0
    letters = digits = run = value = 0
    dated, plain = False, True
    for at in range(row[FIRST], row[LAST] + 1):
        point = int(points[at]) if at < row[LAST] else mark
        if at < row[LAST] and flags[at] & DIGIT:
            value = (value * 10 if run else 0) + point - 48
            digits, run = digits + 1, run + 1
            continue
        if run == 4 and 1900 <= value < 2100:
            decimal = point != mark and (point == 44 or point == 46)
            dated |= not (decimal and flags[at + 1] & DIGIT != 0)
        if point == mark or (kind == BY_GAPS and point == 32 and points[at + 1] == 32):
            if dated and digits <= 8:
                years += 1
            elif digits > letters:
                figures += 1
                ordered += plain and value == figures
            cells += letters + digits > 0
            letters = digits = run = value = 0
            dated, plain = False, True
            continue
        if flags[at] & LETTER:
            letters += 1
            if point | 32 == 104 or point | 32 == 113:  # halves and quarters: H1, Q3, 3Q
                dated |= run == 1 or (letters == 1 and flags[at + 1] & DIGIT != 0)
        plain &= point == 32 or point == 40 or point == 41
        run = 0
    return cells, figures, years, figures >= 2 and ordered == figures


@njit(cache=True, nogil=True)
def has_figures(points: Points, flags: Flags, row: Row, kind: int) -> Any:
    """Tell whether at least half of a row's cells are figures that are no years."""
    if not row[DIGITS]:
        return False
    cells, figures, _, numbered = count_cells(points, flags, row, kind)
    return figures > 0 and not numbered and 2 * figures >= cells


@njit(cache=True, nogil=True)
def has_years(points: Points, flags: Flags, row: Row, kind: int) -> Any:
    """Tell whether all cells of a row, maybe the first one aside, are years or quarters, two at least."""
    if not row[DIGITS]:
        return False
    cells, figures, years, numbered = count_cells(points, flags, row, kind)
    return (years if not figures else figures if numbered else 0) >= max(2, cells - 1)
