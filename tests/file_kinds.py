"""A folder of real files of many kinds, made of what Python brings along; and files that cannot be read."""

from __future__ import annotations

import csv
import errno
import html.entities
import http
import importlib
import inspect
import io
import json
import pydoc
import textwrap
import unicodedata
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import docx
import openpyxl
import pptx
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen import canvas

MODULES = ("abc", "bisect", "calendar", "colorsys", "copy", "heapq", "keyword", "operator", "queue", "sched")
TOPICS = sorted(name for name, text in topics.items() if len(text) > 500)
LONGEST = 1200  # characters of a text


def topic(number: int) -> tuple[str, str]:
    """A text about Python, in plain words."""
    name = TOPICS[number % len(TOPICS)]
    return name, topics[name][:LONGEST]


def write_pdf(
    path: Path, pages: Sequence[Sequence[str]], title: str | None = "", encrypt: Any = None
) -> None:
    """Write a PDF of pages of lines; a title of None leaves what reportlab writes."""
    made = canvas.Canvas(str(path), encrypt=encrypt)
    if title is not None:
        made.setTitle(title)
    for lines in pages:
        text = made.beginText(72, 770)
        for line in lines:
            text.textLine(line)
        made.drawText(text)
        made.showPage()
    made.save()


def write_docx(path: Path, title: str, paragraphs: Iterable[str], rows: Sequence[Sequence[str]] = ()) -> None:
    made = docx.Document()
    made.add_heading(title, 1)
    for paragraph in paragraphs:
        made.add_paragraph(paragraph)
    if rows:
        table = made.add_table(len(rows), len(rows[0]))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                table.cell(i, j).text = cell
    made.save(str(path))


def write_table(path: Path, rows: Iterable[Sequence[object]], **dialect: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **dialect).writerows(rows)


def write_xlsx(path: Path, sheets: dict[str, Sequence[Sequence[object]]], title: str = "") -> None:
    """Write a workbook of sheets of rows, by their names."""
    book = openpyxl.Workbook(write_only=True)
    book.properties.title = title
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


def write_pptx(path: Path, slides: dict[str, Sequence[str]], title: str = "") -> None:
    """Write slides with their titles, and below each a list."""
    made = pptx.Presentation()
    made.core_properties.title = title
    for heading, lines in slides.items():
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text = "\n".join(lines)
    made.save(str(path))


def pages_of(number: int) -> list[list[str]]:
    """Pages whose every line says on which page it stands."""
    _, text = topic(number)
    lines = textwrap.wrap(text.encode("ascii", "replace").decode(), 70)
    return [
        [f"{line} [p{n}]" for line in lines[at : at + 4]] for n, at in enumerate(range(0, len(lines), 4), 1)
    ]


def make_folder(folder: Path) -> Path:
    """Write 65 files of fourteen kinds below a folder."""
    for name in ("manuals", "notes/deep", "src", "tables", "web"):
        (folder / name).mkdir(parents=True)
    for number, name in enumerate(MODULES):
        module = importlib.import_module(name)
        source = inspect.getsource(module)[:LONGEST]
        (folder / "src" / f"{name}.py").write_text(source, encoding="utf-8")
        if number < 8:
            page = pydoc.html.page(name, pydoc.html.docmodule(module)[: 2 * LONGEST])
            (folder / "web" / f"{name}.html").write_text(page, encoding="utf-8")
    for number in range(8):
        name, text = topic(number)
        (folder / "notes" / f"{name}.rst").write_text(text, encoding="utf-8")
        name, text = topic(number + 8)
        (folder / "notes" / "deep" / f"{name}.md").write_text(f"# About {name}\n\n{text}", encoding="utf-8")
        name, text = topic(number + 16)
        (folder / "notes" / f"{name}.txt").write_bytes(text.replace("\n", "\r\n").encode())
    for number in range(10):
        name, text = topic(number + 24)
        write_pdf(folder / "manuals" / f"{name}.pdf", pages_of(number + 24), f"About {name}")
        name, text = topic(number + 34)
        rows = [["word", "letters"], *([word, str(len(word))] for word in text.split()[:5])]
        if number < 3:  # to read one takes a second
            write_docx(folder / "manuals" / f"{name}.docx", f"About {name}", text.split("\n\n"), rows)
    statuses = [
        ["code", "phrase", "description"],
        *([s.value, s.phrase, s.description] for s in http.HTTPStatus),
    ]
    write_table(folder / "tables" / "statuses.csv", statuses)
    write_xlsx(folder / "tables" / "statuses.xlsx", {"Statuses": statuses})
    write_pptx(folder / "manuals" / "topics.pptx", {topic(n)[0]: topic(n)[1].split("\n") for n in range(3)})
    write_table(folder / "tables" / "errors.csv", [["number", "name"], *sorted(errno.errorcode.items())[:40]])
    entities = [["name", "character"], *sorted(html.entities.html5.items())[:40]]
    write_table(folder / "tables" / "entities.csv", entities, delimiter=";")
    letters = [["letter", "name"], *([chr(n), unicodedata.name(chr(n))] for n in range(0x3B1, 0x3C9))]
    write_table(folder / "tables" / "letters.tsv", letters, delimiter="\t")
    (folder / "tables" / "entities.json").write_text(json.dumps(dict(entities[1:])), encoding="utf-8")
    (folder / "tables" / "letters.json").write_text(json.dumps(letters), encoding="utf-8")
    lines = [
        {"_id": one.name, "text": one.description or one.phrase, "code": one.value} for one in http.HTTPStatus
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines[:20])
    (folder / "tables" / "statuses.jsonl").write_text(text, encoding="utf-8")
    (folder / "tables" / "log.jsonl").write_text(
        '{"level": "info", "oil": 3}\n{"level": "warn"}\n', encoding="utf-8"
    )
    (folder / "src" / "settings.toml").write_text('[lamp]\noil = "in the cellar"\n', encoding="utf-8")
    (folder / "Makefile").write_text("light:\n\tfill the lamp with oil\n", encoding="utf-8")
    return folder


