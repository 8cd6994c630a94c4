"""CSV, TSV and JSON to text in which each value stands beside its name."""

from __future__ import annotations

import csv
import io
import json

from s3_retriever.errors import UnreadableFileError
from s3_retriever.json_form import parse_json

_DELIMITERS = (",", ";", "\t", "|")


def read_table(text: str, delimiter: str | None = None) -> str:
    """Return a table with a header as a paragraph per row, a line ``column: value`` per cell.

    Args:
        text: The file, whose first row names the columns.
        delimiter: Between cells; None: of comma, semicolon, tab and bar the one that the header has most.

    Raises:
        UnreadableFileError: It is no such table.
    """
    header = text.lstrip("\n\r").partition("\n")[0]
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter or max(_DELIMITERS, key=header.count)
    )
    try:
        filled = [row for row in rows if any(map(str.strip, row))]
    except csv.Error as error:
        msg = f"it is no table ({error}, line {rows.line_num})"
        raise UnreadableFileError(msg) from error
    if len(filled) < 2:  # a header alone says something, too
        return "\n".join(cell.strip() for row in filled for cell in row)
    names, *records = filled
    return "\n\n".join("\n".join(_lines(names, record)) for record in records)


def _lines(names: list[str], record: list[str]) -> list[str]:
    named = [*names, *(f"column {n}" for n in range(len(names) + 1, len(record) + 1))]
    return [
        f"{name.strip()}: {cell.strip()}" for name, cell in zip(named, record, strict=False) if cell.strip()
    ]


def read_json(text: str) -> str:
    """Return JSON with one value a line, and without escapes of characters.

    Raises:
        UnreadableFileError: It is no JSON.
    """
    try:
        return json.dumps(parse_json(text), indent=1, ensure_ascii=False)
    except ValueError as error:
        msg = f"it is not JSON ({error})"
        raise UnreadableFileError(msg) from error
    except RecursionError as error:
        msg = "it is nested too deeply"
        raise UnreadableFileError(msg) from error
