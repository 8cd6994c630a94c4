"""Slides: a page each, with what stands on it in the order of reading, and what the speaker notes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pptx
import pytest
from file_kinds import write_pptx, write_xlsx
from found_units import levels_of_headings, path_of
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.util import Inches
from test_file_readers import read
from test_sheets import ods_table, write_ods

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources import packed

TITLE_AND_BODY, TITLE_ONLY, BLANK = 1, 5, 6  # layouts of python-pptx's own template


def box(shapes: Any, text: str, left: float, top: float) -> None:
    shapes.add_textbox(Inches(left), Inches(top), Inches(2), Inches(0.5)).text_frame.text = text


def test_a_slide_is_a_page_with_its_title_its_list_and_its_notes(tmp_path: Path) -> None:
    made = pptx.Presentation()
    made.core_properties.title = "The lamp"
    slide = made.slides.add_slide(made.slide_layouts[TITLE_AND_BODY])
    slide.shapes.title.text = "Oil\vand wick"
    text = slide.placeholders[1].text_frame
    text.text = "Oil comes first."
    for words, level in (("From Bergen", 1), ("Then the\vwick.", 0)):
        paragraph = text.add_paragraph()
        paragraph.text, paragraph.level = words, level
    slide.notes_slide.notes_text_frame.text = "Say it slowly.\nTwice."
    made.slides.add_slide(made.slide_layouts[TITLE_AND_BODY]).shapes.title.text = "Boats"
    made.save(str(tmp_path / "a.pptx"))
    document = read(tmp_path / "a.pptx")
    first = (
        "# Oil and wick\n\n- Oil comes first.\n  - From Bergen\n- Then the wick.\n\n"
        "Notes: Say it slowly.\nTwice.\n\n"
    )
    assert (document.title, document.pages) == ("The lamp", (0, len(first)))
    assert document.text == f"{first}# Boats\n\n"
    assert path_of(document.text, "Twice.") == ("Oil and wick",)
    (tmp_path / "a.pptm").write_bytes((tmp_path / "a.pptx").read_bytes())
    assert read(tmp_path / "a.pptm").text == document.text


def test_what_stands_on_a_slide_is_read_from_top_to_bottom_and_a_group_together(tmp_path: Path) -> None:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[BLANK])
    for text, left, top in (
        ("lower right", 5, 5),
        ("lower left", 1, 5.1),
        ("right", 5, 1.05),
        ("left", 1, 1.1),
    ):
        box(slide.shapes, text, left, top)
    group = slide.shapes.add_group_shape()
    box(group.shapes, "second of the group", 3, 6)
    box(group.shapes, "first of the group", 3, 3)
    made.save(str(tmp_path / "a.pptx"))
    assert read(tmp_path / "a.pptx").text.split("\n\n") == [
        "# left",  # the title that it looks like
        "right",
        "first of the group",
        "second of the group",
        "lower left",
        "lower right",
        "",
    ]


def test_tables_and_charts_are_tables(tmp_path: Path) -> None:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[TITLE_ONLY])
    slide.shapes.title.text = "Stock"
    table = slide.shapes.add_table(3, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for place, text in enumerate(["Town", "in | out", "Bergen", "3", "", "4"]):
        table.cell(place // 2, place % 2).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    data = CategoryChartData()
    data.categories = ["spring", "autumn"]
    data.add_series("2023", (1.5, 2))
    data.add_series("2024", (3, None))
    place = Inches(1), Inches(4), Inches(4), Inches(2)
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, data).chart
    chart.chart_title.text_frame.text = "Barrels of oil"
    made.save(str(tmp_path / "a.pptx"))
    assert read(tmp_path / "a.pptx").text.rstrip().split("\n\n") == [
        "# Stock",
        "| Town | in \\| out |\n| --- | --- |\n| Bergen | 3 |\n| Bergen | 4 |",
        "Barrels of oil",
        "|  | 2023 | 2024 |\n| --- | --- | --- |\n| spring | 1.5 | 3 |\n| autumn | 2 |  |",
    ]


def test_smart_art_is_a_list(tmp_path: Path) -> None:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[TITLE_ONLY])
    slide.shapes.title.text = "How oil is stored"
    uri = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
    spaces = f'xmlns:dgm="{uri}" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    points = "".join(
        f"<dgm:pt><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>"
        for text in ("It comes", "", "It stays")
    )
    data = f"<dgm:dataModel {spaces}><dgm:ptLst>{points}</dgm:ptLst></dgm:dataModel>".encode()
    kind = "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"
    part = Part(PackURI("/ppt/diagrams/data1.xml"), kind, slide.part.package, data)
    number = slide.part.relate_to(part, f"{RT.OFFICE_DOCUMENT.rpartition('/')[0]}/diagramData")
    frame = slide.shapes.add_table(1, 1, Inches(1), Inches(2), Inches(4), Inches(1)).element
    graphic = frame.find(".//{http://schemas.openxmlformats.org/drawingml/2006/main}graphicData")
    graphic.set("uri", uri)
    graphic[0].getparent().replace(
        graphic[0],
        parse_xml(
            f'<dgm:relIds {spaces} xmlns:r="{RT.OFFICE_DOCUMENT.rpartition("/")[0]}" r:dm="{number}"/>'
        ),
    )
    made.save(str(tmp_path / "a.pptx"))
    assert read(tmp_path / "a.pptx").text == "# How oil is stored\n\n- It comes\n- It stays\n\n"


def test_a_hidden_slide_is_an_empty_page_and_a_title_goes_on_over_slides(tmp_path: Path) -> None:
    path = tmp_path / "a.pptx"
    made = pptx.Presentation()
    for title, line in (
        ("Oil", "one"),
        ("secret", "two"),
        ("Oil", "three"),
        ("Oil", "four"),
        ("Boats", "five"),
    ):
        slide = made.slides.add_slide(made.slide_layouts[TITLE_AND_BODY])
        slide.shapes.title.text, slide.placeholders[1].text = title, line
        if title == "secret":
            slide.element.set("show", "0")
    made.save(str(path))
    document = read(path)
    assert document.text == "# Oil\n\n- one\n\n- three\n\n- four\n\n# Boats\n\n- five\n\n"
    assert [
        document.pages_of(at, at + 4) for at in map(document.text.index, ("one", "thre", "four", "five"))
    ] == [
        (1,),
        (3,),
        (4,),
        (5,),
    ]
    assert levels_of_headings(document.text) == [("# Oil", 1), ("# Boats", 1)]
    assert path_of(document.text, "four") == ("Oil",)


def test_what_is_no_presentation_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pptx"
    write_pptx(path, {"Oil": ["It is in the cellar."]}, "PowerPoint Presentation")
    whole = path.read_bytes()
    assert read(path).title == ""  # what PowerPoint writes for none
    for content, reason in (
        (b"just words", "it is no PPTX$"),
        (b"%PDF-1.4", "it is no PPTX, but a PDF; save it as PPTX"),
        (whole[: len(whole) // 2], r"it is damaged, or no PPTX \(.*\); save it again"),
    ):
        with pytest.raises(UnreadableFileError, match=reason):
            read(path, content)
    write_pptx(path, {"": []})
    with pytest.raises(
        UnreadableFileError, match="its 1 slides hold no text; pictures of text need OCR first"
    ):
        read(path)
    monkeypatch.setattr(packed, "_MOST_BYTES", 100)
    with pytest.raises(UnreadableFileError, match=r"it unpacks to [\d,]+ bytes"):
        read(path, whole)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a.pptx", "ppt/slides/slide1.xml"),
        ("a.xlsx", "xl/worksheets/sheet1.xml"),
        ("a.xlsx", "xl/workbook.xml"),
        ("a.ods", "content.xml"),
    ],
)
def test_entities_are_not_read_from_other_files(name: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret", encoding="utf-8")
    write_pptx(tmp_path / "whole.pptx", {"Oil": ["the cellar"]})
    write_xlsx(tmp_path / "whole.xlsx", {"the cellar": [["the cellar"]]})
    write_ods(tmp_path / "whole.ods", ods_table([["the cellar"]]))
    path = tmp_path / f"whole{Path(name).suffix}"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / name, "w") as made:
        for one in whole.namelist():
            content = whole.read(one)
            if one == part:
                declaration, _, rest = content.rpartition(b"?>")
                kind = f'<!DOCTYPE x [<!ENTITY from SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'.encode()
                assert b"the cellar" in rest
                content = (
                    declaration + b"?>" * bool(declaration) + kind + rest.replace(b"the cellar", b"in &from;")
                )
            made.writestr(one, content)
    try:
        text = read(tmp_path / name).text
    except UnreadableFileError:
        return
    assert "secret" not in text
