"""``train``, and ``calibrate`` of an artifact, over a copy of the tiny host and part of the reference."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_set import PAIRS, TEXTS, TOPICS, assert_mistake, names, write_lines

from s3_retriever import Document, Host, S3Retriever
from s3_retriever.cli import artifacts
from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact
from s3_retriever.host import QueryHead, Tap
from s3_retriever.training import pairs

pytestmark = pytest.mark.usefixtures("few_topics")

TRAIN = ["--features", "16", "-k", "2", "--steps", "5"]


def train(folder: Path, tiny_folder: Path, *more: str) -> list[str]:
    text, out = str(folder / "text.jsonl"), str(folder / "made")
    return ["train", "--text", text, "--out", out, "--host", str(tiny_folder), *TRAIN, *more]


def calibrate(folder: Path, *more: str) -> list[str]:
    return ["calibrate", str(folder / "made"), "--out", str(folder / "better"), "--epochs", "1", *more]


@pytest.mark.long
def test_train_then_calibrate_then_search(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(folder, tiny_folder, "--heads", "1.0, 2.3", "--seed", "5", "--tokens", "900")) == 0
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
    assert main(calibrate(folder, *own, "--host", str(tiny_folder))) == 0
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
        [Document(text["_id"], text["text"]) for text in TEXTS], host=Host.load(tiny_folder), artifact=better
    )
    assert "oil" in retriever.retrieve("Where is the oil?", 40)[0].text


@pytest.mark.long
def test_training_goes_on_from_its_checkpoints_and_removes_them_at_the_end(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ["--heads", "1.0", "--steps", "150", "--checkpoints", str(folder / "kept")]
    assert main(train(folder, tiny_folder, "--heads", "1.0", "--steps", "150")) == 0
    expected = Artifact.load(folder / "made").digest

    def interrupt(line: str) -> None:
        if "step 100" in line:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "say", interrupt)
        assert main(train(folder, tiny_folder, *kept, "--out", str(folder / "again"))) == 130
    assert not (folder / "again").exists()
    assert (folder / "kept" / "keys.json").exists()
    capsys.readouterr()
    assert main(train(folder, tiny_folder, *kept, "--out", str(folder / "again"))) == 0
    out = capsys.readouterr().out
    assert "step 100" not in out
    assert re.search(
        r"^tap 1\.0, step 150: fvu \d\.\d+, l0 .*, recall kept \d\.\d{3}, \d+ s$", out, re.MULTILINE
    )
    assert Artifact.load(folder / "again").digest == expected
    assert names(folder) == ["again", "made", "pairs.jsonl", "text.jsonl"]


@pytest.mark.long
def test_train_chooses_heads_and_says_why(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--max-layer", "1", "--taps", "1", "--query-heads", "2"]
    assert main(train(folder, tiny_folder, *limits, "--lookup-features", "9")) == 0
    artifact = Artifact.load(folder / "made")
    assert len(artifact.taps) == 1
    assert artifact.scoring["n_features"] == 9
    out = capsys.readouterr().out
    said = re.findall(
        r"^(\d)\.(\d): alone 0\.\d{3}, with those above [01]\.\d{3} \([+-][01]\.\d{3}\)$", out, re.MULTILINE
    )
    assert [QueryHead(int(layer), int(head)) for layer, head in said] == list(artifact.query_heads)
    assert 1 <= len(said) <= 2
    assert all(head.layer <= 1 for head in artifact.query_heads)


@pytest.mark.long
def test_calibrate_without_own_pairs_uses_the_shipped_ones_and_replaces_an_artifact(
    folder: Path, tiny_folder: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_artifact.save(folder / "made")
    tiny_artifact.save(folder / "better")
    assert main(calibrate(folder, "--host", str(tiny_folder))) == 0
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
        (["--max-layer", "4"], "max_layer must be a whole number from 0 to 3, not 4"),
        (["--max-layer", "0", "--taps", "0"], "error: --taps must be a whole number, 1 or more, not 0"),
        (["--heads", "1.0", "--features", "5000"], "give at least 50000 tokens"),
        (["--heads", "1.0", "-k", "17"], "error: -k must be a whole number from 1 to 16, not 17"),
        (["--heads", "1.0", "--host", "no-such-host"], "no-such-host"),
    ],
)
def test_a_mistake_in_train_is_one_line_and_writes_nothing(
    folder: Path, tiny_folder: Path, arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_mistake(main(train(folder, tiny_folder, *arguments)), capsys.readouterr().err, part)
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]


@pytest.mark.parametrize(
    ("line", "part"), [("{", "text.jsonl, line 3: not JSON"), ({"body": "a"}, "text.jsonl, line 3: no field")]
)
def test_a_bad_text_is_named_by_file_and_line(
    folder: Path, tiny_folder: Path, line: Any, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(folder / "text.jsonl", [*TEXTS, line])
    assert_mistake(main(train(folder, tiny_folder, "--heads", "1.0")), capsys.readouterr().err, part)
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]


def test_what_train_cannot_read_or_write_is_said_before_the_host_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = folder / "nowhere"  # a host that would be an error, too
    (folder / "made").mkdir()
    (folder / "made" / "notes.txt").touch()
    assert_mistake(main(train(folder, nowhere)), capsys.readouterr().err, "which is no part of an artifact")
    shutil.rmtree(folder / "made")
    (folder / "text.jsonl").unlink()
    assert_mistake(main(train(folder, nowhere)), capsys.readouterr().err, "text.jsonl: No such file")


@pytest.mark.parametrize(
    ("own_pairs", "arguments", "part"),
    [
        ([], ["--epochs", "0"], "error: --epochs must be"),
        ([], ["--pairs", "pairs.jsonl"], "--pairs and --text belong together"),
        ([], ["--text", "text.jsonl"], "--pairs and --text belong together"),
        ([], ["--pairs", "none.jsonl", "--text", "text.jsonl"], "none.jsonl: No such file"),
        ([{**PAIRS[0], "doc_id": "fort"}], ["--pairs", "pairs.jsonl", "--text", "text.jsonl"], "no pair of"),
        ([PAIRS[0], {}], ["--pairs", "pairs.jsonl", "--text", "text.jsonl"], "pairs.jsonl, line 2: no field"),
        ([], ["--host", "no-such-host"], "no-such-host"),
    ],
)
def test_a_mistake_in_calibrate_is_one_line_and_spares_what_is_there(
    folder: Path,
    tiny_folder: Path,
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
    status = main(calibrate(folder, "--host", str(tiny_folder), *arguments))
    assert_mistake(status, capsys.readouterr().err, part)
    assert Artifact.load(folder / "better").digest == tiny_artifact.digest
    assert names(folder) == ["better", "made", "pairs.jsonl", "text.jsonl"]


def test_ids_must_differ_within_the_texts_and_from_the_reference(
    folder: Path, tiny_folder: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_artifact.save(folder / "made")
    own = [
        "--pairs",
        str(folder / "pairs.jsonl"),
        "--text",
        str(folder / "text.jsonl"),
        "--host",
        str(tiny_folder),
    ]
    write_lines(folder / "text.jsonl", [*TEXTS, TEXTS[0]])
    assert_mistake(main(calibrate(folder, *own)), capsys.readouterr().err, "text.jsonl", "'harbour'")
    write_lines(folder / "text.jsonl", [{**TEXTS[1], "_id": TOPICS[0]}])
    write_lines(folder / "pairs.jsonl", [{**PAIRS[1], "doc_id": TOPICS[0]}])
    assert_mistake(main(calibrate(folder, *own)), capsys.readouterr().err, repr(TOPICS[0]))


def test_calibrate_refuses_what_is_no_artifact(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_mistake(
        main(calibrate(folder, "--host", str(tiny_folder))), capsys.readouterr().err, "no artifact", "made"
    )
    (folder / "better").mkdir()
    (folder / "better" / "notes.txt").touch()
    err = "which is no part of an artifact"
    assert_mistake(main(calibrate(folder, "--host", str(tiny_folder))), capsys.readouterr().err, err)


@pytest.mark.long
def test_the_old_name_of_lookup_features_works_warns_and_is_hidden(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(folder, tiny_folder, "--heads", "1.0", "--asked", "9")) == 0
    assert Artifact.load(folder / "made").scoring["n_features"] == 9
    err = capsys.readouterr().err
    assert err.startswith("s3-retriever: warning: --asked is deprecated")
    assert err.endswith("use --lookup-features\n")
    assert main(train(folder, tiny_folder, "--heads", "1.0", "--lookup-features", "9")) == 0
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--asked" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--lookup-features", "--asked", "--tokens"])
def test_counts_of_train_are_whole_numbers(
    folder: Path, tiny_folder: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in ("0", "1.5"):
        with pytest.raises(SystemExit, match="2"):
            main(train(folder, tiny_folder, option, value))
        assert f"{option}: must be a whole number, 1 or more, not '{value}'" in capsys.readouterr().err
