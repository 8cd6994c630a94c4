"""The commands ``train`` and ``calibrate``, over a copy of the tiny host and part of the reference."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import Document, Host, S3Retriever
from s3_retriever.cli import main
from s3_retriever.features import Artifact, pairs
from s3_retriever.host import QueryHead, Tap

TEXTS = [
    {"_id": "harbour", "text": "Ships sail. " * 150 + "The keeper stores oil in the cellar."},
    {"_id": "bakery", "text": "Bread is baked at four. The baker sings.\u2028 " * 60},
]
PAIRS = [
    {"question": "Where is the oil?", "doc_id": "harbour", "evidence": ["stores oil in the cellar"]},
    {"question": "When is bread baked?", "doc_id": "bakery", "evidence": [[0, 23]]},
]
TOPICS = ("python-reference/pass", "python-reference/break", "python-reference/assert")
TRAIN = ["--features", "16", "-k", "2", "--steps", "5"]


def write_lines(path: Path, lines: list[Any]) -> Path:
    text = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> Path:
    folder = tmp_path_factory.mktemp("host") / "tiny-host"
    tiny_model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config["max_position_embeddings"] = 1024  # room for chunks of the default size
    config_path.write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def few_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole reference would take a minute."""
    documents, shipped = pairs.shipped_pairs()
    few = [document for document in documents if document.id in TOPICS]
    asked = [pair for pair in shipped if pair.doc_id in TOPICS]
    assert len(few) == len(TOPICS)
    assert asked
    monkeypatch.setattr(pairs, "shipped_pairs", lambda: (few, asked))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "text.jsonl", TEXTS)
    write_lines(tmp_path / "pairs.jsonl", PAIRS)
    return tmp_path


def train(folder: Path, host: Path, *more: str) -> list[str]:
    text, out = str(folder / "text.jsonl"), str(folder / "made")
    return ["train", "--text", text, "--out", out, "--host", str(host), *TRAIN, *more]


def calibrate(folder: Path, *more: str) -> list[str]:
    return ["calibrate", str(folder / "made"), "--out", str(folder / "better"), "--epochs", "1", *more]


def assert_mistake(status: int, err: str, *parts: str) -> None:
    assert status == 2
    assert re.fullmatch(r"s3-retriever: error: .+\n", err), err
    for part in parts:
        assert part in err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_train_then_calibrate_then_search(
    folder: Path, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(folder, host, "--heads", "1.0, 2.3", "--seed", "5", "--tokens", "900")) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^tap 1\.0: fvu \d\.\d{3}, l0 [12]\.\d, dead \d\.\d{3}$", out, re.MULTILINE)
    assert "tap 2.1: " in out
    assert f"wrote {folder / 'made'} after" in out
    assert err == ""
    made = Artifact.load(folder / "made")
    assert made.name == "made"
    assert made.taps == (Tap(1, 0), Tap(2, 1))
    assert made.query_heads == (QueryHead(1, 0), QueryHead(2, 3))
    kept = {
        key: made.provenance["train"][key] for key in ("n_features", "k", "steps", "seed", "tokens", "text")
    }
    assert kept == {
        "n_features": 16,
        "k": 2,
        "steps": 5,
        "seed": 5,
        "tokens": 900,
        "text": "text.jsonl",
    }

    own = ["--pairs", str(folder / "pairs.jsonl"), "--text", str(folder / "text.jsonl"), "--name", "mine"]
    assert main(calibrate(folder, *own, "--host", str(host))) == 0
    out, err = capsys.readouterr()
    _, shipped = pairs.shipped_pairs()
    assert re.search(rf"^{len(shipped) + 2} pairs, loss per epoch \(nats\): \d+\.\d{{3}}$", out, re.MULTILINE)
    assert err == ""
    better = Artifact.load(folder / "better")
    assert better.name == "mine"
    assert better.provenance["train"] == made.provenance["train"]
    assert better.provenance["calibrate"]["pairs"] == len(shipped) + 2
    assert better.digest != made.digest
    assert names(folder) == ["better", "made", "pairs.jsonl", "text.jsonl"]

    retriever = S3Retriever.from_documents(
        [Document(text["_id"], text["text"]) for text in TEXTS], host=Host.load(host), artifact=better
    )
    assert "oil" in retriever.retrieve("Where is the oil?", 40)[0].text


def test_train_chooses_heads_and_says_why(
    folder: Path, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(folder, host, "--max-layer", "1", "--taps", "1", "--query-heads", "2")) == 0
    artifact = Artifact.load(folder / "made")
    assert len(artifact.taps) == 1
    out = capsys.readouterr().out
    said = re.findall(r"^(\d)\.(\d): alone 0\.\d{3}, with those above [01]\.\d{3}$", out, re.MULTILINE)
    assert [QueryHead(int(layer), int(head)) for layer, head in said] == list(artifact.query_heads)
    assert 1 <= len(said) <= 2
    assert all(head.layer <= 1 for head in artifact.query_heads)


