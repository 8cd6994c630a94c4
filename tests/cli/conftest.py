"""An index that several tests of commands read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_set import CORPUS, QUESTIONS, index_arguments, write_corpus, write_lines

from s3_retriever import S3Retriever
from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, tiny_artifact: Artifact) -> Path:
    """Holds host, artifact, corpus.jsonl, questions.jsonl and index."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copytree(tiny_folder, folder / "host")
    tiny_artifact.save(folder / "artifact")
    write_corpus(folder / "corpus.jsonl", CORPUS)
    write_lines(folder / "questions.jsonl", QUESTIONS)
    assert main(index_arguments(folder, folder / "index")) == 0
    return folder


@pytest.fixture(scope="session")
def loaded(indexed: Path) -> S3Retriever:
    return S3Retriever.load(indexed / "index", host=str(indexed / "host"))
