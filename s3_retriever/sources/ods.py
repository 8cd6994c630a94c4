"""Workbooks of OpenDocument to text, by lxml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.cells import shown
from s3_retriever.sources.content import Content
from s3_retriever.sources.excel import sheets_content
from s3_retriever.sources.packed import damaged, open_packed
from s3_retriever.sources.sheets import Merged, Sheet, Texts

_NAMES = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_OFFICE, _TABLE, _TEXT, _STYLE = (_NAMES % one for one in ("office", "table", "text", "style"))
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_DURATION = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")
_MOST_COLUMNS = 1 << 14  # that a sheet has
_MOST_REPEATED = 1 << 22  # cells that hold something and are said again


def read_ods(data: bytes) -> Content:
    """Return the sheets of a workbook that are not hidden, as :func:`write_sheets` has them, and its title.

    A number is as it is shown if that is all of it.

    Raises:
        UnreadableFileError: It is no ODS, damaged, encrypted, or unpacks to more than a gigabyte; all its
            sheets are hidden; it repeats too many cells.
    """
    from lxml import etree

    archive = open_packed(data, "ODS")
    try:
        if b"encryption-data" in archive.read("META-INF/manifest.xml"):
            msg = "it is encrypted; save it without a password"
            raise UnreadableFileError(msg)
        with archive.open("content.xml") as source:
            found = [*_sheets(source)]
        title = ""
        if "meta.xml" in archive.namelist():
            meta = etree.fromstring(archive.read("meta.xml"), etree.XMLParser(resolve_entities=False))
            title = meta.findtext(".//{http://purl.org/dc/elements/1.1/}title") or ""
    except UnreadableFileError:
        raise
    except Exception as error:  # of a ZIP, of XML, or of what is missing
        raise damaged(error, "ODS") from error
    return sheets_content([sheet for sheet, hidden in found if not hidden], len(found), title)


def _sheets(source: IO[bytes]) -> Iterator[tuple[Sheet, bool]]:
    """Yield each sheet, and whether it is hidden."""
    from lxml import etree

    hidden: set[str | None] = set()  # styles
    rows: dict[int, Texts] = {}
    merged: list[Merged] = []
    number = depth = 0
    room = _MOST_REPEATED
    tags = (f"{_TABLE}table", f"{_TABLE}table-row", f"{_STYLE}style")
    for event, element in etree.iterparse(source, ("start", "end"), tag=tags, resolve_entities=False):
        if element.tag == tags[0]:
            depth += 1 if event == "start" else -1
            if event == "start" and depth == 1:
                rows, merged, number = {}, [], 0
            elif depth == 0:
                name = element.get(f"{_TABLE}name", "")
                yield Sheet(name, rows, merged), element.get(f"{_TABLE}style-name") in hidden
                element.clear()
        elif event == "start" or depth > 1:  # a table in a cell
            continue
        elif element.tag == tags[1]:
            texts, said, spans = _row(element, number)
            again = _times(element, "rows")
            room -= len(texts) * again - said
            if texts and room < 0:
                msg = f"it repeats more than {_MOST_REPEATED:,} cells"
                raise UnreadableFileError(msg)
            if texts:
                rows.update((below, texts) for below in range(number, number + again))
            merged += spans
            number += again
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
        else:
            properties = element.find(f"{_STYLE}table-properties")
            if properties is not None and properties.get(f"{_TABLE}display") == "false":
                hidden.add(element.get(f"{_STYLE}name"))


def _row(row: Any, number: int) -> tuple[Texts, int, list[Merged]]:
    """Return the texts of a row, how many of its cells have one, and which cells are one."""
    texts: Texts = {}
    merged = []
    column = said = 0
    for cell in row.iterchildren(*_CELLS):
        again = _times(cell, "columns")
        if text := _text(cell):
            said += 1
            texts.update(dict.fromkeys(range(column, min(column + again, _MOST_COLUMNS)), text))
            height, width = (int(cell.get(f"{_TABLE}number-{one}-spanned", 1)) for one in ("rows", "columns"))
            if max(height, width) > 1:
                merged.append((number, column, number + height - 1, column + width - 1))
        column += again
    return texts, said, merged


def _times(element: Any, what: str) -> int:
    return max(1, int(element.get(f"{_TABLE}number-{what}-repeated", 1)))


def _text(cell: Any) -> str:
    """Return what a cell says: what is shown, unless that is rounded."""
    words = "\n".join(map(_words, cell.iterchildren(f"{_TEXT}p"))).strip()
    kind = cell.get(f"{_OFFICE}value-type", "")
    if kind == "date":
        date, _, time = cell.get(f"{_OFFICE}date-value", "").partition("T")
        time = time.partition(".")[0].removesuffix(":00")
        return date if time in ("", "00:00") else f"{date} {time}"
    if kind == "time" and (parts := _DURATION.match(cell.get(f"{_OFFICE}time-value", ""))):
        is_short = int(parts[1]) < 24 and parts[3] == "00"
        return f"{parts[1]}:{parts[2]}" if is_short else f"{parts[1]}:{parts[2]}:{parts[3]}"
    if kind in ("float", "percentage", "currency") and _figures(words):
        value = float(cell.get(f"{_OFFICE}value", "nan"))
        exact = shown(value, "0%" if kind == "percentage" else "")
        if _figures(words) != _figures(exact):
            return f"{exact} {cell.get(f'{_OFFICE}currency', '')}".strip()
    return words


def _figures(number: str) -> str:
    """Return the digits that tell a number from another one, wherever its separators are."""
    return "".join(filter(str.isdecimal, number)).strip("0")


def _words(paragraph: Any) -> str:
    """Return the text of a paragraph with its spaces and line breaks."""
    parts = [paragraph.text or ""]
    for element in paragraph.iterdescendants():
        if element.tag in (f"{_TEXT}s", f"{_TEXT}tab"):
            parts.append(" ")
        elif element.tag == f"{_TEXT}line-break":
            parts.append("\n")
        parts += [element.text or "", element.tail or ""]
    return "".join(parts)
