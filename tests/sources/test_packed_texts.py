"""Notebooks, mails and books: what they say, not how it is packed; each damaged one is one clear error."""

from __future__ import annotations

import json
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest
from file_kinds import write_epub, write_notebook
from found_units import levels_of_headings, of_kind
from test_file_readers import read

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources import packed


def test_a_notebook_is_its_cells_with_what_they_printed(tmp_path: Path) -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["3 barrels\n", "\x1b[31mleft\x1b[0m\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["42"], "text/html": ["<b>42</b>"]}},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no oil", "traceback": ["\x1b[0;31m---"]},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Oil\n", "\n", "The keeper counts.\n"]},
        {"cell_type": "code", "source": "count(oil)\n", "outputs": outputs},
        {"cell_type": "code", "source": [], "outputs": []},
        {"cell_type": "markdown", "source": "See ![lamp](data:image/png;base64,iVBORw0KGgo=) it."},
        {"cell_type": "raw", "source": "As it is."},
    ]
    write_notebook(tmp_path / "a.ipynb", cells)
    text = read(tmp_path / "a.ipynb").text
    assert text == (
        "# Oil\n\nThe keeper counts.\n\n```python\ncount(oil)\n```\n\n```text\n3 barrels\nleft\n```\n\n"
        "```text\n42\n```\n\n```text\nValueError: no oil\n```\n\nSee ![lamp]() it.\n\nAs it is."
    )
    assert levels_of_headings(text) == [("# Oil", 1)]


def test_a_long_output_is_shortened_and_a_fence_within_a_cell_ends_nothing(tmp_path: Path) -> None:
    output = {"output_type": "stream", "text": "".join(f"barrel {n}\n" for n in range(500))}
    cells = [{"cell_type": "code", "source": "text = '''\n```\n'''", "outputs": [output]}]
    write_notebook(tmp_path / "a.ipynb", cells)
    text = read(tmp_path / "a.ipynb").text
    assert text.startswith("````python\ntext = '''\n```\n'''\n````\n\n```text\nbarrel 0\n")
    assert "barrel 19\n...\n```" in text and "barrel 20\n" not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"cells": [', "not JSON"),
        ('{"oil": 3}', "no notebook of format 4"),
        ("[1]", "no notebook of format 4"),
        ('{"nbformat": 3, "worksheets": []}', "no notebook of format 4"),
        ('{"nbformat": 4, "cells": [3]}', "no notebook of format 4"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "no notebook of format 4"),
        ('{"nbformat": 4, "cells": []}', "holds no text"),
    ],
)
def test_what_is_no_notebook_is_said(content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=reason):
        read(tmp_path / "a.ipynb", content)


def mail(
    subject: str, text: str, html: str = "", charset: str = "utf-8", cte: str = "base64"
) -> EmailMessage:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = subject, "Åse Lane <ase@example.org>", "keeper@example.org"
    made["Date"] = "Mon, 04 May 2026 09:00:00 +0000"
    if text:
        made.set_content(text, charset=charset, cte=cte)
    if html and text:
        made.add_alternative(html, subtype="html")
    elif html:
        made.set_content(html, subtype="html", cte=cte)
    return made


HEAD = "From: Åse Lane <ase@example.org>\nTo: keeper@example.org\nDate: Mon, 04 May 2026 09:00:00 +0000\n\n"


