"""Workbooks of Excel to text, by openpyxl, and by xlrd those of the format before 2007."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.cells import shown
from s3_retriever.sources.content import Content, kind_of
from s3_retriever.sources.packed import OLE, damaged, is_encrypted, open_packed
from s3_retriever.sources.sheets import Merged, Sheet, Texts, write_sheets

_MOST_ROWS = 1 << 20  # that Excel has; openpyxl gives an empty row for each that a number leaves out
_MOST_PLACES = 1 << 28  # up to the last cell of each row, which openpyxl goes through
_ENCRYPTED = "Workbook is encrypted"  # what xlrd says
_ELAPSED = re.compile(r"\[[hms]+\]", re.IGNORECASE)  # a duration


def read_xlsx(data: bytes) -> Content:
    """Return the sheets of a workbook that are not hidden, as :func:`write_sheets` has them, and its title.

    Formulas are what they gave when the workbook was saved.

    Raises:
        UnreadableFileError: It is no workbook of Excel's, damaged, encrypted, or unpacks to more than a
            gigabyte; all its sheets are hidden; its cells are too far apart.
    """
    from openpyxl.reader.excel import ExcelReader

    open_packed(data, "XLSX").close()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what openpyxl cannot keep, such as pictures
            reader = ExcelReader(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            reader.read()
            book = reader.wb
            places = {sheet.name: relation.target for sheet, relation in reader.parser.find_sheets()}
            sheets = [
                Sheet(sheet.title, _rows(sheet), _merged(reader.archive, places[sheet.title]))
                for sheet in book.worksheets
                if sheet.sheet_state == "visible"
            ]
        title = book.properties.title or ""
    except UnreadableFileError:
        raise
    except Exception as error:  # openpyxl lets pass whatever it meets
        raise damaged(error, "XLSX") from error
    return sheets_content(sheets, len(book.worksheets), title)


def sheets_content(sheets: list[Sheet], n_sheets: int, title: str = "") -> Content:
    """Return what the sheets that are seen say, given how many there are.

    Raises:
        UnreadableFileError: None is seen.
    """
    if n_sheets and not sheets:
        msg = "all its sheets are hidden"
        raise UnreadableFileError(msg)
    return Content(write_sheets(sheets), title.strip())


def _rows(sheet: Any) -> dict[int, Texts]:
    """Return the texts of a sheet; how large it says that it is, may be wrong."""
    from openpyxl.utils.escape import unescape

    sheet.reset_dimensions()
    rows: dict[int, Texts] = {}
    places = 0
    for number, row in enumerate(sheet.iter_rows(max_row=_MOST_ROWS)):
        places += len(row)
        if places > _MOST_PLACES:
            msg = f"the cells of its sheet {sheet.title!r} are too far apart; delete those beside its tables"
            raise UnreadableFileError(msg)
        texts = {}
        for column, cell in enumerate(row):
            value = cell.value
            if value is None:
                continue
            # openpyxl leaves carriage returns escaped: findings/openpyxl-carriage-return-in-a-cell.sh.
            is_text = isinstance(value, str)
            text = unescape(value).strip() if is_text else shown(value, cell.number_format)
            if text:
                texts[column] = text
        if texts:
            rows[number] = texts
    return rows


def _merged(archive: zipfile.ZipFile, name: str) -> list[Merged]:
    """Return which cells are one: openpyxl does not say it of a sheet that it reads row by row."""
    from lxml import etree
    from openpyxl.worksheet.cell_range import CellRange

    found = []
    with archive.open(name) as source:
        for _, element in etree.iterparse(source, tag=("{*}row", "{*}mergeCell"), resolve_entities=False):
            if reference := element.get("ref"):
                cells = CellRange(reference)
                found.append((cells.min_row - 1, cells.min_col - 1, cells.max_row - 1, cells.max_col - 1))
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    return found


def read_xls(data: bytes) -> Content:
    """Return the sheets of a workbook of the format before 2007 as :func:`read_xlsx` does; it has no title.

    Raises:
        UnreadableFileError: It is no such workbook, damaged, or encrypted; all its sheets are hidden.
    """
    import xlrd

    if is_encrypted(data):
        msg = "it is encrypted; save it without a password"
        raise UnreadableFileError(msg)
    if not data.startswith(OLE):
        kind = kind_of(data)
        msg = f"it is no XLS{f', but {kind}; save it as XLS' if kind else ''}"
        raise UnreadableFileError(msg)
    try:
        book = xlrd.open_workbook(
            file_contents=data, logfile=io.StringIO(), formatting_info=True, ragged_rows=True
        )
        sheets = [
            Sheet(one.name, dict(_old_rows(book, one)), _old_merged(one))
            for one in book
            if not one.visibility
        ]
    except Exception as error:  # xlrd lets pass whatever it meets
        if str(error).startswith(_ENCRYPTED):
            msg = "it is encrypted; save it without a password"
            raise UnreadableFileError(msg) from error
        raise damaged(error, "XLS") from error
    return sheets_content(sheets, book.nsheets)


def _old_rows(book: Any, sheet: Any) -> Iterator[tuple[int, Texts]]:
    for number in range(sheet.nrows):
        texts = {
            column: text for column, cell in enumerate(sheet.row(number)) if (text := _old_text(book, cell))
        }
        if texts:
            yield number, texts


def _old_text(book: Any, cell: Any) -> str:
    import xlrd

    value, kind = cell.value, cell.ctype
    form = book.format_map[book.xf_list[cell.xf_index].format_key].format_str
    if kind == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(value, "#ERROR"))
    if kind == xlrd.XL_CELL_BOOLEAN:
        return shown(bool(value), form)
    if kind == xlrd.XL_CELL_DATE:
        return shown(_old_date(value, form, book.datemode), form)
    return shown(value, form)


def _old_date(value: float, form: str, mode: int) -> object:
    """Return a date, a time of day, or a duration; the number where it is no date that can be told."""
    import xlrd

    if _ELAPSED.search(form):
        return dt.timedelta(days=value)
    if 0 <= value < 1:
        return (dt.datetime.min + dt.timedelta(milliseconds=round(value * 86_400_000))).time()
    try:
        return xlrd.xldate.xldate_as_datetime(value, mode)
    except (ValueError, OverflowError):
        return value


def _old_merged(sheet: Any) -> list[Merged]:
    return [(first, left, last - 1, right - 1) for first, last, left, right in sheet.merged_cells]
