"""Which lines are rows of tables, and which of them are headers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import LOWER, STOP
from s3_retriever.structure.grids import grid_head_end, is_grid, is_rule
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
    LISTED,
    PIPES,
    QUOTES,
    RULE,
    SEMICOLONS,
    TABS,
    UPPERS,
    WIDEST,
    WORDS,
    Lines,
)
from s3_retriever.structure.rows import (
    BY_COMMA,
    BY_COMMAS,
    BY_GAPS,
    BY_LISTED,
    BY_PIPES,
    BY_SEMICOLON,
    BY_SEMICOLONS,
    count_cells,
    ends_quoted,
    has_figures,
    has_years,
    is_justified,
    is_production,
    is_separator,
    is_short_row,
    mark_of,
    parts_a_number,
    separators,
)
from s3_retriever.structure.scanning import is_entry

_VALUE = 60  # characters of the longest value behind dots that lead to it, some dots among them
_NEAR = 4  # lines from one row with such dots to the next, at most
_LONGEST_RECORD = 64  # lines that a quoted cell may go over


@njit(cache=True, nogil=True)
def _table_kind(lines: Lines, points: Points, i: int) -> Any:
    """Return what parts the cells of a line if it can be a row, else 0."""
    row = lines[i]
    if row[FIRST] == row[END]:
        return 0
    if row[PIPES]:
        return BY_PIPES
    # In a border of columns, marks are more than gaps; a rule may be made of "* * *" or "- - -" too.
    if is_separator(points, row) and (
        not row[RULE] or (row[WORDS] > 1 and row[LAST] - row[FIRST] >= 3 * row[WORDS])
    ):
        return BY_GAPS
    if row[LEADERS] >= 4:
        return 0
    if row[GAPS] and i + 1 < len(lines) and lines[i + 1, WORDS] > 1 and is_separator(points, lines[i + 1]):
        return BY_GAPS
    if (row[GAPS] >= 2 or row[WIDEST] >= 3) and row[WORDS] <= 4 * (row[GAPS] + 1):
        return BY_GAPS
    if row[COMMAS] >= 2 and row[WORDS] <= 6 * (row[COMMAS] + 1):
        return BY_COMMAS
    if row[SEMICOLONS] >= 2 and row[WORDS] <= 6 * (row[SEMICOLONS] + 1):
        return BY_SEMICOLONS
    return _strict_kind(lines, i)


@njit(cache=True, nogil=True)
def _strict_kind(lines: Lines, i: int) -> Any:
    """Return what parts the cells of a line of which four alike are needed, else 0."""
    row = lines[i]
    if row[LISTED] >= 2 and not row[COMMAS]:
        kind = BY_LISTED
    elif row[COMMAS] == 1 and not row[LISTED]:
        kind = BY_COMMA
    elif row[SEMICOLONS] == 1:
        kind = BY_SEMICOLON
    else:
        return 0
    if i + 3 >= len(lines):
        return 0
    for at in range(i + 1, i + 4):
        if separators(lines[at], kind) != separators(row, kind):
            return 0
    return kind


@njit(cache=True, nogil=True)
def _record_end(points: Points, lines: Lines, kinds: Bytes, i: int, kind: int) -> Any:
    """Return the last line of the row that begins at a line, which goes on where a quote does not close."""
    mark = mark_of(kind)
    if kind < BY_COMMAS or not lines[i, QUOTES] or not ends_quoted(points, lines[i], mark, False):
        return i
    for at in range(i + 1, min(len(lines), i + _LONGEST_RECORD)):
        if kinds[at] or lines[at, FIRST] == lines[at, END]:
            break
        if lines[at, QUOTES] and not ends_quoted(points, lines[at], mark, True):
            return at
    return i


@njit(cache=True, nogil=True)
def _fits(points: Points, flags: Flags, lines: Lines, begin: int, i: int, kind: int, ruled: bool) -> Any:
    """Tell whether a line can be a row of the table that begins at another."""
    row = lines[i]
    found, wanted = separators(row, kind), separators(lines[begin], kind)
    if kind == BY_LISTED and i > begin and flags[row[FIRST]] & LOWER and not row[DIGITS]:
        return False  # maybe a sentence that goes on
    if kind >= BY_LISTED:
        return found == wanted and is_short_row(points, flags, row, kind)
    if kind >= BY_COMMAS:
        return found > 0 and (found == wanted or row[QUOTES] > 0 or (abs(found - wanted) <= 1 and found >= 2))
    return (
        is_separator(points, row)
        or _table_kind(lines, points, i) == kind
        or (kind == BY_GAPS and ruled and row[GAPS] > 0)
    )


@njit(cache=True, nogil=True)
def _reach(points: Points, flags: Flags, lines: Lines, kinds: Bytes, begin: int, kind: int) -> Any:
    """Return where the table that begins at a line ends, and how many rows it has."""
    end, last, rows, missed, ragged = begin, begin, 0, 0, 0
    ruled = False  # columns have a border, so that two spaces part them
    while end < len(lines) and not kinds[end] and lines[end, FIRST] < lines[end, END]:
        row = lines[end]
        ruled = ruled or (kind == BY_GAPS and is_separator(points, row))
        if _fits(points, flags, lines, begin, end, kind, ruled):
            rows, missed = rows + 1, 0
            if row[QUOTES]:
                end = _record_end(points, lines, kinds, end, kind)
            last = end
        else:
            missed, ragged = missed + 1, ragged + 1
            most = 12 if kind == BY_PIPES else 6 * (separators(row, kind) + 1)
            if kind == BY_GAPS or missed > 3 or row[WORDS] > most:
                break
            if kind >= BY_COMMAS and (2 * ragged > rows or (kind >= BY_LISTED and rows < 4)):
                break
        end += 1
    return last + 1, rows


@njit(cache=True, nogil=True)
def _is_piped(points: Points, lines: Lines, begin: int, end: int) -> Any:
    """Tell whether lines with pipes are a table: by a rule, their pipes' places, or how many they have."""
    places = run = 0
    for i in range(begin, end):
        row = lines[i]
        if i > begin and is_separator(points, row) and (row[PIPES] or i + 1 < end):
            return True
        opened, closed = points[row[FIRST]] == 124, points[row[LAST] - 1] == 124
        if not row[PIPES] or is_production(points, row):
            continue
        if row[PIPES] == 1 and (opened or closed) and not places:
            continue  # it parts no cells
        run = run + 1 if i > begin and row[PIPES] == lines[i - 1, PIPES] else 1
        apart = opened and closed
        if not apart:
            apart = True
            for at in range(row[FIRST], row[LAST]):
                if points[at] == 124 and not (
                    (at == row[FIRST] or points[at - 1] <= 32)
                    and (at + 1 == row[LAST] or points[at + 1] <= 32)
                ):
                    apart = False
                    break
        places += apart
        if places >= 2 or run >= 3:
            return True
    return False


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
        if kind == BY_GAPS and i + 1 < n and lines[i + 1, PIPES] and is_separator(points, lines[i]):
            kind = BY_PIPES  # the upper border of a grid
        if (
            not kind
            or (kind == BY_COMMA and parts_a_number(points, flags, lines[i]))
            or (kind >= BY_COMMAS and is_entry(points, flags, lines[i, FIRST], lines[i, LAST]))
        ):
            i += 1
            continue
        end, rows = _reach(points, flags, lines, kinds, i, kind)
        least = 2 if kind == BY_PIPES else 3 if kind < BY_LISTED else 4
        if rows < least:
            i += 1
        elif (kind == BY_PIPES and not _is_piped(points, lines, i, end)) or (
            kind == BY_GAPS and is_justified(points, lines, i, end)
        ):
            i = end
        else:
            head = _head_end(points, flags, lines, kinds, i, end, kind)
            _mark_rows(points, flags, lines, kinds, i, head, end, kind)
            i = _go_on(points, flags, lines, kinds, i, end, kind)


