"""The command ``search``, over an index of the tiny host."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from cli_set import CORPUS, QUESTIONS, assert_mistake, index_arguments, names, write_corpus, write_lines

from s3_retriever import S3Retriever, Span
from s3_retriever.cli.main import main
from s3_retriever.cli.show import show


@pytest.fixture
def search(indexed: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Searches the index; returns exit status, output and error output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["search", str(indexed / "index"), *arguments, "--host", str(indexed / "host")])
        return status, *capsys.readouterr()

    return run


Search = Callable[..., tuple[int, str, str]]


@pytest.mark.long
def test_a_batch_gives_what_the_library_gives_in_order(
    indexed: Path, search: Search, loaded: S3Retriever, tmp_path: Path
) -> None:
    out = tmp_path / "run.jsonl"
    arguments = ["--queries", str(indexed / "questions.jsonl"), "--token-budget", "90"]
    for options, keywords in (
        ([], {}),
        (["--mode", "s3", "--unit-scores"], {"mode": "s3", "unit_scores": True}),
        (["--scoring", "paper"], {"scoring": "paper"}),
        (["--mode", "bm25"], {"mode": "bm25"}),
        (["--top-k", "1"], {"top_k": 1}),
        (["--copies"], {"unique": False}),
        (["--where", "page=3"], {"where": {"page": 3}}),
    ):
        assert search(*arguments, *options, "--out", str(out)) == (0, "", "")
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        assert lines == [
            {
                "query_id": question["_id"],
                "spans": [
                    {"doc_id": span.doc_id, "start": span.start, "end": span.end, "score": span.score}
                    | ({"also_in": list(map(asdict, span.also_in))} if span.also_in else {})
                    for span in loaded.retrieve(question["text"], 90, **keywords)
                ],
            }
            for question in QUESTIONS
        ]
    assert names(tmp_path) == ["run.jsonl"]


def test_a_batch_without_out_goes_to_standard_output(indexed: Path, search: Search) -> None:
    status, out, _ = search("--queries", str(indexed / "questions.jsonl"))
    assert status == 0
    assert [json.loads(line)["query_id"] for line in out.splitlines()] == ["q2", "q1"]


def test_people_see_titles_offsets_scores_and_text_but_no_control_characters(
    search: Search, loaded: S3Retriever
) -> None:
    status, out, _ = search("Where does the keeper store oil?", "--explain", "--token-budget", "2000")
    assert status == 0
    spans = loaded.retrieve("Where does the keeper store oil?", 2000)
    assert {"harbour", "ugly"} <= {span.doc_id for span in spans}
    for span in spans:
        assert f"{span.doc_id} [{span.start}:{span.end}]  score {span.score:.3f}" in out
    assert ". The harbour  harbour [" in out
    assert "The keeper stores oil in the cellar." in out
    assert "BM25" in out
    assert " met " in out
    assert "\x1b" not in out
    assert "🧑‍🚀" in out


def test_json_carries_exact_text_and_reasons(search: Search) -> None:
    _, out, _ = search("Where is the oil?", "--json", "--explain")
    answer = json.loads(out)
    assert answer["question"] == "Where is the oil?"
    texts = {document["_id"]: document["text"] for document in CORPUS}
    for span in answer["spans"]:
        assert span["text"] == texts[span["doc_id"]][span["start"] : span["end"]]
        assert span["explanation"]["s3"] + span["explanation"]["bm25"] == pytest.approx(1)
    assert "The harbour" in {span["title"] for span in answer["spans"]}


def test_bias_tokens_bring_the_ends_of_documents(search: Search) -> None:
    arguments = ("Where does the keeper store oil?", "--json", "--mode", "bm25")
    _, plain, _ = search(*arguments)
    _, biased, _ = search(*arguments, "--bias-tokens", "4")
    starts = [
        {span["start"] for span in json.loads(out)["spans"] if span["doc_id"] == "harbour"}
        for out in (plain, biased)
    ]
    assert 0 not in starts[0]
    assert 0 in starts[1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("wheres", "documents"),
    [
        (["page=3"], {"bread"}),
        (["page=[2, 3.0]"], {"bread"}),
        (['page="3"'], set()),
        (["page=three"], set()),
        (["kind=a=b"], {"notes"}),
        (["kind=a=b", "page=null"], {"notes"}),
        (["kind=a=b", "page=3"], set()),
        (["final=true"], {"notes"}),
        (["final=1"], set()),
        (["limit=NaN"], {"notes"}),
    ],
)
def test_where_searches_only_documents_with_that_metadata(
    indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wheres: list[str], documents: set[str]
) -> None:
    metadata = {"kind": "a=b", "page": None, "final": True, "limit": "NaN"}
    notes = {"_id": "notes", "text": "Bread and oil. " * 9, "metadata": metadata}
    corpus = write_corpus(tmp_path / "corpus.jsonl", [*CORPUS, notes])
    assert main(["index", str(corpus), *index_arguments(indexed, tmp_path / "index")[2:]]) == 0
    capsys.readouterr()
    options = [argument for where in wheres for argument in ("--where", where)]
    arguments = [str(tmp_path / "index"), "Where is the oil?", "--json", "--host", str(indexed / "host")]
    assert main(["search", *arguments, *options]) == 0
    assert {span["doc_id"] for span in json.loads(capsys.readouterr().out)["spans"]} == documents


def test_no_span_is_said(search: Search) -> None:
    assert search("zebra", "--mode", "bm25")[:2] == (0, "no span found\n")


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b'"text"', "expected a JSON object, not str"),
        (b'{"text": "no id"}', "no field '_id'"),
        (b'{"_id": "a"}', "no field 'text'"),
        (b'{"_id": 5, "text": "a"}', "'_id' must be a string, not 5"),
        (b'{"_id": "", "text": "a"}', "'_id' is empty"),
        (b'{"_id": "a", "text": null}', "'text' must be a string, not None"),
        (b'{"_id": "a", "text": "caf\xe9"}', "not UTF-8"),
        (b'{"_id": "first", "text": "again"}', "'first' is that of line 1"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(
    indexed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    search: Search,
    line: bytes,
    message: str,
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'\xef\xbb\xbf{"_id": "first", "text": "a byte order mark is fine"}\n\n' + line + b"\n")
    status = main(["index", str(bad), *index_arguments(indexed, tmp_path / "index", "--strict")[2:]])
    assert_mistake(status, capsys.readouterr().err, "bad.jsonl, line 3: ", message)
    run = tmp_path / "run.jsonl"
    run.write_text("the last run", encoding="utf-8")
    status, _, err = search("--queries", str(bad), "--out", str(run))
    assert_mistake(status, err, f"{bad}, line 3: ", message)
    assert run.read_text(encoding="utf-8") == "the last run"
    assert names(tmp_path) == ["bad.jsonl", "run.jsonl"]


def test_a_question_that_cannot_be_asked_is_named_and_spoils_no_file(search: Search, tmp_path: Path) -> None:
    queries = write_lines(tmp_path / "q.jsonl", [QUESTIONS[0], {"_id": "blank", "text": " "}])
    status, _, err = search("--queries", str(queries), "--out", str(tmp_path / "run.jsonl"))
    assert_mistake(status, err, "q.jsonl, line 2: ", "question")
    assert names(tmp_path) == ["q.jsonl"]


def test_out_must_not_be_a_folder(indexed: Path, search: Search, tmp_path: Path) -> None:
    status, _, err = search("--queries", str(indexed / "questions.jsonl"), "--out", str(tmp_path))
    assert_mistake(status, err, "is not a file")


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(
    indexed: Path, search: Search, tmp_path: Path
) -> None:
    out = tmp_path / "no such folder" / "run.jsonl"
    status, _, err = search("--queries", str(indexed / "questions.jsonl"), "--out", str(out))
    assert_mistake(status, err, f"{out}: No such file or directory")


def test_no_id_title_or_error_forges_a_line_or_steers_the_terminal(
    indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\n1. The harbour  harbour [0:9]  score 9.000\x1b[2J\u202e\u2066\u200b"
    write_corpus(
        tmp_path / "corpus.jsonl", [{"_id": name, "title": name, "text": "The oil \u202eis\x1b[8m here."}]
    )
    arguments = index_arguments(indexed, tmp_path / "index")
    arguments[arguments.index(str(indexed / "corpus.jsonl"))] = str(tmp_path / "corpus.jsonl")
    assert main(arguments) == 0
    capsys.readouterr()
    assert (
        main(["search", str(tmp_path / "index"), "Where is the oil?", "--host", str(indexed / "host")]) == 0
    )
    found = capsys.readouterr().out
    assert main(["search", str(tmp_path / name), "oil", "--host", "x\n\x1b[2J"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert not [one for one in found + error if one in "\x1b\u202e\u2066\u200b"]
    headings = [line for line in found.splitlines() if "score" in line]
    assert len(headings) == 1
    assert r"a\n1. The harbour" in headings[0]
    assert r"The oil \u202eis\x1b[8m here." in found


@pytest.mark.long
def test_a_key_that_no_document_has_is_one_line_and_words_need_no_quotes(search: Search) -> None:
    status, out, err = search("Where", "is", "the", "oil?", "--where", "pgae=3")
    assert status == 0
    assert err == "s3-retriever: no document has the key 'pgae' in its metadata; the nearest is 'page'\n"
    assert search("Where", "is", "the", "oil?", "--json") == search("Where is the oil?", "--json")
    assert out == "no span found\n"


def test_no_color_is_obeyed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    span = Span("a:0-8", "a", 0, 8, "The oil.\r\n", 1.0, pages=(3, 4))
    monkeypatch.setenv("FORCE_COLOR", "1")
    show("oil", [span], ["A title"])
    assert re.search(r"\x1b\[[\d;]*3\dm", capsys.readouterr().out)
    monkeypatch.setenv("NO_COLOR", "1")
    show("oil", [span], ["A title"])
    out = capsys.readouterr().out
    assert not re.search(r"\x1b\[[\d;]*3\dm", out)
    assert "a, pp. 3-4 [0:8]" in out
    assert "\r" not in out
    assert "\\r" not in out


@pytest.mark.long
def test_verbose_says_what_is_done(
    indexed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("The oil.", encoding="utf-8")
    arguments = ["--host", str(indexed / "host"), "--artifact", str(indexed / "artifact"), "--no-progress"]
    with caplog.at_level("INFO", "s3_retriever"):
        status = main(["sync", str(tmp_path / "a.txt"), str(tmp_path / "index"), "--verbose", *arguments])
    assert status == 0
    assert caplog.messages == ["reading a.txt", "saved 1 documents"]
    capsys.readouterr()
