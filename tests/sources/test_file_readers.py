"""What each kind of file becomes: text as its library gives it, pages, titles; and what is no document."""

from __future__ import annotations

from pathlib import Path

import docx
import pypdfium2
import pytest
from file_kinds import add_unreadable, write_docx, write_pdf

from s3_retriever import Document, InvalidInputError, MissingDependencyError, checks
from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.corpus import Corpus
from s3_retriever.sources.files import FileSettings


def read(path: Path, content: bytes | str = b"", **settings: object) -> Document:
    """Read a file as the only document of a corpus."""
    if content:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    corpus = Corpus([str(path)], FileSettings(**settings), strict=True)  # type: ignore[arg-type]
    corpus.survey()
    (entry,) = corpus
    return corpus.read(entry)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst", "a.py", "LICENSE", "a.unknown"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_what_the_file_says_to_the_last_line_end(name: str, encoding: str, tmp_path: Path) -> None:
    text = "Der Wärter\r\nlagert\rÖl.\n\n  漢字 🧑‍🚀\n"
    document = read(tmp_path / name, text.encode(encoding))
    assert (document.id, document.text, document.title, document.pages) == (name, text, "", ())
    assert document.metadata == {"path": name, "type": name.partition(".")[2] or "text"}


def test_another_encoding_has_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(InvalidInputError, match=r"not UTF-8 \(byte 6\); name its encoding"):
        read(path, "Der Wärter".encode("cp1252"))
    assert read(path, encoding="cp1252").text == "Der Wärter"
    assert read(path, "Der Wärter", encoding="cp1252").text == "Der Wärter"
    with pytest.raises(InvalidInputError, match="neither UTF-8 nor ascii"):
        read(path, "Der Wärter".encode("cp1252"), encoding="ascii")
    with pytest.raises(InvalidInputError, match="encoding must be one that Python knows"):
        FileSettings(encoding="latin-nine")


def test_html_becomes_markdown_without_what_nobody_sees(tmp_path: Path) -> None:
    page = """<!doctype html><title>The harbour &amp; Co</title><style>p {}</style><script>no()</script>
    <!-- no --><h1>Har<b>bour</b></h1><p>The keep<em>er</em> stores_the oil*.<ul><li>one<li>two</ul>
    <table><tr><th>Name<th>Age<tr><td>Ann<td>3</table><pre>  code\n    here</pre>
    <p><a href="x.html">A link</a> <img src="a.png" alt="no">, &eacute;"""
    document = read(tmp_path / "a.html", page)
    assert document.title == "The harbour & Co"
    assert document.text == (
        "# Harbour\n\nThe keeper stores_the oil*.\n\n- one\n- two\n\n"
        "| Name | Age |\n| --- | --- |\n| Ann | 3 |\n\n```\n  code\n    here\n```\n\nA link , é"
    )


@pytest.mark.parametrize("head", ['<meta charset="shift_jis">', '<?xml version="1.0" encoding="shift_jis"?>'])
def test_html_is_read_in_the_encoding_that_it_declares(head: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.htm", f"{head}<p>灯台守".encode("shift_jis")).text == "灯台守"
    assert read(tmp_path / "b.htm", "<meta charset=nonsense><p>灯台守").text == "灯台守"


def test_a_pipe_within_a_cell_parts_no_cells(tmp_path: Path) -> None:
    page = (
        "<table><tr><th>Option</th><th>Meaning</th></tr>"
        "<tr><td><code>a|b</code></td><td>first or last</td></tr>"
        "<tr><td>x</td><td>in | out<!-- a|b --></td></tr></table>"
    )
    assert read(tmp_path / "page.html", page).text.splitlines() == [
        "| Option | Meaning |",
        "| --- | --- |",
        r"| `a\|b` | first or last |",
        r"| x | in \| out |",
    ]


def test_pipes_in_deep_nesting_take_no_longer(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="nested too deeply"):
        read(tmp_path / "deep.html", "<div>|" * 20_000)  # took minutes where each pipe looked for its cell


def test_docx_becomes_markdown_with_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    write_docx(path, "Harbour", ["The keeper stores oil.", "In the cellar."], [["Name", "Age"], ["Ann", "3"]])
    assert read(path).text == (
        "# Harbour\n\nThe keeper stores oil.\n\nIn the cellar.\n\n| Name | Age |\n| --- | --- |\n| Ann | 3 |"
    )
    words = " ".join(paragraph.text for paragraph in docx.Document(str(path)).paragraphs).split()
    assert [word for word in read(path).text.split() if word in words] == words


def test_a_pdf_keeps_its_pages_and_title(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    write_pdf(path, [["The light-", "house keeper"], [], ["stores oil.", "Twice."]], "The keeper's book")
    document = read(path)
    assert document.text == "The light-\nhouse keeper\nstores oil.\nTwice.\n"
    assert document.pages == (0, 24, 24)
    assert document.title == "The keeper's book"
    of_library = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path)]
    assert [text.replace("\ufffe", "-\n").replace("\r\n", "\n") for text in of_library] == [
        document.text[begin:end].rstrip("\n") for begin, end in zip((0, 24, 24), (24, 24, 99), strict=True)
    ]