@njit(cache=True, nogil=True)
def _goes_on(points: Points, flags: Flags, lines: Lines, begin: int, before: int, i: int, kind: int) -> Any:
    """Tell whether a line goes on with a delimited table, by its figures and separators."""
    row, found = lines[i], separators(lines[i], kind)
    if not found or (found != separators(lines[begin], kind) and found != separators(lines[before], kind)):
        return False
    _, figures, years, _ = count_cells(points, flags, row, kind)
    if figures:
        return True
    headed = has_years(points, flags, row, kind) and not has_years(points, flags, lines[before], kind)
    return years > 0 and not headed


@njit(cache=True, nogil=True)
def _go_on(points: Points, flags: Flags, lines: Lines, kinds: Bytes, begin: int, end: int, kind: int) -> Any:
    """Mark what follows a delimited table after a blank line and belongs to it; return where all ends."""
    while kind != BY_PIPES:
        i = end
        while i < min(len(lines), end + 3) and lines[i, FIRST] == lines[i, END]:
            i += 1
        if i == end or i == len(lines) or kinds[i]:
            break
        if not _goes_on(points, flags, lines, begin, end - 1, i, kind):
            break
        stop, rows = _reach(points, flags, lines, kinds, i, kind)
        if rows < 1 or (rows == 1 and kind != BY_GAPS and not is_short_row(points, flags, lines[i], kind)):
            break
        _mark_rows(points, flags, lines, kinds, i, i, stop, kind)
        end = stop
    return end


