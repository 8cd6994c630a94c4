"""The commands that begin with a host's heads: ``calibrate HOST``, ``train --calibration``, ``fit``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_set import TEXTS, assert_mistake, names

from s3_retriever import Document, Host, S3Retriever
from s3_retriever.cli import main
from s3_retriever.features import Artifact
from s3_retriever.features.calibration import Calibration
from s3_retriever.host import QueryHead, Tap

pytestmark = pytest.mark.usefixtures("few_topics")

SAE = ["--features", "16", "-k", "2", "--steps", "5"]
MATCHING = QueryHead(1, 3)


def calibrate(folder: Path, host: Path, *more: str) -> list[str]:
    own = ["--pairs", str(folder / "pairs.jsonl"), "--text", str(folder / "text.jsonl")]
    return ["calibrate", str(host), *own, "--out", str(folder / "calibration"), "--epochs", "1", *more]


def fit(folder: Path, host: Path, *more: str) -> list[str]:
    own = ["--pairs", str(folder / "pairs.jsonl"), "--text", str(folder / "text.jsonl")]
    return ["fit", str(host), *own, "--out", str(folder / "made"), "--epochs", "1", *SAE, *more]


def assert_finds_the_oil(host: Path, artifact: Artifact) -> None:
    documents = [Document(text["_id"], text["text"]) for text in TEXTS]
    retriever = S3Retriever.from_documents(documents, host=Host.load(host), artifact=artifact)
    assert "oil" in retriever.retrieve("Where is the oil?", 40)[0].text


def test_calibrate_a_host_then_train_then_search(
    folder: Path, matching_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(calibrate(folder, matching_folder)) == 0
    out, err = capsys.readouterr()
    print(out)
    assert err == ""