def add_unreadable(folder: Path) -> dict[str, str]:
    """Add files that give no document; return what is said of each, by its name."""
    packed = io.BytesIO()
    write_pdf(folder / "whole.pdf", [["Some text."]])
    whole = (folder / "whole.pdf").read_bytes()
    (folder / "whole.pdf").unlink()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("notes.txt", "no document")
    files = {
        "broken.pdf": (whole[: len(whole) // 3], "damaged"),
        "lying.pdf": (b"<html>no PDF</html>", "no PDF"),
        "scanned.pdf": (b"", "hold no text"),
        "secret.pdf": (b"", "encrypted"),
        "broken.docx": (b"PK\x03\x04 and nothing else", "damaged"),
        "archive.docx": (packed.getvalue(), "no DOCX"),
        "old.docx": (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
            "encrypted or of the format",
        ),
        "broken.xlsx": (b"PK\x03\x04 and nothing else", "damaged"),
        "archive.pptx": (packed.getvalue(), "no PPTX"),
        "secret.xlsx": (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            "encrypted; save it without a password",
        ),
        "page.xls": (b"<html><table><tr><td>1</table></html>", "no XLS"),
        "empty.txt": (b"", "empty"),
        "blank.md": (b" \n\t\r\n", "empty"),
        "hollow.html": (b"<html><script>only()</script></html>", "no text"),
        "program.py": (b"\x7fELF\x02\x01\x01" + bytes(60), "a program"),
        "picture.txt": (b"\x89PNG\r\n\x1a\n" + bytes(60), "a PNG picture"),
        "report.txt": (whole, "a PDF"),
        "noise": (bytes(range(256)), "binary"),
        "latin.txt": ("Wärter".encode("cp1252"), "not UTF-8 (byte 2)"),
        "huge.log": (b"oil " * 1_000_000, "more than the 2,000,000 that are allowed"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    write_pdf(folder / "scanned.pdf", [[], []])
    write_pdf(folder / "secret.pdf", [["secret"]], encrypt=StandardEncryption("key"))
    return {name: reason for name, (_, reason) in files.items()}


def write_notebook(path: Path, cells: Sequence[dict[str, Any]], **more: Any) -> None:
    """Write a notebook of format 4 with cells of ``cell_type`` and ``source``."""
    language = {"language_info": {"name": "python"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": language, "cells": cells, **more}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def write_epub(
    path: Path, title: str, chapters: dict[str, str], order: Sequence[str] = (), folder: str = "OEBPS/"
) -> None:
    """Write a book of XHTML chapters, by their names, which are read in an order."""
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    names = list(chapters)
    spine = "".join(f'<itemref idref="i{names.index(name)}"/>' for name in order or names)
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        f'<rootfiles><rootfile full-path="{folder}book.opf"/></rootfiles></container>'
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", container)
        book.writestr(f"{folder}book.opf", package)
        for name, chapter in chapters.items():
            book.writestr(folder + name.replace("%20", " "), chapter)
