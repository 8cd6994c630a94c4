"""Sheets of cells to text: a heading each, and tables in which each value stands beside its name."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from s3_retriever.sources.records import head_votes, named

Texts = dict[int, str]
"""Texts of a row that are not empty, by column."""
Merged = tuple[int, int, int, int]
"""Cells made one: the first row and column, the last row and column."""

_SAMPLE = 50_000  # cells by which it is told whether there is a header
_MOST_HEADS = 3  # rows of a header, one above the other
_LONGEST = 200  # characters of a cell that is said again
_LONGEST_TITLE = 100  # characters of a line that is the heading of what follows
_ROOM = 100_000  # places in which cells may be said again; in a larger sheet, as many as it has cells
_STOPS = (".", "!", "?", ":", ";", ",")


class Sheet(NamedTuple):
    """What a sheet says.

    Attributes:
        name: Of the sheet.
        rows: Its texts, by row, then by column. No row is empty.
        merged: Cells that are one, whose text is that of the first.
    """

    name: str
    rows: Mapping[int, Texts]
    merged: Sequence[Merged] = ()


def write_sheets(sheets: Iterable[Sheet]) -> str:
    """Return sheets below headings with their names; those without cells are left out.

    A row is a paragraph of lines ``column: value``, as in :func:`read_table`. Blank rows part tables, and a
    short line above a table is its heading. A table without a header goes on with the one above it, or else
    its columns are numbered. A single column is a list, or paragraphs.
    """
    return "\n\n".join(part for sheet in sheets if sheet.rows for part in _parts(sheet))


def _parts(sheet: Sheet) -> Iterator[str]:
    yield f"# {_line(sheet.name)}"
    spans: dict[int, list[Merged]] = defaultdict(list)
    for one in sheet.merged:
        spans[one[0]].append(one)
    room = max(_ROOM, sum(map(len, sheet.rows.values())))
    blocks = [*_blocks(sheet)]
    above: Texts = {}  # the names of the columns of the last table
    for block in blocks:
        columns = sorted({column for number in block for column in sheet.rows[number]})
        rows, room = _filled(sheet.rows, spans, block, columns, room)
        lines = _count_lines(rows)
        if lines:
            yield from _lines(rows[:lines], leads=lines < len(rows) or block is not blocks[-1])
            above, rows = {}, rows[lines:]
        if rows:
            heads = _count_heads(spans, block[lines:], columns)
            names, records = _headed(rows, heads, above)
            yield from _written(names, records)
            above = names or above


def _blocks(sheet: Sheet) -> Iterator[list[int]]:
    """Yield the rows between blank rows; a row that a merged cell goes over is none."""
    reaches = sorted((first, last) for first, _, last, _ in sheet.merged if last > first)
    block: list[int] = []
    reach = at = 0
    for number in sorted(sheet.rows):
        while at < len(reaches) and reaches[at][0] < number:
            reach, at = max(reach, reaches[at][1]), at + 1
        if block and number > block[-1] + 1 and number > reach:
            yield block
            block = []
        block.append(number)
    if block:
        yield block


def _filled(
    said: Mapping[int, Texts],
    spans: Mapping[int, Sequence[Merged]],
    block: list[int],
    columns: list[int],
    room: int,
) -> tuple[list[Texts], int]:
    """Say a merged cell in each of its places, while there is room; return the rows, and what room is left.

    A cell that is a row by itself from the first column on, as a title is, is said once.
    """
    rows = {number: dict(said[number]) for number in block}
    for number in block:
        for first, left, last, right in spans.get(number, ()):
            text = said[first].get(left, "")
            is_title = len(said[first]) == 1 and left == columns[0]
            if room <= 0 or not text or len(text) > _LONGEST or is_title:
                continue
            places = columns[bisect_left(columns, left) : bisect_right(columns, right)]
            for below in block[bisect_left(block, first) : bisect_right(block, last)]:
                if room <= 0:
                    break
                room -= len(places)
                for column in places:
                    rows[below].setdefault(column, text)
    return [*rows.values()], room


def _count_lines(rows: list[Texts]) -> int:
    """Return how many rows there are above a table; all, where a single column has no table."""
    above = next((n for n, row in enumerate(rows) if len(row) > 1), len(rows))
    if above < len(rows):
        return above
    texts = [text for row in rows for text in row.values()]
    is_table = len(rows) > 2 and not _is_prose(texts) and len({column for row in rows for column in row}) == 1
    return 0 if is_table else above


def _is_prose(texts: list[str]) -> bool:
    """Whether most texts are long, or end as sentences do."""
    return 2 * sum(text.endswith(_STOPS) or len(text) > _LONGEST_TITLE for text in texts) >= len(texts)


def _lines(rows: list[Texts], *, leads: bool) -> Iterator[str]:
    """Yield rows of a single cell: a short first one as a heading where something follows."""
    texts = [text for row in rows for text in row.values()]
    if leads and len(texts[0]) <= _LONGEST_TITLE and not texts[0].endswith(_STOPS):
        yield f"## {_line(texts.pop(0))}"
    if texts:
        yield ("\n\n" if _is_prose(texts) else "\n").join(texts)


def _count_heads(spans: Mapping[int, Sequence[Merged]], block: list[int], columns: list[int]) -> int:
    """Return how many rows a header has if there is one: those with merged cells, and the one below."""
    for above, number in enumerate(block):
        wide = [
            one
            for one in spans.get(number, ())
            if bisect_right(columns, one[3]) - bisect_left(columns, one[1]) > 1
        ]
        if not wide:
            return above + 1 if above < min(_MOST_HEADS, len(block) - 1) else 1
    return 1


def _headed(rows: list[Texts], heads: int, above: Texts) -> tuple[Texts, list[Texts]]:
    """Return the names of columns, which may be those of the table above, and the rows below the header."""
    columns = sorted({column for row in rows for column in row})
    said = {
        column: " ".join(dict.fromkeys(_line(row[column]) for row in rows[:heads] if column in row))
        for column in columns
    }
    if heads > 1:
        return said, rows[heads:]
    sample = rows[1 : 1 + max(1, _SAMPLE // len(columns))]
    votes = head_votes([*said.values()], [[row.get(column, "") for column in columns] for row in sample])
    goes_on = above.keys() >= said.keys()
    is_table = len(rows) > 1 and len(columns) > 1 and not _is_form(rows)
    if is_table and votes >= (1 if goes_on else 0):
        return said, rows[1:]
    return (above if goes_on else {}), rows


def _written(names: Texts, rows: list[Texts]) -> Iterator[str]:
    """Yield the rows of a table: with the names of its columns, as a form or a list where it has none."""
    width = max(map(len, rows))
    if names or (len(rows) > 1 and width > 1 and not _is_form(rows)):
        for row in rows:
            yield "\n".join(named(names.get(column, ""), column, row[column]) for column in sorted(row))
        return
    texts = [[_line(row[column]) for column in sorted(row)] for row in rows]
    if width == 2:
        yield "\n".join(": ".join([one[0].removesuffix(":"), *one[1:]]) for one in texts)
    else:
        yield "\n".join(f"- {', '.join(one)}" for one in texts)


def _is_form(rows: list[Texts]) -> bool:
    """Whether most rows are a name with a colon, and what is to be said of it."""
    if max(map(len, rows)) > 2:
        return False
    return 2 * sum(row[min(row)].endswith(":") for row in rows) > len(rows)


def _line(text: str) -> str:
    return " ".join(text.split())
