"""Disks that are too small, in 24 degrees, for each command that writes: one error, nothing left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from campaign import size
from cli_set import CORPUS, PAIRS, QUESTIONS, TEXTS, index_arguments, write_corpus, write_lines
from small_disk import CANNOT_MOUNT, CASES

from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact

LEVELS = size("LEVELS", 4)
COMMANDS = [*CASES] if LEVELS >= 24 else ["save"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, tiny_artifact: Artifact) -> Path:
    """What the commands read: host, artifact, an index, texts, pairs, questions, an evaluation set."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "host").symlink_to(tiny_folder)
    tiny_artifact.save(folder / "artifact")
    write_corpus(folder / "corpus.jsonl", CORPUS)
    questions = [{**QUESTIONS[n % 2], "_id": f"q{n}"} for n in range(60)]
    write_lines(folder / "questions.jsonl", questions)
    write_lines(folder / "text.jsonl", TEXTS)
    write_lines(folder / "pairs.jsonl", PAIRS)
    prose = "The mill of Farholm ground rye for the village. Its miller kept a diary of the wind. " * 60
    (folder / "prose.txt").write_text(prose, encoding="utf-8")
    write_lines(folder / "long.jsonl", [{"_id": f"{n}", "text": prose * 4} for n in range(12)])
    manual = [{"_id": name, "text": topics[name]} for name in ("lambda", "strings", "if")]
    write_lines(folder / "manual.jsonl", manual)
    mill = [{"_id": f"mill-{n}", "text": prose[n : n + 3000]} for n in range(3)]
    village = folder / "data" / "village"
    village.mkdir(parents=True)
    write_lines(village / "corpus.jsonl", mill)
    evidence = [{"doc_id": "mill-0", "start": 0, "end": 46}]
    asked = [{"_id": f"q{n}", "text": "What did the mill grind?", "evidence": evidence} for n in range(9)]
    write_lines(village / "queries.jsonl", asked)
    assert main(index_arguments(folder, folder / "index")) == 0
    assert main(["export", str(folder / "artifact"), "--out", str(folder / "saes")]) == 0
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="mounts small disks")
@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_error_and_costs_no_room(
    inputs: Path, name: str, counted: Callable[[str], None]
) -> None:
    command = [sys.executable, str(Path(__file__).with_name("small_disk.py")), str(inputs), name, str(LEVELS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == CANNOT_MOUNT:
        pytest.skip("this system lets nobody mount a small disk")
    assert done.returncode == 0, done.stderr
    levels = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(levels) == (min(LEVELS, 6) if CASES[name].spools else LEVELS)
    for level in levels:
        assert level["status"] in (0, 2), level
        assert not level["litter"], level
        assert not level["again"], level  # with room, the same command ends well
        if level["status"]:
            assert "No space left on device" in level["said"] or "temporary" in level["said"], level
            assert str(inputs / "disk") in level["said"], level
            assert ".tmp" not in level["said"], level
            assert not level["left"], level
            assert level["kept"], level
    ends = Counter("done" if not level["status"] else "full" for level in levels)
    assert ends["full"]
    counted(f"{name}: {len(levels)} disks, {dict(ends)}")
