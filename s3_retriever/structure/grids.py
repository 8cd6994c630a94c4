"""Tables of reStructuredText, whose rows may go over several lines."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.kinds import HEADER, JOINED, TABLE, Bytes, Flags, Points
from s3_retriever.structure.lines import FIRST, LAST, LETTERS, PIPES, START, WORDS, Lines
from s3_retriever.structure.rows import BY_PIPES, Row, count_cells, is_separator

_BORDER = re.compile(r"\s*=+(?: +=+)+")
_SPAN = re.compile(r"[ -]+")  # below cells of a header that span columns


@njit(cache=True, nogil=True)
def is_rule(points: Points, row: Row) -> Any:
    """Tell whether a line is a rule of a grid, such as "+---+---+"."""
    return points[row[FIRST]] == 43 and is_separator(points, row)


@njit(cache=True, nogil=True)
def grid_head_end(points: Points, lines: Lines, begin: int, end: int) -> Any:
    """Return where the header of a grid ends, below a rule of equals signs; the beginning if it has none."""
    if not is_rule(points, lines[begin]):
        return begin
    for i in range(begin + 1, end - 1):
        if points[lines[i, FIRST] + 1] == 61 and is_rule(points, lines[i]):
            return i + 1
    return begin


@njit(cache=True, nogil=True)
def is_grid(points: Points, flags: Flags, lines: Lines, begin: int, end: int) -> Any:
    """Tell whether rows of a table are all lines between two rules, as in reStructuredText.

    A rule of equals signs says so. Else a rule stands between rows, and most lines that go on with a row have
    an empty cell. What SQL prints has rules around its rows only.
    """
    if not is_rule(points, lines[begin]):
        return False
    if grid_head_end(points, lines, begin, end) > begin:
        return True
    rules = following = empty = 0
    ruled = True
    for i in range(begin, end):
        if is_rule(points, lines[i]):
            rules, ruled = rules + 1, True
            continue
        if not ruled:
            cells, _, _, _ = count_cells(points, flags, lines[i], BY_PIPES)
            following += 1
            empty += cells < lines[i, PIPES] - 1
        ruled = False
    return rules > 3 and 2 * empty > following


def mark_simple_tables(text: str, points: Points, lines: Lines, kinds: Bytes) -> None:
    """Mark rows and headers of simple tables, whose columns borders of equals signs tell.

    A row goes on with the lines below it whose first column is empty.

    Args:
        text: What the lines are of.
        points: Its characters.
        lines: Its lines.
        kinds: Of the lines; tables among those that are not marked yet are marked.
    """
    ruled = (points[lines[:, FIRST]] == 61) & (lines[:, WORDS] > 1) & (lines[:, LETTERS] == 0)
    borders = [i for i in np.flatnonzero(ruled).tolist() if _BORDER.fullmatch(_line(text, lines, i))]
    k = 0
    while k + 1 < len(borders):
        top, head, end = borders[k], borders[k], borders[k + 1]
        k += 1
        if not _is_body(text, lines, top, end):
            continue
        if k + 1 < len(borders) and lines[end + 1, WORDS] and _is_body(text, lines, end, borders[k + 1]):
            head, end = end, borders[k + 1]
            k += 1
        k += 1
        if not kinds[top : end + 1].any():
            _mark_rows(text, lines, kinds, top, head, end)


def _line(text: str, lines: Lines, i: int) -> str:
    """Return a line up to its last character, one more behind each that is as wide as two."""
    line = text[lines[i, START] : lines[i, LAST]]
    if line.isascii():
        return line
    return "".join(one + "\0" * (unicodedata.east_asian_width(one) in "WF") for one in line)


def _is_body(text: str, lines: Lines, top: int, end: int) -> bool:
    """Tell whether what is between two borders is alike in columns: nothing crosses the gaps between them.

    Cells above a line of hyphens may, for they span columns.
    """
    border = _line(text, lines, top)
    if border != _line(text, lines, end) or not lines[top + 1 : end, WORDS].any():
        return False
    gaps = [gap.span() for gap in re.finditer("(?<==) +", border)]

    def crosses(line: str) -> bool:
        within = itertools.takewhile(lambda gap: gap[0] < len(line), gaps)
        return any(line[first:last].strip() for first, last in within)

    spanned = False
    for i in range(end - 1, top, -1):
        line = _line(text, lines, i)
        is_span = bool(line.strip()) and _SPAN.fullmatch(line) is not None
        if not is_span and not spanned and crosses(line):
            return False
        spanned = is_span
    return True


def _mark_rows(text: str, lines: Lines, kinds: Bytes, top: int, head: int, end: int) -> None:
    """Mark the lines of a simple table, whose header's border is ``head``; that is ``top`` if it has none."""
    kinds[top : head + 1] = HEADER | JOINED if head > top else TABLE | JOINED
    kinds[top] ^= JOINED
    column = _line(text, lines, top).index(" ", lines[top, FIRST] - lines[top, START])
    kinds[head + 1 : end + 1] = TABLE | JOINED
    for i in range(head + 1, end):
        line = _line(text, lines, i)
        if line[:column].strip() and not _SPAN.fullmatch(line):
            kinds[i] = TABLE
    first = head + 1 + int(np.argmax(lines[head + 1 : end, WORDS] > 0))
    kinds[first] = TABLE if head > top else TABLE | JOINED
