"""The commands that begin with a host's heads: ``calibrate HOST``, ``train --calibration``, ``fit``."""

from __future__ import annotations

import _thread
import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_set import TEXTS, assert_mistake, names, write_lines

from s3_retriever import Document, Host, S3Retriever
from s3_retriever.cli.main import main
from s3_retriever.disk import hash_json
from s3_retriever.encode import Artifact
from s3_retriever.encode.calibration import Calibration
from s3_retriever.host import QueryHead, Tap
from s3_retriever.training import pairs

pytestmark = pytest.mark.usefixtures("few_topics")

SAE = ["--features", "16", "-k", "2", "--steps", "5"]


def own(folder: Path) -> list[str]:
    return ["--pairs", str(folder / "pairs.jsonl"), "--text", str(folder / "text.jsonl")]


def calibrate(folder: Path, target: Path, *more: str) -> list[str]:
    out = str(folder / "calibration")
    return ["calibrate", str(target), *own(folder), "--out", out, "--epochs", "1", *more]


def fit(folder: Path, host: Path, *more: str) -> list[str]:
    return ["fit", str(host), *own(folder), "--out", str(folder / "made"), "--epochs", "1", *SAE, *more]


def many_pairs(folder: Path) -> None:
    """Ten texts, each with eight lines that hold a code of five signs, and questions that are such codes."""
    random = np.random.default_rng(0)
    signs = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ#$%&*+/<=>@^_~")
    texts, asked = [], []
    for number in range(10):
        lines = [" ".join(random.choice(signs, 5, replace=False)) for _ in range(8)]
        filler = "the quick brown fox jumps over the lazy dog " * 4
        texts.append({"_id": f"text-{number}", "text": "".join(f"{filler}{line}. " for line in lines)})
        asked += [{"question": line, "doc_id": f"text-{number}", "evidence": [line]} for line in lines[::2]]
    write_lines(folder / "text.jsonl", texts)
    write_lines(folder / "pairs.jsonl", asked)