@pytest.mark.parametrize("title", [None, "Untitled", "(unspecified)"])
def test_what_a_program_writes_for_no_title_is_none(tmp_path: Path, title: str | None) -> None:
    write_pdf(tmp_path / "a.pdf", [["open"]], title)  # None: what reportlab writes by itself
    assert read(tmp_path / "a.pdf").title == ""


def test_only_the_owners_password_is_no_hindrance(tmp_path: Path) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption

    write_pdf(tmp_path / "a.pdf", [["open"]], encrypt=StandardEncryption("", ownerPassword="key", canPrint=0))
    assert read(tmp_path / "a.pdf").text == "open\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'name,town\r\n"Ann, B",Bergen\r\n\r\nCid,"two\r\nlines",more\r\n'),
        ("a.csv", 'name;town\n"Ann, B";Bergen\n;\nCid;"two\nlines";more\n'),
        ("a.tsv", 'name\ttown\nAnn, B\tBergen\nCid\t"two\nlines"\tmore\n'),
    ],
)
def test_a_row_of_a_table_says_its_columns(name: str, content: str, tmp_path: Path) -> None:
    text = read(tmp_path / name, content).text.replace("\r\n", "\n")
    assert text == "name: Ann, B\ntown: Bergen\n\nname: Cid\ntown: two\nlines\ncolumn 3: more"


def test_json_has_a_line_for_each_value_and_no_escapes(tmp_path: Path) -> None:
    text = read(tmp_path / "a.json", r'{"town":"Troms\u00f8","tags":["a",1]}').text
    assert text == '{\n "town": "Tromsø",\n "tags": [\n  "a",\n  1\n ]\n}'


def test_what_cannot_be_read_is_listed_with_its_reason_and_nothing_else_is_lost(tmp_path: Path) -> None:
    write_pdf(tmp_path / "a.pdf", [["whole"]])
    (tmp_path / "z.txt").write_text("whole", encoding="utf-8")
    reasons = add_unreadable(tmp_path)
    corpus = Corpus([str(tmp_path)], FileSettings(max_bytes=2_000_000))
    corpus.survey()
    assert [document.id for document in corpus.documents()] == ["a.pdf", "z.txt"]
    assert {problem.path for problem in corpus.problems} == reasons.keys()
    for problem in corpus.problems:
        assert reasons[problem.path] in problem.reason, problem
        assert "\n" not in problem.reason


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.html", "a.ods", "a.pptm", "a.xls", "a.xlsm"])
def test_a_missing_library_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str) -> None:
        raise ImportError(module)

    (tmp_path / name).write_text("something", encoding="utf-8")
    monkeypatch.setattr(checks.importlib, "import_module", missing)
    way = r'\.\w+ files need [\w-]+: pip install "s3-retriever\[files\]"'
    with pytest.raises(MissingDependencyError, match=way):
        Corpus([str(tmp_path)]).survey()