@njit(cache=True, nogil=True)
def _ruled_end(points: Points, flags: Flags, lines: Lines, begin: int, end: int, kind: int) -> Any:
    """Return where the lines end that a rule parts as header from the rows; the beginning if none does."""
    rule, last = begin + 1, min(end - 1, begin + 5)  # one below the last row is its border
    while rule < last and not is_separator(points, lines[rule]):
        rule += 1
    if rule >= last:
        return begin
    first = begin + 1 if is_separator(points, lines[begin]) else begin
    for i in range(first if kind == BY_GAPS else first + 1, rule):
        if has_figures(points, flags, lines[i], kind):
            return begin
    return rule + 1


@njit(cache=True, nogil=True)
def _head_end(
    points: Points, flags: Flags, lines: Lines, kinds: Bytes, begin: int, end: int, kind: int
) -> Any:
    """Return where the header of a table ends; its beginning if it has none.

    One without letters and digits, or with no row below it, is none.
    """
    bordered = is_separator(points, lines[begin])
    first = lines[min(begin + bordered, end - 1)]
    if kind == BY_PIPES and not first[LETTERS] and not first[DIGITS]:
        return begin
    head = grid_head_end(points, lines, begin, end) if kind == BY_PIPES else begin
    if head == begin and kind <= BY_GAPS:
        head = _ruled_end(points, flags, lines, begin, end, kind)
    if head > begin:
        return head
    if kind == BY_PIPES:
        head = begin + 1
        while head < min(end - 1, begin + 8) and (
            lines[head, PIPES] == 0
            or (
                points[lines[head, FIRST]] == 124
                and points[lines[begin, FIRST]] == 124
                and points[lines[end - 1, FIRST]] != 124
            )
        ):
            head += 1
    elif _is_head(points, flags, lines, begin, end, kind):
        head = _record_end(points, lines, kinds, begin, kind) + 1
        while kind == BY_GAPS and head < min(end - 1, begin + 4):
            if not has_years(points, flags, lines[head], kind):
                break
            head += 1
    head += bordered and head == begin + 1
    below = head
    while below < end and is_separator(points, lines[below]):
        below += 1
    return head if below < end else begin


@njit(cache=True, nogil=True)
def _is_head(points: Points, flags: Flags, lines: Lines, begin: int, end: int, kind: int) -> Any:
    """Tell whether the first line of a table without a rule is its header."""
    first = lines[begin]
    if has_figures(points, flags, first, kind):
        return False
    if kind >= BY_COMMAS and kind != BY_LISTED:
        return True
    digits = uppers = stops = figures = 0
    for i in range(begin + 1, end):
        row = lines[i]
        digits += row[DIGITS] > 0
        uppers += row[UPPERS] > 0
        stops += flags[row[LAST] - 1] & STOP != 0
        figures += kind == BY_GAPS and has_figures(points, flags, row, kind)
    rows = end - begin - 1
    if kind == BY_GAPS and flags[first[LAST] - 1] & STOP and 2 * stops > rows:
        return False
    if kind == BY_GAPS and first[TABS]:
        alike = first[DIGITS] and 2 * digits > rows and 2 * figures <= rows
        return not alike or has_years(points, flags, first, kind)
    if kind == BY_LISTED and not first[UPPERS] and 2 * uppers > rows:
        return True
    headed = first[DIGITS] == 0
    if not headed and kind == BY_GAPS:
        cells, _, years, _ = count_cells(points, flags, first, kind)
        headed = years == cells or has_years(points, flags, first, kind)
    return headed and 2 * digits > rows


@njit(cache=True, nogil=True)
def _mark_rows(
    points: Points, flags: Flags, lines: Lines, kinds: Bytes, begin: int, head: int, end: int, kind: int
) -> None:
    """Mark the lines of one table."""
    bordered = is_separator(points, lines[begin])
    grid = kind == BY_PIPES and is_grid(points, flags, lines, begin, end)
    record = begin - 1  # the last line of the row
    for i in range(begin, end):
        row = lines[i]
        joined = i <= record or (kind == BY_PIPES and row[PIPES] == 0) or is_separator(points, row)
        joined |= grid and not is_rule(points, lines[i - 1])
        if i > record and row[QUOTES]:
            record = _record_end(points, lines, kinds, i, kind)
        kinds[i] = HEADER if i < head else TABLE
        if i > begin and (joined or (bordered and i == begin + 1)):
            kinds[i] |= JOINED
