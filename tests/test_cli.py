"""The command line, over a copy of the tiny host on disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import S3Retriever
from s3_retriever.cli import main
from s3_retriever.features import Artifact

CORPUS = [
    {
        "_id": "harbour",
        "title": "The harbour",
        "text": "Ships. " * 40 + "The keeper stores oil in the cellar.",
    },
    {
        "_id": "ugly",
        "title": "",
        "text": "\u001b[31mred\u001b[0m 🧑‍🚀 keeper \ud83d oil\r\n" * 9,
        "lang": "x",
    },
    {"_id": "bread", "text": "Bread is baked at four. " * 9, "metadata": {"page": 3}},
]
QUESTIONS = [{"_id": "q2", "text": "Where is the oil?"}, {"_id": "q1", "text": "When is bread baked?"}]


def write_lines(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
    tiny_artifact: Artifact,
) -> Path:
    """Holds host, artifact, corpus.jsonl, questions.jsonl and index."""
    folder = tmp_path_factory.mktemp("cli")
    tiny_model.save_pretrained(folder / "host")
    tiny_tokenizer.save_pretrained(folder / "host")
    config_path = folder / "host" / "config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config["max_position_embeddings"] = 1024  # room for chunks of the default size
    config_path.write_text(json.dumps(config), encoding="utf-8")
    tiny_artifact.save(folder / "artifact")
    write_lines(folder / "corpus.jsonl", CORPUS)
    write_lines(folder / "questions.jsonl", QUESTIONS)
    assert main(index_arguments(folder, folder / "index")) == 0
    return folder


def index_arguments(folder: Path, out: Path, *more: str) -> list[str]:
    arguments = ["index", str(folder / "corpus.jsonl"), "--out", str(out), *more]
    return [*arguments, "--host", str(folder / "host"), "--artifact", str(folder / "artifact")]


@pytest.fixture
def search(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Searches the index; returns exit status, output and error output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["search", str(folder / "index"), *arguments, "--host", str(folder / "host")])
        return status, *capsys.readouterr()

    return run


Search = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def loaded(folder: Path) -> S3Retriever:
    return S3Retriever.load(folder / "index", host=str(folder / "host"))


def assert_mistake(status: int, err: str, *parts: str) -> None:
    assert status == 2
    assert re.fullmatch(r"s3-retriever: error: .+\n", err), err
    for part in parts:
        assert part in err


def test_a_batch_gives_what_the_library_gives_in_order(
    folder: Path, search: Search, loaded: S3Retriever, tmp_path: Path
) -> None:
    out = tmp_path / "run.jsonl"
    arguments = ["--queries", str(folder / "questions.jsonl"), "--token-budget", "90"]
    for options, keywords in (
        ([], {}),
        (["--mode", "s3", "--unit-scores"], {"mode": "s3", "unit_scores": True}),
        (["--scoring", "paper"], {"scoring": "paper"}),
        (["--mode", "bm25"], {"mode": "bm25"}),
        (["--top-k", "1"], {"top_k": 1}),
        (["--where", "page=3"], {"where": {"page": 3}}),
    ):
        assert search(*arguments, *options, "--out", str(out)) == (0, "", "")
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        assert lines == [
            {
                "query_id": question["_id"],
                "spans": [
                    {"doc_id": span.doc_id, "start": span.start, "end": span.end, "score": span.score}
                    for span in loaded.retrieve(question["text"], 90, **keywords)
                ],
            }
            for question in QUESTIONS
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_batch_without_out_goes_to_standard_output(folder: Path, search: Search) -> None:
    status, out, _ = search("--queries", str(folder / "questions.jsonl"))
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
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wheres: list[str], documents: set[str]
) -> None:
    metadata = {"kind": "a=b", "page": None, "final": True, "limit": "NaN"}
    notes = {"_id": "notes", "text": "Bread and oil. " * 9, "metadata": metadata}
    corpus = write_lines(tmp_path / "corpus.jsonl", [*CORPUS, notes])
    assert main(["index", str(corpus), *index_arguments(folder, tmp_path / "index")[2:]]) == 0
    capsys.readouterr()
    options = [argument for where in wheres for argument in ("--where", where)]
    arguments = [str(tmp_path / "index"), "Where is the oil?", "--json", "--host", str(folder / "host")]
    assert main(["search", *arguments, *options]) == 0
    assert {span["doc_id"] for span in json.loads(capsys.readouterr().out)["spans"]} == documents


def test_no_span_is_said(search: Search) -> None:
    assert search("zebra", "--mode", "bm25")[:2] == (0, "no span found\n")


def test_info_says_what_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str], loaded: S3Retriever
) -> None:
    assert main(["info", str(folder / "index")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^documents +3$", out, re.MULTILINE)
    assert re.search(rf"^tokens +{loaded.n_tokens:,}$", out, re.MULTILINE)
    assert re.search(r"^artifact +tiny$", out, re.MULTILINE)
    assert re.search(r"^host +host$", out, re.MULTILINE)
    assert "tap 2.1          FVU 0.250, L0 4.0, dead features 12.5%\n" in out


def test_index_sums_up_and_replaces_only_when_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "index"
    assert main(index_arguments(folder, out)) == 0
    summary = capsys.readouterr().out
    assert re.fullmatch(
        r"indexed 3 documents, [\d,]+ tokens in [\d.]+ s: [\d,]+ tokens/s, [\d.]+ bytes per token\n", summary
    )
    assert_mistake(main(index_arguments(folder, out)), capsys.readouterr().err, "--overwrite", str(out))
    write_lines(tmp_path / "corpus.jsonl", CORPUS[:1])
    arguments = index_arguments(folder, out, "--overwrite")
    assert main(["index", str(tmp_path / "corpus.jsonl"), *arguments[2:]]) == 0
    assert S3Retriever.load(out, host=str(folder / "host")).document_ids == ("harbour",)
    assert [path.name for path in out.parent.iterdir()] == ["index"]


def test_overwrite_spares_what_is_no_index_and_what_cannot_be_replaced(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("dear", encoding="utf-8")
    status = main(index_arguments(folder, letters, "--overwrite"))
    assert_mistake(status, capsys.readouterr().err, "holds no index")

    out = shutil.copytree(folder / "index", tmp_path / "index")
    corpus = write_lines(tmp_path / "corpus.jsonl", [*CORPUS, CORPUS[0]])
    status = main(["index", str(corpus), *index_arguments(folder, out, "--overwrite")[2:]])
    assert_mistake(status, capsys.readouterr().err, "line 4")
    assert len(S3Retriever.load(out, host=str(folder / "host"))) == len(CORPUS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.jsonl", "index", "letters"]


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
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    search: Search,
    line: bytes,
    message: str,
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'\xef\xbb\xbf{"_id": "first", "text": "a byte order mark is fine"}\n\n' + line + b"\n")
    status = main(["index", str(bad), *index_arguments(folder, tmp_path / "index")[2:]])
    assert_mistake(status, capsys.readouterr().err, f"{bad}, line 3: ", message)
    run = tmp_path / "run.jsonl"
    run.write_text("the last run", encoding="utf-8")
    status, _, err = search("--queries", str(bad), "--out", str(run))
    assert_mistake(status, err, f"{bad}, line 3: ", message)
    assert run.read_text(encoding="utf-8") == "the last run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "run.jsonl"]


def test_a_question_that_cannot_be_asked_is_named_and_spoils_no_file(search: Search, tmp_path: Path) -> None:
    queries = write_lines(tmp_path / "q.jsonl", [QUESTIONS[0], {"_id": "blank", "text": " "}])
    status, _, err = search("--queries", str(queries), "--out", str(tmp_path / "run.jsonl"))
    assert_mistake(status, err, "q.jsonl, line 2: ", "question")
    assert [path.name for path in tmp_path.iterdir()] == ["q.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["search", "nowhere", "why?"], "nowhere"),
        (["search", "nowhere", "--queries", "none.jsonl"], "none.jsonl: No such file"),
        (["search", "nowhere", "why?", "--out", "run.jsonl"], "--out goes with --queries"),
        (["search", "nowhere", "--queries", "q.jsonl", "--explain"], "--explain go with a single question"),
        (["index", "none.jsonl", "--out", "index"], "none.jsonl: No such file"),
        (["info", "nowhere"], "nowhere"),
    ],
)
def test_other_mistakes_are_one_line(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_mistake(main(arguments), capsys.readouterr().err, part)
    assert list(tmp_path.iterdir()) == []


def test_out_must_not_be_a_folder(folder: Path, search: Search, tmp_path: Path) -> None:
    status, _, err = search("--queries", str(folder / "questions.jsonl"), "--out", str(tmp_path))
    assert_mistake(status, err, "is not a file")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["find"],
        ["index", "corpus.jsonl"],
        ["search", "index"],
        ["search", "index", "why?", "--queries", "q.jsonl"],
        ["search", "index", "why?", "--token-budget", "0"],
        ["search", "index", "why?", "--token-budget", "many"],
        ["search", "index", "why?", "--mode", "dense"],
        ["search", "index", "why?", "--bias-tokens", "-1"],
        ["search", "index", "why?", "--top-k", "0"],
        ["search", "index", "why?", "--where", "source"],
        ["search", "index", "why?", "--where", "=a.pdf"],
    ],
)
def test_arguments_that_cannot_be_parsed_have_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["index", "search", "info"])
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"example:\n  s3-retriever {command} " in capsys.readouterr().out


def test_an_interrupt_has_status_130_and_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(S3Retriever, "save", interrupt)
    assert main(index_arguments(folder, tmp_path / "index")) == 130
    assert capsys.readouterr().err == "s3-retriever: error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_as_a_program_it_survives_a_reader_that_leaves(folder: Path, tmp_path: Path) -> None:
    many = [{"_id": str(i), "text": "Where is the oil?"} for i in range(400)]
    queries = write_lines(tmp_path / "q.jsonl", many)
    command = [
        sys.executable,
        "-m",
        "s3_retriever",
        "search",
        str(folder / "index"),
        "--queries",
        str(queries),
    ]
    with subprocess.Popen(  # noqa: S603
        [*command, "--host", str(folder / "host"), "--mode", "bm25"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["query_id"] == "0"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