def test_calibrate_without_own_pairs_uses_the_shipped_ones_and_replaces_an_artifact(
    folder: Path, host: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_artifact.save(folder / "made")
    tiny_artifact.save(folder / "better")
    assert main(calibrate(folder, "--host", str(host))) == 0
    assert Artifact.load(folder / "better").name == "better"
    assert Artifact.load(folder / "better").digest != tiny_artifact.digest
    assert f"{len(pairs.shipped_pairs()[1])} pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--heads", "1.0,two"], "'two'"),
        (["--heads", "1"], "'1'"),
        (["--heads", "1.9"], "query head 1.9 is not in host"),
        (["--heads", "7.0"], "query head 7.0 is not in host"),
        (["--max-layer", "4"], "max_layer must be between 0 and 3, not 4"),
        (["--max-layer", "0", "--taps", "0"], "n_taps of at least 1, not 0"),
        (["--heads", "1.0", "--features", "5000"], "give at least 50000 tokens"),
        (["--heads", "1.0", "-k", "17"], "k=17"),
        (["--heads", "1.0", "--host", "no-such-host"], "no-such-host"),
    ],
)
def test_a_mistake_in_train_is_one_line_and_writes_nothing(
    folder: Path, host: Path, arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_mistake(main(train(folder, host, *arguments)), capsys.readouterr().err, part)
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]


@pytest.mark.parametrize(
    ("line", "part"), [("{", "text.jsonl, line 3: not JSON"), ({"body": "a"}, "text.jsonl, line 3: no field")]
)
def test_a_bad_text_is_named_by_file_and_line(
    folder: Path, host: Path, line: Any, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(folder / "text.jsonl", [*TEXTS, line])
    assert_mistake(main(train(folder, host, "--heads", "1.0")), capsys.readouterr().err, part)
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]


def test_what_train_cannot_read_or_write_is_said_before_the_host_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = folder / "nowhere"  # a host that would be an error, too
    (folder / "made").mkdir()
    assert_mistake(
        main(train(folder, nowhere)), capsys.readouterr().err, "made exists and is not an artifact"
    )
    (folder / "made").rmdir()
    (folder / "text.jsonl").unlink()
    assert_mistake(main(train(folder, nowhere)), capsys.readouterr().err, "text.jsonl: No such file")


@pytest.mark.parametrize(
    ("own_pairs", "arguments", "part"),
    [
        ([], ["--epochs", "0"], "epochs must be positive, not 0"),
        ([], ["--pairs", "pairs.jsonl"], "--pairs and --text belong together"),
        ([], ["--text", "text.jsonl"], "--pairs and --text belong together"),
        ([], ["--pairs", "none.jsonl", "--text", "text.jsonl"], "none.jsonl cannot be read"),
        ([{**PAIRS[0], "doc_id": "fort"}], ["--pairs", "pairs.jsonl", "--text", "text.jsonl"], "no pair of"),
        ([PAIRS[0], {}], ["--pairs", "pairs.jsonl", "--text", "text.jsonl"], "pairs.jsonl, line 2: no field"),
        ([], ["--host", "no-such-host"], "no-such-host"),
    ],
)
def test_a_mistake_in_calibrate_is_one_line_and_spares_what_is_there(
    folder: Path,
    host: Path,
    tiny_artifact: Artifact,
    own_pairs: list[Any],
    arguments: list[str],
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    tiny_artifact.save(folder / "made")
    tiny_artifact.save(folder / "better")
    write_lines(folder / "pairs.jsonl", own_pairs)
    status = main(calibrate(folder, "--host", str(host), *arguments))
    assert_mistake(status, capsys.readouterr().err, part)
    assert Artifact.load(folder / "better").digest == tiny_artifact.digest
    assert names(folder) == ["better", "made", "pairs.jsonl", "text.jsonl"]


def test_ids_must_differ_within_the_texts_and_from_the_reference(
    folder: Path, host: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_artifact.save(folder / "made")
    own = ["--pairs", str(folder / "pairs.jsonl"), "--text", str(folder / "text.jsonl"), "--host", str(host)]
    write_lines(folder / "text.jsonl", [*TEXTS, TEXTS[0]])
    assert_mistake(main(calibrate(folder, *own)), capsys.readouterr().err, "text.jsonl", "'harbour'")
    write_lines(folder / "text.jsonl", [{**TEXTS[1], "_id": TOPICS[0]}])
    write_lines(folder / "pairs.jsonl", [{**PAIRS[1], "doc_id": TOPICS[0]}])
    assert_mistake(main(calibrate(folder, *own)), capsys.readouterr().err, repr(TOPICS[0]))


def test_calibrate_refuses_what_is_no_artifact(
    folder: Path, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_mistake(
        main(calibrate(folder, "--host", str(host))), capsys.readouterr().err, "no artifact", "made"
    )
    (folder / "better").mkdir()
    err = "better exists and is not an artifact"
    assert_mistake(main(calibrate(folder, "--host", str(host))), capsys.readouterr().err, err)


@pytest.mark.parametrize("command", ["train", "calibrate"])
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"example:\n  s3-retriever {command} " in capsys.readouterr().out
