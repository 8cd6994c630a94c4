"""How ``index --ray`` ends that is told to, or that fails: its status, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever import Artifact, Document
from s3_retriever.cli.main import main
from s3_retriever.errors import InvalidDocumentError

pytestmark = pytest.mark.long
PATIENCE = 240.0  # seconds until a cluster of a busy machine scans


@pytest.mark.skipif(sys.platform != "linux", reason="needs sessions, and children that end with their parent")
@pytest.mark.parametrize(
    ("number", "send", "status"),
    [
        pytest.param(signal.SIGTERM, os.kill, -signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, os.killpg, -signal.SIGTERM, marks=pytest.mark.slow),
        (signal.SIGINT, os.killpg, 130),
    ],
)
def test_a_signal_ends_it_soon_and_it_leaves_nothing(
    number: signal.Signals,
    send: Callable[[int, int], None],
    status: int,
    tmp_path: Path,
    host: str,
    artifact: Artifact,
) -> None:
    """Also one to all processes of the command, as a terminal and ``kill %1`` send it."""
    pytest.importorskip("ray.data")
    artifact.save(tmp_path / "artifact")
    lines = [json.dumps({"_id": str(i), "text": f"The keeper {i} stores oil. " * 60}) for i in range(4000)]
    (tmp_path / "many.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ["--host", host, "--artifact", "artifact", "--workers", "1", "--no-progress"]
    command = ["index", "many.jsonl", "--out", "new/index", "--ray", *options]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "s3_retriever", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + PATIENCE
        while not list((tmp_path / "new" / "index").glob("index/segments/*")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.1)
        began = time.monotonic()
        send(process.pid, number)
        said = process.communicate(timeout=PATIENCE)[0]
        assert time.monotonic() - began < 40, said  # Ray waits a minute for a cluster that is gone
    finally:
        process.kill()
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifact", "many.jsonl"]


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_an_error_after_the_first_segments_leaves_nothing_but_what_a_checkpoint_needs(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    from s3_retriever.cluster.dataset import ClusterConfig, index_dataset

    rows = [{"id": one.id, "text": one.text} for one in documents] * 30 + [{"id": "x", "text": None}]
    for number, row in enumerate(rows):
        row["id"] = f"{row['id']}-{number}"
    (tmp_path / "empty").mkdir()
    context = ray.data.DataContext.get_current()
    how = ClusterConfig(workers=1, pack_bytes=500)
    try:
        for place, checkpoint in (("new/index", False), ("empty", False), ("kept", True)):
            if checkpoint:
                path = str(tmp_path / "checkpoint")
                context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=path)
            with pytest.raises(InvalidDocumentError):
                index_dataset(
                    ray.data.from_items(rows),
                    str(tmp_path / place),
                    host=host,
                    artifact=artifact,
                    cluster=how,
                )
    finally:
        context.checkpoint_config = None
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "empty").iterdir())
    assert (tmp_path / "kept" / "jobs").is_dir()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_two_lines_of_one_id_are_found_before_a_host_is_loaded(
    tmp_path: Path, artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that is no document has no id that counts."""
    artifact.save(tmp_path / "artifact")
    (tmp_path / "a.jsonl").write_text(json.dumps({"_id": "oil", "text": "The keeper stores oil."}), "utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"_id": "oil", "text": None}), "utf-8")
    out = ["--out", str(tmp_path / "new"), "--ray=auto", "--no-progress", "--workers", "1"]
    options = [*out, "--artifact", str(tmp_path / "artifact"), "--host", "no-host"]
    sources = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert main(["index", *sources, *options]) == 2
    assert "host 'no-host' is neither" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "b.jsonl").write_text(json.dumps({"_id": "oil", "text": "More oil."}), "utf-8")
    assert main(["index", *sources, *options]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"document id 'oil' occurs twice, in {' and '.join(sources)}; give each its own" in said
    assert not (tmp_path / "new").exists()
