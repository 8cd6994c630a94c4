"""The commands ``index`` and ``info``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from cli_set import CORPUS, assert_mistake, index_arguments, names, write_corpus

from s3_retriever import S3Retriever
from s3_retriever.cli.main import main


@pytest.mark.long
def test_info_says_what_is_there(
    indexed: Path, capsys: pytest.CaptureFixture[str], loaded: S3Retriever
) -> None:
    assert main(["info", str(indexed / "index")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^documents +3$", out, re.MULTILINE)
    assert re.search(rf"^tokens +{loaded.n_tokens:,}$", out, re.MULTILINE)
    assert re.search(r"^artifact +tiny$", out, re.MULTILINE)
    assert re.search(r"^host +host$", out, re.MULTILINE)
    assert "tap 2.1          FVU 0.250, L0 4.0, dead features 12.5%\n" in out


@pytest.mark.parametrize("metadata", ['"page 3"', "[1]", "3"])
def test_metadata_that_is_no_object_is_named_with_its_line(
    metadata: str, indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(f'{{"_id": "a", "text": "oil", "metadata": {metadata}}}\n', encoding="utf-8")
    arguments = index_arguments(indexed, tmp_path / "index")
    status = main(["index", str(corpus), *arguments[2:]])
    assert_mistake(status, capsys.readouterr().err, "corpus.jsonl, line 1: metadata must be an object")
    assert not (tmp_path / "index").exists()


@pytest.mark.long
def test_index_sums_up_and_replaces_only_when_told(
    indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "index"
    assert main(index_arguments(indexed, out)) == 0
    summary = capsys.readouterr().out
    assert re.fullmatch(
        r"indexed 3 documents, [\d,]+ tokens in [\d.]+ s: [\d,]+ tokens/s, [\d.]+ bytes per token\n", summary
    )
    assert main(index_arguments(indexed, out)) == 0
    assert capsys.readouterr().out == "0 added, 0 changed, 0 deleted, 3 unchanged\n"
    write_corpus(tmp_path / "corpus.jsonl", [{"_id": "new", "text": "New text."}])
    arguments = ["index", str(tmp_path / "corpus.jsonl"), *index_arguments(indexed, out)[2:]]
    assert_mistake(
        main(arguments), capsys.readouterr().err, "of 3 documents that the index has of files none"
    )
    assert main([*arguments, "--overwrite"]) == 0
    assert S3Retriever.load(out, host=str(indexed / "host")).document_ids == ("new",)
    assert [path.name for path in out.parent.iterdir()] == ["index"]


@pytest.mark.parametrize(("option", "value"), [("--artifact", "fast"), ("--bm25", "bm25s")])
def test_an_index_made_otherwise_is_not_changed(
    option: str, value: str, indexed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["index", str(indexed / "corpus.jsonl"), "--out", str(indexed / "index")]
    status = main([*arguments, "--host", str(indexed / "host"), option, value])
    assert_mistake(status, capsys.readouterr().err, f"was made with another {option}; leave it out")


@pytest.mark.long
def test_any_number_of_threads_writes_the_same_index(
    indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    for threads in ("1", "3"):
        out = tmp_path / threads
        assert main(index_arguments(indexed, out, "--threads", threads)) == 0
        written.append(
            {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        )
    assert written[0] == written[1]
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit, match="2"):
        main(index_arguments(indexed, tmp_path / "0", "--threads", "0"))
    assert "argument --threads: must be a whole number, 1 or more, not '0'" in capsys.readouterr().err


def test_overwrite_spares_what_is_no_index_and_what_cannot_be_replaced(
    indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("dear", encoding="utf-8")
    status = main(index_arguments(indexed, letters, "--overwrite"))
    assert_mistake(status, capsys.readouterr().err, "holds 'dear.txt', which is no part of an index")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "index").mkdir(parents=True)
    (elsewhere / "index" / "dear.txt").touch()
    status = main(index_arguments(indexed, elsewhere, "--overwrite"))
    assert_mistake(status, capsys.readouterr().err, "holds 'dear.txt', which is no part of an index")
    assert names(elsewhere / "index") == ["dear.txt"]

    out = shutil.copytree(indexed / "index", tmp_path / "index")
    corpus = write_corpus(tmp_path / "corpus.jsonl", [*CORPUS, CORPUS[0]])
    status = main(["index", str(corpus), *index_arguments(indexed, out, "--overwrite", "--strict")[2:]])
    assert_mistake(status, capsys.readouterr().err, "line 4")
    assert len(S3Retriever.load(out, host=str(indexed / "host"))) == len(CORPUS)
    assert names(tmp_path) == ["corpus.jsonl", "elsewhere", "index", "letters"]


def test_an_interrupt_has_status_130_and_leaves_nothing_behind(
    indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(S3Retriever, "save", interrupt)
    assert main(index_arguments(indexed, tmp_path / "index")) == 130
    assert capsys.readouterr().err == "s3-retriever: error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_no_host_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", CORPUS)
    status = main(["index", str(corpus), "--out", str(corpus / "index"), "--host", str(tmp_path / "none")])
    assert_mistake(status, capsys.readouterr().err, "corpus.jsonl is a file; choose a folder for the index")
