"""An index that follows files: what a sync does, and that its answers are right to the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from file_kinds import add_unreadable, make_folder, write_docx, write_pdf

from s3_retriever import InvalidInputError, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.host import Host
from s3_retriever.sources.corpus import Corpus
from s3_retriever.sources.files import FileSettings
from s3_retriever.syncing import SyncResult, sync

CONFIG = RetrieverConfig(ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=2048))
QUESTIONS = ("What does the module do?", "How is a class made?", "not found", "[p2] [p3]")

Update = Callable[..., SyncResult]


@pytest.fixture
def empty(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    return S3Retriever(host=tiny_host, artifact=tiny_artifact, config=CONFIG)


def update(retriever: S3Retriever, *paths: Path, **settings: object) -> SyncResult:
    corpus = Corpus([str(path) for path in paths], FileSettings(**settings))  # type: ignore[arg-type]
    corpus.survey()
    return sync(retriever, corpus, lambda: None)


def check_answers(retriever: S3Retriever, folder: Path) -> int:
    """Look up every passage in the text that a library gives for its file; return how many cross pages."""
    crossing = 0
    for question in QUESTIONS:
        for span in retriever.retrieve(question, 1500):
            document = retriever.document(span.doc_id)
            assert span.text == document.text[span.start : span.end]
            name = span.doc_id.partition("#")[0]
            assert document.metadata.get("path", name) == name
            if not name.endswith(".pdf"):
                assert (span.pages != ()) == name.endswith(".pptx")
                continue
            with pypdfium2.PdfDocument(folder / name) as pdf:
                pages = [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in pdf]
            found = document.pages_of(span.start, span.end)
            assert span.pages == found
            said = {int(number) for number in re.findall(r"\[p(\d+)\]", span.text)}
            assert said <= set(span.pages)
            joined = "\n".join(pages[number - 1] for number in span.pages)
            assert span.text.strip() in joined
            crossing += len(span.pages) > 1
    return crossing


@pytest.mark.long
def test_a_folder_of_every_kind_is_indexed_and_followed(empty: S3Retriever, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 60
    assert len({path.suffix for path in files}) >= 10
    first = update(empty, folder)
    assert len(first.added) == len(empty) == len(files) + 19  # a document for each of 20 lines
    assert not (first.changed or first.deleted or first.problems)
    assert check_answers(empty, folder)
    again = update(empty, folder)
    assert again.is_empty
    assert again.unchanged == len(empty)

    # Edits of every kind; and files that cannot be read.
    changed = sorted((folder / "notes").glob("*.txt"))[:2]
    for path in changed:
        path.write_text("The keeper keeps the oil elsewhere now.", encoding="utf-8")
    pdf, word = (next(iter(sorted((folder / "manuals").glob(f"*.{kind}")))) for kind in ("pdf", "docx"))
    write_pdf(pdf, [["New words [p1]"], ["and more of them [p2]"]])
    write_docx(word, "New", ["Quite other words."])
    gone = sorted((folder / "src").glob("*.py"))[:3]
    for path in gone:
        path.unlink()
    shutil.move(folder / "Makefile", folder / "src" / "Makefile")
    lines = (folder / "tables" / "statuses.jsonl").read_text(encoding="utf-8").splitlines()
    lines[3:5] = ['{"_id": "new", "text": "A new line."}']
    (folder / "tables" / "statuses.jsonl").write_text("\n".join(lines), encoding="utf-8")
    reasons = add_unreadable(folder)
    untouched = {doc_id: empty.document(doc_id) for doc_id in empty.document_ids}

    second = update(empty, folder, max_bytes=2_000_000)
    ids = [path.relative_to(folder).as_posix() for path in sorted([*changed, pdf, word])]
    assert sorted(second.changed) == ids
    assert set(second.added) == {"src/Makefile", "tables/statuses.jsonl#new"}
    assert len(second.deleted) == 3 + 1 + 2
    assert {problem.path for problem in second.problems} == reasons.keys()
    assert check_answers(empty, folder)
    for doc_id in set(empty.document_ids) - {*second.added, *second.changed}:
        assert empty.document(doc_id) == untouched[doc_id]

    fresh = S3Retriever(host=empty.host, artifact=empty.artifact, config=CONFIG)
    update(fresh, folder, max_bytes=2_000_000)
    assert sorted(fresh.document_ids) == sorted(empty.document_ids)
    for doc_id in fresh.document_ids:
        assert fresh.document(doc_id) == empty.document(doc_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"The text of {name}.", encoding="utf-8")
    return folder


def test_what_became_unreadable_keeps_what_the_index_said(empty: S3Retriever, folder: Path) -> None:
    update(empty, folder)
    (folder / "a.txt").write_bytes(b"")
    (folder / "b.txt").write_bytes(b"\xff\xfe\xfd")
    result = update(empty, folder)
    assert [problem.path for problem in result.problems] == ["a.txt", "b.txt"]
    assert result.is_empty
    assert result.unchanged == 1
    assert empty.document("a.txt").text == "The text of a."


def test_documents_that_came_from_elsewhere_stay(empty: S3Retriever, folder: Path) -> None:
    empty.add([{"id": "note", "text": "Added by hand."}, {"id": "b.txt", "text": "By hand, too."}])
    result = update(empty, folder)
    assert (result.added, result.changed) == (("a.txt", "c.txt"), ("b.txt",))
    (folder / "c.txt").unlink()
    assert update(empty, folder).deleted == ("c.txt",)
    assert sorted(empty.document_ids) == ["a.txt", "b.txt", "note"]


def test_an_empty_folder_and_another_one_delete_nothing(
    empty: S3Retriever, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidInputError, match="other: no document there"):
        update(empty, tmp_path / "other")
    update(empty, folder)
    with pytest.raises(InvalidInputError, match="other: no document there"):
        update(empty, tmp_path / "other")
    (tmp_path / "other" / "z.txt").write_text("Something else.", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="of 3 documents that the index has of files none is there"):
        update(empty, tmp_path / "other")
    assert empty.document_ids == ("a.txt", "b.txt", "c.txt")
    (folder / "a.txt").rename(tmp_path / "other" / "renamed.txt")  # a document of it is there
    assert update(empty, tmp_path / "other").added == ("renamed.txt", "z.txt")


def test_each_commit_is_a_part_of_the_whole_and_the_next_sync_goes_on(
    empty: S3Retriever, folder: Path, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def commit() -> None:
        empty.save(tmp_path / "index")
        raise Stop

    for n in range(1, 3):
        corpus = Corpus([str(folder)])
        corpus.survey()
        with pytest.raises(Stop):
            sync(empty, corpus, commit, commit_every=0)
        assert len(S3Retriever.load(tmp_path / "index", host=empty.host)) == n
        empty = S3Retriever.load(tmp_path / "index", host=empty.host)
    assert update(empty, folder).added == ("c.txt",)
    assert empty.document_ids == ("a.txt", "b.txt", "c.txt")


def test_strict_stops_and_changes_nothing(empty: S3Retriever, folder: Path) -> None:
    (folder / "b.ipynb").write_text("{", encoding="utf-8")
    corpus = Corpus([str(folder)], strict=True)
    corpus.survey()
    with pytest.raises(InvalidInputError, match=r"b\.ipynb: it is not JSON"):
        sync(empty, corpus, lambda: None)
    assert not len(empty)
    (folder / "a.txt").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"a\.txt: it is empty"):
        corpus.survey()
