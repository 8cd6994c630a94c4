"""Slides to text, a page each, by python-pptx."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.cells import shown
from s3_retriever.sources.content import Content
from s3_retriever.sources.packed import damaged, open_packed

_NO_TITLES = ("powerpoint presentation", "powerpoint-präsentation", "présentation powerpoint")
_BAND = 1 / 20  # of a slide's height: what begins within it stands side by side
_LONGEST_TITLE = 100  # characters of a line that is a title where there is none
_LONGEST = 200  # characters of a cell that is said again
_MOST_DEPTH = 64  # of groups in groups
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
_BULLETS = (f"{_DRAWING}buChar", f"{_DRAWING}buAutoNum", f"{_DRAWING}buBlip")


def read_pptx(data: bytes) -> Content:
    """Return the text of slides as Markdown with a page for each, and the title that the document has.

    A slide's title, or else a short line at its top, is a heading, which is not said again on slides that
    go on with it. What stands on the slide follows from top to bottom: texts, lists, tables, the figures of
    charts, SmartArt; then what the speaker notes. The page of a hidden slide is empty.

    Raises:
        UnreadableFileError: It is no PPTX, damaged, encrypted, without text, or unpacks to more than a
            gigabyte.
    """
    import pptx

    open_packed(data, "PPTX").close()
    try:
        made = pptx.Presentation(io.BytesIO(data))
        band = max(1, int((made.slide_height or 0) * _BAND))
        slides = ["\n\n".join(parts) for parts in _slides(made.slides, band)]
        title = made.core_properties.title.strip()
    except Exception as error:  # python-pptx lets pass whatever it meets
        raise damaged(error, "PPTX") from error
    if not any(slides):
        msg = f"its {len(slides)} slides hold no text; pictures of text need OCR first"
        raise UnreadableFileError(msg)
    begins, length = [], 0
    for number, slide in enumerate(slides):
        begins.append(length)
        slides[number] = f"{slide}\n\n" if slide else ""
        length += len(slides[number])
    return Content("".join(slides), "" if title.lower() in _NO_TITLES else title, tuple(begins))


def _slides(slides: Iterable[Any], band: int) -> Iterator[list[str]]:
    """Yield the paragraphs of each slide."""
    above = ""
    for slide in slides:
        if slide.element.get("show") in ("0", "false"):
            yield []
            continue
        title, parts = _said(slide, band)
        if title and title != above:
            parts.insert(0, f"# {title}")
        above = title or above
        yield parts


def _said(slide: Any, band: int) -> tuple[str, list[str]]:
    """Return the title of a slide, and the paragraphs below it."""
    of_title = slide.shapes.title
    title = "" if of_title is None else _line(of_title.text_frame.text)
    shapes = [shape for shape in slide.shapes if of_title is None or shape.element is not of_title.element]
    parts = [part for shape in _in_order(shapes, band) for part in _parts(shape)]
    if not title and parts and "\n" not in parts[0] and len(parts[0]) <= _LONGEST_TITLE:
        title = parts.pop(0).removeprefix("- ")
    frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    if frame is not None and (notes := _words(frame.text).strip()):
        parts.append(f"Notes: {notes}")
    return title, parts


def _in_order(shapes: Iterable[Any], band: int, depth: int = 0) -> list[Any]:
    """Return shapes as they are read: from top to bottom, those side by side from left to right.

    The shapes of a group stand together, where it begins.
    """
    placed = sorted(shapes, key=lambda shape: shape.top or 0)
    ordered: list[Any] = []
    row: list[Any] = []
    for shape in [*placed, None]:
        if row and (shape is None or (shape.top or 0) - (row[0].top or 0) > band):
            for one in sorted(row, key=lambda shape: shape.left or 0):
                is_group = hasattr(one, "shapes") and depth < _MOST_DEPTH
                ordered += _in_order(one.shapes, band, depth + 1) if is_group else [one]
            row = []
        row.append(shape)
    return ordered


def _parts(shape: Any) -> Iterator[str]:
    from pptx.enum.shapes import PP_PLACEHOLDER

    if shape.is_placeholder and shape.placeholder_format.type in (
        PP_PLACEHOLDER.DATE,
        PP_PLACEHOLDER.FOOTER,
        PP_PLACEHOLDER.SLIDE_NUMBER,
    ):
        return
    if getattr(shape, "has_table", False):
        yield _table(shape.table)
    elif getattr(shape, "has_chart", False):
        with suppress(Exception):  # of a kind that python-pptx cannot read
            yield from _chart(shape.chart)
    elif (ids := shape.element.find(f".//{_DIAGRAM}relIds")) is not None:
        yield from _diagram(shape.part.related_part(ids.get(_DATA)).blob)
    elif shape.has_text_frame:
        is_body = shape.is_placeholder and shape.placeholder_format.type in (
            PP_PLACEHOLDER.BODY,
            PP_PLACEHOLDER.OBJECT,
        )
        lines = [*_lines(shape, is_listed=is_body)]
        if lines:
            yield "\n".join(lines)


def _lines(shape: Any, *, is_listed: bool) -> Iterator[str]:
    """Yield the paragraphs of a text, those with bullets as items of a list."""
    elements = shape.element.iter(f"{_DRAWING}p")  # only they say whether there is a bullet
    for paragraph, element in zip(shape.text_frame.paragraphs, elements, strict=False):
        words = _words(paragraph.text)
        if not words.strip():
            continue
        properties = element.find(f"{_DRAWING}pPr")
        marks = set() if properties is None else {child.tag for child in properties}
        is_item = not marks.isdisjoint(_BULLETS) or (is_listed and f"{_DRAWING}buNone" not in marks)
        indent = "  " * paragraph.level if is_item else ""
        yield f"{indent}{'- ' * is_item}{_line(words) if is_item else words.strip()}"


def _diagram(data: bytes) -> Iterator[str]:
    """Yield the texts of SmartArt as a list: python-pptx does not read it."""
    from lxml import etree

    points = etree.fromstring(data, etree.XMLParser(resolve_entities=False)).iter(f"{_DIAGRAM}t")
    texts = [_line(" ".join(run.text or "" for run in point.iter(f"{_DRAWING}t"))) for point in points]
    if any(texts):
        yield "\n".join(f"- {text}" for text in texts if text)


def _table(table: Any) -> str:
    """Return a table with pipes, a cell that spans several places in each of them, unless it is long."""
    rows = [[_cell(cell.text_frame.text) for cell in row.cells] for row in table.rows]
    for number, row in enumerate(table.rows):
        for column, cell in enumerate(row.cells):
            if cell.is_merge_origin and len(rows[number][column]) <= _LONGEST:
                for below in rows[number : number + cell.span_height]:
                    width = len(below[column : column + cell.span_width])
                    below[column : column + width] = [rows[number][column]] * width
    return _written(rows)


def _chart(chart: Any) -> Iterator[str]:
    """Yield the title of a chart, and its figures as a table: a row for each category."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield _line(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        series = [(one.name or "", [*one.values]) for one in plot.series]
        rows = [
            [str(category), *(_value(values, place) for _, values in series)]
            for place, category in enumerate(plot.categories)
        ]
        if rows:
            yield _written([[_cell(one) for one in row] for row in [["", *(n for n, _ in series)], *rows]])


def _value(values: list[Any], place: int) -> str:
    value = values[place] if place < len(values) else None
    return "" if value is None else shown(value, "")


def _written(rows: list[list[str]]) -> str:
    head, *below = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *below])


def _words(text: str) -> str:
    """Return a text with the line breaks that python-pptx has as vertical tabs."""
    return text.replace("\v", "\n")


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
