"""The measurement of a served index, with the tiny host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_set import CORPUS, QUESTIONS, write_corpus, write_lines

from s3_retriever.encode import Artifact
from s3_retriever.evaluation.benchmark.serving import main


@pytest.mark.slow
def test_it_measures_clients_versions_and_memory(
    tmp_path: Path, tiny_folder: Path, tiny_artifact: Artifact
) -> None:
    tiny_artifact.save(tmp_path / "artifact")
    (tmp_path / "data" / "set").mkdir(parents=True)
    write_corpus(tmp_path / "data" / "set" / "corpus.jsonl", CORPUS)
    write_lines(
        tmp_path / "data" / "set" / "queries.jsonl", [{**one, "answers": ["oil"]} for one in QUESTIONS]
    )
    said: list[str] = []
    arguments = [str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--host", str(tiny_folder)]
    arguments += ["--artifact", str(tmp_path / "artifact"), "--seconds", "3", "--saves", "3"]
    assert main([*arguments, "--questions", "200"], said.append) == 0
    found = json.loads((tmp_path / "out" / "serving.json").read_text(encoding="utf-8"))
    assert found["one"]["errors"] == found["many"]["errors"] == 0
    assert found["versions"]["mixed"] == 0
    assert found["versions"]["answers"] > 0
    assert len(found["memory"]) > 5
    assert "8 clients" in "".join(said)
