"""Workbooks: each value beside the name of its column, as people see it, whichever program wrote it."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import openpyxl
import pytest
import xlwt
from file_kinds import write_xlsx
from found_units import levels_of_headings, of_kind, path_of
from openpyxl.chart import BarChart, Reference
from test_file_readers import read

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources import excel, ods, packed
from s3_retriever.sources.cells import shown

STOCK = [["Item", "Barrels", "Since"], ["oil", 3, dt.date(2024, 5, 1)], ["tar | pitch", 2.5, None]]
SAID = "# Stock\n\nItem: oil\nBarrels: 3\nSince: 2024-05-01\n\nItem: tar | pitch\nBarrels: 2.5"


def text_of(path: Path, rows: Sequence[Sequence[object]], *merged: str) -> str:
    """The text of a workbook with one sheet, below its name."""
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    book.save(path / "a.xlsx")
    heading, _, text = read(path / "a.xlsx").text.partition("\n\n")
    assert heading == "# Sheet"
    return text


def write_xls(path: Path, rows: Sequence[Sequence[object]]) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Stock")
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if value is not None:
                is_date = isinstance(value, dt.date)
                sheet.write(i, j, value, xlwt.easyxf(num_format_str="DD.MM.YY" if is_date else "General"))
    book.save(str(path))


def write_ods(path: Path, tables: str, styles: str = "", manifest: str = "", meta: str = "") -> None:
    """Write a workbook of OpenDocument from its tables."""
    names = {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "style": "urn:oasis:names:tc:opendocument:xmlns:style:1.0",
        "dc": "http://purl.org/dc/elements/1.1/",
    }
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in names.items())
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        made.writestr("META-INF/manifest.xml", f"<manifest>{manifest}</manifest>")
        made.writestr("meta.xml", f"<office:document-meta {spaces}>{meta}</office:document-meta>")
        made.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:automatic-styles>{styles}</office:automatic-styles>"
            f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
            "</office:document-content>",
        )


def ods_cell(value: object) -> str:
    if isinstance(value, dt.date):
        kind, shown_as = f'"date" office:date-value="{value}"', value.strftime("%d.%m.%y")
    elif isinstance(value, (int, float)):
        kind, shown_as = f'"float" office:value="{value}"', f"{value}".replace(".", ",")
    elif value is None:
        return "<table:table-cell/>"
    else:
        kind, shown_as = '"string"', escape(str(value))
    return f"<table:table-cell office:value-type={kind}><text:p>{shown_as}</text:p></table:table-cell>"


def ods_table(rows: Sequence[Sequence[object]], name: str = "Stock") -> str:
    written = "".join(f"<table:table-row>{''.join(map(ods_cell, row))}</table:table-row>" for row in rows)
    return f'<table:table table:name="{name}">{written}</table:table>'


def test_a_value_stands_beside_the_name_of_its_column_in_every_format(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", {"Stock": STOCK}, "Oil of 2024")
    write_xls(tmp_path / "a.xls", STOCK)
    title = "<office:meta><dc:title>Oil of 2024</dc:title></office:meta>"
    write_ods(tmp_path / "a.ods", ods_table(STOCK), meta=title)
    (tmp_path / "a.xlsm").write_bytes((tmp_path / "a.xlsx").read_bytes())
    texts = {kind: read(tmp_path / f"a.{kind}") for kind in ("xlsx", "xlsm", "xls", "ods")}
    assert {kind: document.text for kind, document in texts.items()} == {
        "xlsx": SAID,
        "xlsm": SAID,
        "xls": SAID,
        "ods": SAID.replace("2.5", "2,5"),  # as it is shown
    }
    assert [document.title for document in texts.values()] == [
        "Oil of 2024",
        "Oil of 2024",
        "",
        "Oil of 2024",
    ]


def test_each_row_is_a_unit_below_its_sheet_and_the_line_above_its_table(tmp_path: Path) -> None:
    rows = [["id", "town", "price"], *([n, f"town {n % 7}", n / 4] for n in range(3000))]
    write_xlsx(tmp_path / "a.xlsx", {"Sales": [["Prices of oil"], [], *rows], "Empty": [], "Towns": rows[:3]})
    text = read(tmp_path / "a.xlsx").text
    assert levels_of_headings(text) == [("# Sales", 1), ("## Prices of oil", 2), ("# Towns", 1)]
    records = [f"id: {n}\ntown: town {n % 7}\nprice: {n / 4:.15g}" for n in range(3000)]
    assert of_kind("data", text) == [*records, *records[:2]]
    assert path_of(text, "id: 2999") == ("Sales", "Prices of oil")


def test_blank_rows_part_tables_and_one_without_a_header_goes_on_with_the_one_above(tmp_path: Path) -> None:
    text = text_of(
        tmp_path,
        [
            [],
            [None, "Name", "Town"],
            [None, "Ann", "Bergen"],
            [],
            [None, "Cid", "Oslo"],
            [None, "Eva", "Bodø"],
            [],
            [None, "Year", "Barrels"],
            [None, 2023, 4],
            [None, 2024, 7],
            [],
            [None, 2025, 9],
        ],
    )
    assert text.split("\n\n") == [
        "Name: Ann\nTown: Bergen",
        "Name: Cid\nTown: Oslo",
        "Name: Eva\nTown: Bodø",
        "Year: 2023\nBarrels: 4",
        "Year: 2024\nBarrels: 7",
        "Year: 2025\nBarrels: 9",
    ]


def test_a_table_of_figures_has_no_header_and_its_columns_are_numbered(tmp_path: Path) -> None:
    text = text_of(tmp_path, [[None, 12.5, 30], [None, 13.5, 40], [None, 14.5, 50]])
    assert text.split("\n\n")[0] == "column 2: 12.5\ncolumn 3: 30"


def test_merged_cells_are_said_in_each_place_and_a_header_of_two_rows_is_one(tmp_path: Path) -> None:
    rows = [
        ["Oil of the lamps"],
        ["Town", "2023", None, "2024", None],
        [None, "spring", "autumn", "spring", "autumn"],
        ["Bergen", 1, 2, 3, 4],
        [None, 5, 6, 7, 8],
    ]
    merged = ["A1:E1", "A2:A3", "B2:C2", "D2:E2", "A4:A5"]
    assert text_of(tmp_path, rows, *merged).split("\n\n") == [
        "## Oil of the lamps",
        "Town: Bergen\n2023 spring: 1\n2023 autumn: 2\n2024 spring: 3\n2024 autumn: 4",
        "Town: Bergen\n2023 spring: 5\n2023 autumn: 6\n2024 spring: 7\n2024 autumn: 8",
    ]


def test_forms_lists_and_notes_are_no_tables(tmp_path: Path) -> None:
    note = "The keeper counts the barrels on the first day of each month, and writes them down here."
    rows = [
        ["Keeper:", "Ann"],
        ["Since:", dt.date(2024, 5, 1)],
        [],
        ["Barrels"],
        ["oil"],
        ["tar"],
        [],
        [note],
        [f"{note} Twice."],
    ]
    assert text_of(tmp_path, rows).split("\n\n") == [
        "Keeper: Ann\nSince: 2024-05-01",
        "- Barrels\n- oil\n- tar",
        note,
        f"{note} Twice.",
    ]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (3.0, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (1 / 3, "0.00", "0.333333333333333"),
        (1e300, "General", "1e+300"),
        (True, "General", "TRUE"),
        (0.125, "0%", "12.5%"),
        (0.07, "0.0%", "7.0%"),
        (1234.5, '#,##0.00\\ "€"', "1234.50 €"),
        (-1234.5, "[$€-407] #,##0.00;[Red]-[$€-407] #,##0.00", "-€ 1234.50"),
        (501, "00000", "00501"),
        (12_000, '0,"k"', "12000"),
        (0.5, "# ?/?", "0.5"),
        (5, '_-* #,##0.00_-;-* #,##0.00_-;_-* "-"??_-', "5.00"),
        (dt.datetime(2024, 5, 1), "dd.mm.yyyy hh:mm", "2024-05-01"),
        (dt.datetime(2024, 5, 1, 9, 30), "dd.mm.yyyy hh:mm", "2024-05-01 09:30"),
        (dt.datetime(2024, 5, 1, 9, 30, 5), "dd.mm.yyyy hh:mm", "2024-05-01 09:30:05"),
        (dt.time(9, 30), "hh:mm", "09:30"),
        (dt.timedelta(hours=30, minutes=5), "[h]:mm", "30:05:00"),
        (" oil ", "@", "oil"),
    ],
)
def test_values_are_exact_and_have_the_units_of_their_formats(value: object, form: str, text: str) -> None:
    assert shown(value, form) == text


def test_formulas_are_what_they_gave_and_errors_are_said(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "made.xlsx", {"A": [["what", "value"], ["sum", "=1+1"], ["ratio", "=1/0"]]})
    with zipfile.ZipFile(tmp_path / "made.xlsx") as made, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as saved:
        for name in made.namelist():
            content = made.read(name).decode()
            for empty in ("<v/>", "<v></v>", "<v />"):
                content = content.replace(f"<f>1+1</f>{empty}", "<f>1+1</f><v>2</v>")
                content = content.replace(f"><f>1/0</f>{empty}", ' t="e"><f>1/0</f><v>#DIV/0!</v>')
            saved.writestr(name, content)
    assert read(tmp_path / "a.xlsx").text == "# A\n\nwhat: sum\nvalue: 2\n\nwhat: ratio\nvalue: #DIV/0!"


def test_line_ends_of_a_cell_stay_lines_of_it(tmp_path: Path) -> None:
    rows = [["Name", "Remark"], ["Ann", "first_x000D_\n\nsecond"], ["Cid", "third"]]  # as Excel saves CR LF
    assert text_of(tmp_path, rows).split("\n\n")[0] == "Name: Ann\nRemark: first\nsecond"


def test_what_is_hidden_is_left_out(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Oil", 3])
    book.create_sheet("Lists").append(["secret", 4])
    book["Lists"].sheet_state = "veryHidden"
    chart = BarChart()
    chart.add_data(Reference(book.active, min_col=2, min_row=1))
    book.create_chartsheet("Chart").add_chart(chart)
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx").text == "# Sheet\n\nOil: 3"
    style = (
        '<style:style style:name="h" style:family="table"><style:table-properties table:display="false"/>'
        "</style:style>"
    )
    hidden = ods_table([["secret"]]).replace("<table:table ", '<table:table table:style-name="h" ')
    write_ods(tmp_path / "a.ods", ods_table([["Oil", 3]]) + hidden, style)
    assert read(tmp_path / "a.ods").text == "# Stock\n\nOil: 3"
    write_ods(tmp_path / "a.ods", hidden, style)
    with pytest.raises(UnreadableFileError, match="all its sheets are hidden"):
        read(tmp_path / "a.ods")


def test_a_sheet_of_opendocument_repeats_rows_and_cells_and_shows_numbers(tmp_path: Path) -> None:
    def cell(attributes: str, *paragraphs: str) -> str:
        words = "".join(f"<text:p>{one}</text:p>" for one in paragraphs)
        return f"<table:table-cell {attributes}>{words}</table:table-cell>"

    number = 'office:value-type="{}" office:value="{}"'.format
    rows = [
        "".join(cell('office:value-type="string"', one) for one in ("what", "a", "b")),
        cell("", "same") + cell(f'{number("float", 7)} table:number-columns-repeated="2"', "007"),
        cell("", "shown") + cell(number("currency", 1234.5), "1.234,50 €") + cell(number("float", 1), "TRUE"),
        cell("", "rounded") + cell(number("percentage", 0.333), "33%") + cell(number("float", 2.25), "2"),
        cell("", "x<text:s text:c='2'/>y<text:line-break/>z", "w")
        + cell('office:value-type="date" office:date-value="2024-05-01T09:30:00"', "1 May")
        + cell('office:value-type="time" office:time-value="PT09H30M00S"', "9.30"),
    ]
    repeated = [" table:number-rows-repeated='2'" if "same" in row else "" for row in rows]
    rest = "<table:table-cell table:number-columns-repeated='16000'/>"
    written = "".join(
        f"<table:table-row{again}>{row}{rest}</table:table-row>"
        for again, row in zip(repeated, rows, strict=True)
    )
    blank = (
        "<table:table-row table:number-rows-repeated='1048000'>"
        "<table:table-cell table:number-columns-repeated='16384'/></table:table-row>"
    )
    write_ods(tmp_path / "a.ods", f'<table:table table:name="A">{written}{blank}</table:table>')
    assert read(tmp_path / "a.ods").text.split("\n\n")[1:] == [
        *["what: same\na: 007\nb: 007"] * 2,
        "what: shown\na: 1.234,50 €\nb: TRUE",
        "what: rounded\na: 33.3%\nb: 2.25",
        "what: x y\nz\nw\na: 2024-05-01 09:30\nb: 09:30",
    ]


def test_what_is_no_workbook_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_xlsx(tmp_path / "a.xlsx", {"Stock": STOCK})
    write_xls(tmp_path / "a.xls", STOCK)
    new, old = (tmp_path / "a.xlsx").read_bytes(), (tmp_path / "a.xls").read_bytes()
    backup, encryption = b"\x40\x00\x02\x00\x00\x00", b"\x2f\x00\x02\x00\x01\x00"  # records
    locked = old.replace(backup, encryption, 1)
    assert locked != old
    for name, content, reason in (
        ("a.xlsx", b"just words", "it is no XLSX$"),
        ("a.xlsx", old, "it is no XLSX, but an office file .* before 2007; save it as XLSX"),
        ("a.xlsx", new[: len(new) // 2], r"it is damaged, or no XLSX \(.*\); save it again"),
        ("a.xls", new, "it is no XLS, but a ZIP archive, as office files since 2007 are; save it as XLS"),
        ("a.xls", old[:1000], "it is damaged, or no XLS "),
        ("a.xls", locked, "it is encrypted; save it without a password"),
        ("a.xls", b"\t", "it is empty"),
        ("a.ods", new, "it is damaged, or no ODS "),
    ):
        with pytest.raises(UnreadableFileError, match=reason):
            read(tmp_path / name, content)
    write_ods(tmp_path / "a.ods", "", manifest="<encryption-data/>")
    with pytest.raises(UnreadableFileError, match="it is encrypted; save it without a password"):
        read(tmp_path / "a.ods")
    write_xlsx(tmp_path / "a.xlsx", {"Empty": []})
    with pytest.raises(UnreadableFileError, match="it holds no text"):
        read(tmp_path / "a.xlsx")
    monkeypatch.setattr(packed, "_MOST_BYTES", 100)
    with pytest.raises(UnreadableFileError, match=r"it unpacks to [\d,]+ bytes"):
        read(tmp_path / "a.xlsx", new)


def test_cells_far_apart_are_read_and_what_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "begin", "end"
    book.active.merged_cells.add("A1:XFC1048575")
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx").text == "# Sheet\n\n## begin\n\nend"
    monkeypatch.setattr(excel, "_MOST_PLACES", 100)
    with pytest.raises(UnreadableFileError, match="the cells of its sheet 'Sheet' are too far apart"):
        read(tmp_path / "a.xlsx")
    row = ods_table([["oil", 3]]).replace(
        "<table:table-row>", "<table:table-row table:number-rows-repeated='9'>"
    )
    write_ods(tmp_path / "a.ods", row)
    assert read(tmp_path / "a.ods").text.count("oil: oil") == 8
    monkeypatch.setattr(ods, "_MOST_REPEATED", 10)
    with pytest.raises(UnreadableFileError, match="it repeats more than 10 cells"):
        read(tmp_path / "a.ods")