@pytest.mark.long
def test_calibrate_a_host_then_train_then_search(
    folder: Path, matching_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(calibrate(folder, matching_folder, "--heads", "1.3,0.2", "--name", "mine")) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^\d+ pairs, loss per epoch \(nats\): \d+\.\d{3}$", out, re.MULTILINE)
    assert re.search(
        rf"^wrote {re.escape(str(folder))}.* after \d+ s, peak memory [\d,]+ MB$", out, re.MULTILINE
    )
    assert err == ""
    made = Calibration.load(folder / "calibration")
    assert made.name == "mine"
    assert made.taps == (Tap(0, 1), Tap(1, 1))
    assert made.query_heads == (QueryHead(1, 3), QueryHead(0, 2))
    assert made.report["peak_bytes"] > 0
    assert len(made.report["learned"]["held_out_recalls"]) == 2

    text, out_folder = str(folder / "text.jsonl"), str(folder / "made")
    command = ["train", "--text", text, "--calibration", str(folder / "calibration"), "--out", out_folder]
    assert main([*command, "--host", str(matching_folder), *SAE]) == 0
    artifact = Artifact.load(folder / "made")
    assert artifact.query_heads == made.query_heads
    for learned, kept in zip(made.queries, artifact.queries, strict=True):
        assert (learned.map == kept.map).all()
    for codec, mean in zip(artifact.codecs, made.key_means.values(), strict=True):
        assert (codec.mean == mean).all()
    assert artifact.provenance["calibrate"] == made.provenance["calibrate"]
    documents = [Document(text["_id"], text["text"]) for text in TEXTS]
    retriever = S3Retriever.from_documents(documents, host=Host.load(matching_folder), artifact=artifact)
    assert "oil" in retriever.retrieve("Where is the oil?", 40)[0].text

    command = ["train", "--text", text, "--calibration", out_folder, "--out", str(folder / "again")]
    assert main([*command, "--host", str(matching_folder), "--query-metric", *SAE]) == 0
    again = Artifact.load(folder / "again")
    for new, old in zip(again.codecs, artifact.codecs, strict=True):
        assert (new.mean == old.mean).all()
        assert new.sae.root is not None
        assert old.sae.root is None
    assert again.scoring == artifact.scoring


@pytest.mark.long
def test_a_calibration_is_learned_anew_and_keeps_its_heads(folder: Path, tiny_folder: Path) -> None:
    assert main(calibrate(folder, tiny_folder, "--heads", "1.3,0.2")) == 0
    first = Calibration.load(folder / "calibration")
    again = calibrate(folder, folder / "calibration", "--host", str(tiny_folder), "--seed", "3")
    assert main(again) == 0
    second = Calibration.load(folder / "calibration")
    assert second.query_heads == first.query_heads
    assert second.taps == first.taps
    for tap, mean in first.key_means.items():
        assert (second.key_means[tap] == mean).all()
    assert not (second.queries[0].map == first.queries[0].map).all()
    assert names(folder) == ["calibration", "pairs.jsonl", "text.jsonl"]


@pytest.mark.long
def test_the_survey_finds_the_head_that_is_useful_and_fit_makes_an_artifact_of_it(
    folder: Path, matching_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many_pairs(folder)
    assert main(fit(folder, matching_folder)) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +0 .*█\d\d\*", out, re.MULTILINE), out
    assert re.search(r"^0\.3: alone 0\.\d{3}, with those above 0\.\d{3} \(\+0\.\d{3}\)$", out, re.MULTILINE)
    assert re.search(
        r"pairs held out: chosen \d\.\d+, random heads 0\.\d+, all heads 0\.\d+, chosen but asked", out
    )
    artifact = Artifact.load(folder / "made")
    assert artifact.query_heads[0] == QueryHead(0, 3)
    report = artifact.provenance["report"]
    assert report["held_out"]["useful"] is True
    assert report["heads"]["0.3"] == max(report["heads"].values())
    assert report["chosen"][0]["gain"] == pytest.approx(report["heads"]["0.3"])


@pytest.mark.long
def test_an_untrained_host_has_no_useful_head(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many_pairs(folder)
    status = main(calibrate(folder, tiny_folder))
    out, err = capsys.readouterr()
    assert_mistake(
        status, err, "host 'tiny-host' has no useful head", "when asked a wrong question, random ones 0."
    )
    assert "layer" in out  # what was found is shown all the same
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]


@pytest.mark.long
def test_a_heat_map_is_drawn(folder: Path, tiny_folder: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = folder / "heads.png"
    assert main(calibrate(folder, tiny_folder, "--heat-map", str(drawn))) == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--heads", "1.9"], "query head 1.9 is not in host"),
        (["--heads", "1.0", "--taps", "2"], "--heads names the heads"),
        (["--max-layer", "4"], "max_layer must be a whole number from 0 to 3, not 4"),
        (["--query-heads", "0"], "error: --query-heads must be"),
        (["--epochs", "0"], "error: --epochs must be"),
        (["--heat-map", "nowhere/heads.png"], "nowhere"),
    ],
)
@pytest.mark.parametrize("command", [calibrate, fit])
def test_a_mistake_is_one_line_and_writes_nothing(
    folder: Path,
    tiny_folder: Path,
    command: Any,
    arguments: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--heat-map" in arguments:
        pytest.importorskip("matplotlib")
    assert_mistake(main(command(folder, tiny_folder, *arguments)), capsys.readouterr().err, part)
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]


@pytest.mark.parametrize("command", [calibrate, fit])
def test_max_pairs_is_a_whole_number(
    folder: Path, tiny_folder: Path, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command(folder, tiny_folder, "--max-pairs", "0"))
    assert "--max-pairs: must be a whole number, 1 or more, not '0'" in capsys.readouterr().err


def test_fit_refuses_text_that_is_too_short_before_it_learns(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(fit(folder, tiny_folder, "--heads", "1.0", "--features", "5000"))
    out, err = capsys.readouterr()
    assert_mistake(status, err, "give at least 50000 tokens")
    assert out == ""


@pytest.mark.long
def test_fit_without_pairs_makes_some(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(tiny_folder), "--text", str(folder / "text.jsonl"), "--out", str(folder / "made")]
    assert main([*command, "--heads", "1.0", "--epochs", "1", *SAE]) == 0
    assert "only those shipped are asked: none of" in capsys.readouterr().out
    documents, shipped = pairs.shipped_pairs()
    write_lines(folder / "text.jsonl", [{"text": document.text} for document in documents])
    assert main([*command, "--heads", "1.0", "--epochs", "1", *SAE]) == 0
    made = re.search(r"^(\d+) questions made from ", capsys.readouterr().out, re.MULTILINE)
    assert made
    asked = Artifact.load(folder / "made").provenance["calibrate"]["pairs"]
    assert asked == len(shipped) + int(made[1])


def test_options_that_do_not_go_together_are_named(
    folder: Path, tiny_folder: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_artifact.save(folder / "made")
    status = main(calibrate(folder, folder / "made", "--heads", "1.0"))
    assert_mistake(status, capsys.readouterr().err, "--heads is for a host; an artifact keeps its heads")
    train = ["train", "--text", str(folder / "text.jsonl"), "--out", str(folder / "new")]
    status = main([*train, "--calibration", str(folder / "other"), "--host", str(tiny_folder)])
    assert_mistake(status, capsys.readouterr().err, "other is no calibration")
    status = main([*train, "--calibration", str(folder / "made"), "--heads", "1.0"])
    assert_mistake(status, capsys.readouterr().err, "--calibration brings its heads")
    assert names(folder) == ["made", "pairs.jsonl", "text.jsonl"]


@pytest.mark.long
def test_a_calibration_does_not_serve_another_host(
    folder: Path, tiny_folder: Path, matching_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(calibrate(folder, tiny_folder, "--heads", "3.0")) == 0
    header = json.loads((folder / "calibration" / "calibration.json").read_text(encoding="utf-8"))
    header["host"]["vocab_size"] = 7
    header["sha256"] = hash_json({name: value for name, value in header.items() if name != "sha256"})
    (folder / "calibration" / "calibration.json").write_text(json.dumps(header), encoding="utf-8")
    train = ["train", "--text", str(folder / "text.jsonl"), "--out", str(folder / "new"), *SAE]
    capsys.readouterr()
    status = main([*train, "--calibration", str(folder / "calibration"), "--host", str(tiny_folder)])
    assert_mistake(status, capsys.readouterr().err, "vocab_size is 7 there and 400 here")


@pytest.mark.long
def test_pairs_are_made_from_documents_and_calibrate_takes_them(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents, _ = pairs.shipped_pairs()
    write_lines(folder / "text.jsonl", [{"text": document.text} for document in documents])
    make = ["pairs", str(folder / "text.jsonl"), "--out", str(folder / "pairs.jsonl"), "--max-pairs", "12"]
    assert main(make) == 0
    assert capsys.readouterr().out.startswith("wrote 12 pairs from 3 documents to ")
    first = (folder / "pairs.jsonl").read_bytes()
    assert main(make) == 0
    assert (folder / "pairs.jsonl").read_bytes() == first
    assert main(calibrate(folder, tiny_folder, "--heads", "1.0")) == 0
    assert Calibration.load(folder / "calibration").report["pairs"] >= 12
    assert_mistake(
        main([*make[:2], "--out", make[1]]), capsys.readouterr().err, "would replace the documents"
    )


@pytest.mark.long
def test_interrupted_it_leaves_nothing(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timer = threading.Timer(2, _thread.interrupt_main)  # as Ctrl-C does
    timer.start()
    status = main(fit(folder, tiny_folder, "--heads", "1.0", "--epochs", "1000000"))
    assert status == 130
    assert capsys.readouterr().err == "s3-retriever: error: interrupted\n"
    assert names(folder) == ["pairs.jsonl", "text.jsonl"]