@pytest.mark.parametrize("cte", ["base64", "quoted-printable"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_a_mail_is_its_head_and_its_plain_text(cte: str, charset: str, tmp_path: Path) -> None:
    made = mail("Öl für die Lampe", "The keeper = the Wärter.\n", "<p>No</p>", charset, cte)
    made.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="tide table.pdf")
    document = read(tmp_path / "a.eml", made.as_bytes())
    assert document.title == "Öl für die Lampe"
    assert document.text == (
        f"Subject: Öl für die Lampe\n{HEAD}The keeper = the Wärter.\n\nAttachment: tide table.pdf\n"
    )


def test_a_mail_of_html_alone_is_read_as_a_page(tmp_path: Path) -> None:
    made = mail("Oil", "", "<h1>Oil</h1><p>It is <b>here</b>, Wärter.</p>", cte="quoted-printable")
    assert read(tmp_path / "a.eml", made.as_bytes()).text == (
        f"Subject: Oil\n{HEAD}# Oil\n\nIt is here, Wärter.\n"
    )


def test_texts_of_a_mail_without_names_are_read_and_what_has_one_is_named(tmp_path: Path) -> None:
    made = mail("Oil", "First.\n", cte="7bit")
    made.add_attachment("Second.\n", disposition="inline")
    made.add_attachment("Third.\n", filename="log.txt", disposition="inline")
    made.add_attachment(mail("Boats", "Fourth.\n"))
    assert read(tmp_path / "a.eml", made.as_bytes()).text == (
        f"Subject: Oil\n{HEAD}First.\n\nSecond.\n\nAttachment: log.txt\n\nAttachment: message/rfc822\n"
    )


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_mailbox_has_a_heading_for_each_mail(end: bytes, tmp_path: Path) -> None:
    box = b"".join(
        b"From ase@example.org Mon May  4 09:00:00 2026\n" + made.as_bytes() + b"\n"
        for made in (
            mail("Oil", "It came.\n>From Bergen, it says.\n", cte="7bit"),
            mail("Boats", "They left.\n", cte="7bit"),
        )
    )
    text = read(tmp_path / "a.mbox", box.replace(b"\n", end)).text
    assert text == (f"# Oil\n\n{HEAD}It came.\nFrom Bergen, it says.\n\n# Boats\n\n{HEAD}They left.\n")
    assert [heading for heading, _ in levels_of_headings(text)] == ["# Oil", "# Boats"]


def test_a_mail_in_an_unknown_character_set_is_read_as_any_text(tmp_path: Path) -> None:
    made = b"Subject: Oil\nContent-Type: text/plain; charset=nonsense\n\nDer W\xc3\xa4rter.\n"
    assert read(tmp_path / "a.eml", made).text == "Subject: Oil\n\nDer Wärter.\n"


@pytest.mark.parametrize("name", ["a.eml", "a.mbox"])
def test_what_is_no_mail_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="it is no mail"):
        read(tmp_path / name, "just words\n")


CHAPTERS = {
    "two%20b.xhtml": "<html><body><h1>Boats</h1><p>They leave at nine.</p></body></html>",
    "one.xhtml": '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>'
    "<title>x</title></head><body><h1>Oil</h1><p>It is in the cellar.</p></body></html>",
}


@pytest.mark.parametrize("folder", ["OEBPS/", ""])
def test_a_book_is_its_chapters_in_the_order_of_reading(folder: str, tmp_path: Path) -> None:
    order = ["one.xhtml", "two%20b.xhtml", "one.xhtml"]
    write_epub(tmp_path / "a.epub", "The lamp &amp; I", CHAPTERS, order, folder)
    document = read(tmp_path / "a.epub")
    assert document.title == "The lamp & I"
    assert document.text == "# Oil\n\nIt is in the cellar.\n\n# Boats\n\nThey leave at nine."
    assert of_kind("heading", document.text) == ["# Oil", "# Boats"]


def test_what_is_no_book_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.epub"
    write_epub(path, "The lamp", CHAPTERS)
    whole = path.read_bytes()
    for content, reason in (
        (b"just words", "it is no EPUB$"),
        (b"%PDF-1.4", "it is no EPUB, but a PDF"),
        (whole[: len(whole) // 2], "it is damaged, or no EPUB"),
    ):
        with pytest.raises(UnreadableFileError, match=reason):
            read(path, content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no book")
    with pytest.raises(UnreadableFileError, match="it is damaged, or no EPUB"):
        read(path)
    write_epub(path, "The lamp", {"one.xhtml": "\x01\0\0\x02"})
    with pytest.raises(UnreadableFileError, match=r"its OEBPS/one\.xhtml cannot be read: it is no text"):
        read(path)
    monkeypatch.setattr(packed, "_MOST_BYTES", 100)
    with pytest.raises(UnreadableFileError, match=r"it unpacks to [\d,]+ bytes"):
        read(path, whole)


def test_strange_notebooks_take_no_longer(tmp_path: Path) -> None:
    source = "`" * 100_000 + "(data:image/" * 100_000
    cells = [{"cell_type": kind, "source": source} for kind in ("code", "markdown")]
    (tmp_path / "a.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}), encoding="utf-8")
    assert len(read(tmp_path / "a.ipynb").text) < 5 * len(source)
