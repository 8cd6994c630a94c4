"""Which files are found below paths, and what they are called."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from s3_retriever import InvalidInputError
from s3_retriever.sources.corpus import Corpus
from s3_retriever.sources.files import FileSettings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.md", "b/c.txt", "b/d/e.py", "b.txt", ".hidden", ".git/f.txt", "b/__pycache__/g.py",
                 "venv/pyvenv.cfg", "venv/lib/h.py", "b/i.min.js"):  # fmt: skip
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}", encoding="utf-8")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.md").write_text("another a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(*paths: str, **settings: object) -> list[str]:
    corpus = Corpus(paths, FileSettings(**settings))  # type: ignore[arg-type]
    corpus.survey()
    assert not corpus.problems
    return list(corpus.entries)


ALL = ["a.md", "b/c.txt", "b/d/e.py", "b/i.min.js", "b.txt"]


def test_ids_are_paths_below_the_folder_with_slashes(folder: Path) -> None:
    assert ids("docs") == ids(str(folder / "docs")) == ids("./docs/") == ALL
    assert ids("docs", "other") == [*(f"docs/{name}" for name in ALL), "other/a.md"]
    assert ids("docs/a.md") == ["docs/a.md"]
    assert ids(str(folder / "docs" / "a.md")) == ["a.md"]
    assert ids("docs/**/*.txt") == ["docs/b.txt", "docs/b/c.txt"]
    assert ids("docs/a.md", "docs/*.md", "docs/../docs/b.txt") == ["docs/a.md", "b.txt"]


def test_patterns_leave_files_and_folders_out(folder: Path) -> None:
    assert ids("docs", exclude=("*.min.js", "b/d")) == ["a.md", "b/c.txt", "b.txt"]
    assert ids("docs", exclude=("d/", "*.txt")) == ["a.md", "b/i.min.js"]


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"would both have the id 'a\.md'; index them apart"):
        ids(str(folder / "docs" / "a.md"), str(folder / "other" / "a.md"))


@pytest.mark.parametrize("path", ["nowhere", "docs/*.pdf", "docs/a.txt"])
def test_paths_that_are_not_there_are_named(path: str, folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=path.replace("*", r"\*")):
        ids("docs", path)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_are_not_followed_unless_they_are_given(folder: Path) -> None:
    (folder / "docs" / "loop").symlink_to(folder / "docs")
    (folder / "docs" / "link.md").symlink_to(folder / "other" / "a.md")
    (folder / "current").symlink_to(folder / "docs")
    assert ids("docs") == ids("current") == ALL


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_in_a_folder_are_passed_over(folder: Path) -> None:
    os.mkfifo(folder / "docs" / "pipe")
    assert ids("docs") == ALL


@pytest.mark.skipif(sys.platform != "linux", reason="names there are bytes")
def test_names_that_are_no_text_have_an_id_too(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder / "docs") + b"/\xff.txt")).write_text("odd", encoding="utf-8")
    assert "\udcff.txt" in ids("docs")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_what_nobody_may_read_is_listed(folder: Path) -> None:
    (folder / "docs" / "a.md").chmod(0)
    (folder / "docs" / "b").chmod(0)
    corpus = Corpus(["docs"])
    corpus.survey()
    (folder / "docs" / "b").chmod(0o700)
    assert [str(one) for one in corpus.problems] == ["a.md: Permission denied", "b: Permission denied"]
    assert corpus.keeps("b/d/e.py")
    assert not corpus.keeps("b.txt")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"_id": "a", "text": "one"}\n\n{"_id": "b", "text": "two"}\n', {"a": "one", "b": "two"}),
        ("Only text.\n", {"stdin": "Only text.\n"}),
        ('{"level": "info"}\n', {"stdin": '{"level": "info"}\n'}),
    ],
)
def test_standard_input_is_text_or_lines_of_documents(
    content: str, found: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    corpus = Corpus(["-"])
    corpus.survey()
    assert {entry.id: corpus.read(entry).text for entry in corpus} == found


def test_lines_are_documents_and_bad_ones_are_listed(folder: Path) -> None:
    lines = [
        '{"_id": "a", "text": "one", "town": "Bergen", "metadata": {"year": 3, "town": "Oslo"}}',
        '{"_id": "a", "text": "again"}',
        '{"_id": "", "text": "none"}',
        "nonsense",
        '{"_id": "b", "title": "B", "text": "zwei ä"}',
        '{"_id": "c", "text": "three", "metadata": [1]}',
    ]
    (folder / "docs" / "c.jsonl").write_text("\r\n".join(lines), encoding="utf-8")
    for path, prefix in (("docs/c.jsonl", ""), ("docs", "c.jsonl#")):
        corpus = Corpus([path])
        corpus.survey()
        documents = {entry.id: corpus.read(entry) for entry in corpus if entry.start is not None}
        assert list(documents) == [f"{prefix}a", f"{prefix}b"]
        assert documents[f"{prefix}a"].metadata == {"town": "Oslo", "year": 3}
        assert (documents[f"{prefix}b"].title, documents[f"{prefix}b"].text) == ("B", "zwei ä")
        assert [problem.path.partition(", ")[2] for problem in corpus.problems] == [
            f"line {n}" for n in (2, 3, 4, 6)
        ]
        assert "the id 'a' is that of line 1" in corpus.problems[0].reason
        assert "metadata must be an object" in corpus.problems[3].reason
        assert corpus.keeps(f"{prefix}c")
