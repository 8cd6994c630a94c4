"""CSV, TSV and JSON to text in which each value stands beside its name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from s3_retriever.json_form import parse_json

_DELIMITERS = "\t|;,"  # the first of those that do equally well
_SAMPLE = 1 << 16  # characters by which the delimiter is told
_ROWS = 500  # rows by which it is told whether there is a header
_BLANK_LINES = re.compile(r"[\r\n]+(?:[^\S\r\n]+[\r\n]+)*")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},:]|[^][{},:"\s]+')
_OPEN, _CLOSE = ("{", "["), ("}", "]")

Row = list[str]


def read_table(text: str, delimiter: str | None = None) -> str:
    """Return a table as a paragraph per row, a line ``column: value`` per cell that is not empty.

    Lines above the header are a paragraph. Columns are numbered where they have no names.

    Args:
        text: The file.
        delimiter: Between cells; None: of comma, semicolon, tab and bar the one that parts most rows alike.
    """
    delimiter = delimiter or _delimiter(text)
    written = [row for row in _rows(text, delimiter) if any(map(str.strip, row))]
    if not written:
        return ""
    rows = [[*map(str.strip, row)] for row in written]
    width = _usual_width(rows)
    head = _head(rows, width)
    names, records = _named(rows[head], rows[head + 1 :], width), rows[head + 1 :]
    if head_votes(names, records) < 0:
        names, records = [], rows[head:]
    above = "\n".join(delimiter.join(row).strip(delimiter + " ") for row in written[:head])
    body = ["\n".join(_lines(names, record)) for record in records]
    return "\n\n".join(filter(None, [above, *(body or ["\n".join(names)])]))  # a header alone says something


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a table; a quote that is not closed where a cell ends is a character of the cell."""
    mark = re.escape(delimiter)
    cell = re.compile(rf' *"([^"]*(?:""[^"]*)*)" *(?=[{mark}\r\n]|\Z)|([^{mark}\r\n]*)')
    row: Row = []
    at = 0
    while at < len(text):
        found = cell.match(text, at)
        assert found  # noqa: S101 - it matches an empty cell, too
        row.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        at = found.end()
        if text.startswith(delimiter, at):
            at += 1
        else:
            yield row
            row = []
            at += 2 if text.startswith("\r\n", at) else 1
    if row:
        yield row


def _delimiter(text: str) -> str:
    """Return what parts most rows alike, quoted cells aside; else what the first line has most."""
    sample, most, best = text[:_SAMPLE], (0, 0), ""
    for delimiter in _DELIMITERS:
        widths = Counter(len(row) for row in _rows(sample, delimiter) if any(map(str.strip, row)))
        for width, n in widths.items():
            if width > 1 and 2 * n >= widths.total() and (n, width) > most:
                most, best = (n, width), delimiter
    return best or max(_DELIMITERS, key=text.lstrip().partition("\n")[0].count)


def _usual_width(rows: list[Row]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def _head(rows: list[Row], width: int) -> int:
    """Return which row may name the columns: the first that fills most or the last, and is no comment."""
    for number, row in enumerate(rows):
        below = rows[number + 1 : number + 2]
        is_comment = row[0].startswith("#") and (
            len(row) != width
            or (row[0][1:2] == " " and below and head_votes(below[0], rows[number + 2 :]) > 0)
        )
        is_full = 2 * len([*filter(None, row)]) > width or (len(row) == width and row[-1])
        if is_full and not is_comment:
            return number
    return 0


def _named(names: Row, records: list[Row], width: int) -> Row:
    """Return the names of the columns; the first has none where R wrote row names without."""
    shifted = len(names) == width - 1 and any(any(record[width - 1 :]) for record in records)
    return [" ".join(name.split()) for name in ([""] if shifted else []) + names]


def head_votes(names: Row, records: list[Row]) -> int:
    """Return how many columns have a value of another kind above them than in them, less those that have not.

    Years and numbers of columns, which are in order, are names of figures.

    Args:
        names: What may be the header of a table.
        records: The rows below it, of which 500 are looked at.
    """
    ordered, votes = _are_ordered(names), 0
    sample = [record for record in records[:_ROWS] if record != names]
    for column, name in enumerate(names):
        cells = [record[column] for record in sample if column < len(record) and record[column]]
        if 10 * sum(map(_is_figure, cells)) >= 9 * max(1, len(cells)):
            alike = not ordered and _is_figure(name) and _shape(name) in map(_shape, cells)
            votes += -1 if alike else 1
        elif name and cells.count(name) > 1:
            votes -= 1
    return votes


def _are_ordered(names: Row) -> bool:
    numbers = [int(name) for name in names if name.isdecimal() and len(name) < 9]
    steps = {after - before for before, after in pairwise(numbers)}
    return steps == {1} or (bool(steps) and min(steps) > 0 and all(1500 <= one < 2100 for one in numbers))


def _is_figure(cell: str) -> bool:
    return sum(map(str.isdigit, cell)) > sum(map(str.isalpha, cell))


def _shape(cell: str) -> str:
    return re.sub(r"\d+", "0", cell)


def _lines(names: Row, record: Row) -> Iterator[str]:
    for column, cell in enumerate(record):
        if cell:
            yield named(names[column] if column < len(names) else "", column, cell)


def named(name: str, column: int, cell: str) -> str:
    """Return the line of a record that says a cell, given the name of its column, if any, and its place."""
    return f"{name or f'column {column + 1}'}: {_BLANK_LINES.sub(chr(10), cell)}"


def read_json(text: str) -> str:
    """Return JSON with one value a line, and without escapes of characters; what is no JSON as it is.

    Numbers stay as they are written, and a key that an object has twice is there twice.
    """
    try:
        parse_json(text)
    except ValueError:  # it has comments, is lines of JSON, or a part of some
        return text
    return "".join(_indented(text))


def _indented(text: str) -> Iterator[str]:
    depth, before = 0, ""
    for token in _TOKEN.findall(text):
        depth -= token in _CLOSE
        if before == "," or (before in _OPEN) != (token in _CLOSE):
            yield "\n" + " " * depth
        elif before == ":":
            yield " "
        yield json.dumps(json.loads(token), ensure_ascii=False) if token[0] == '"' else token
        depth += token in _OPEN
        before = token
