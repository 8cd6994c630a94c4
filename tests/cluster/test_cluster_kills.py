"""Jobs of which a process is killed at a random moment: all documents in the end, or none yet."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s3_retriever import Artifact, Document, S3Retriever
from s3_retriever.errors import IndexFormatError
from s3_retriever.store import collect_garbage, place_of

psutil = pytest.importorskip("psutil")
pytest.importorskip("ray.data")

KILLS = int(os.environ.get("S3_RAY_KILLS", "2"))
SECONDS = float(os.environ.get("S3_RAY_SECONDS", "30"))
RUNS = 8  # of one job at most
VICTIMS = {"driver": "", "worker": "ray::", "object store": "raylet"}
SCAN = {"chunk_tokens": 64, "overlap_tokens": 16, "batch_tokens": 256}
JOB = Path(__file__).with_name("run_job.py")


@pytest.mark.slow
def test_whatever_is_killed_no_document_is_lost_or_doubled(
    tmp_path: Path, tiny_folder: Path, tiny_artifact: Artifact, documents: list[Document]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    many = [Document(f"{one.id}-{i}", f"{i} {one.text}") for i in range(8) for one in documents]
    expected = sorted(one.id for one in many)
    (tmp_path / "corpus").mkdir()
    for i in range(8):
        some = many[i::8]
        table = pa.table({"id": [one.id for one in some], "text": [one.text for one in some]})
        pq.write_table(table, tmp_path / "corpus" / f"{i}.parquet")
    tiny_artifact.save(tmp_path / "artifact")
    rng = random.Random(0)  # noqa: S311
    for kill in range(KILLS):
        index, job = tmp_path / f"index-{kill}", tmp_path / f"job-{kill}.json"
        settings = {
            "corpus": str(tmp_path / "corpus"),
            "checkpoint": str(tmp_path / f"checkpoint-{kill}"),
            "path": str(index),
            "host": str(tiny_folder),
            "artifact": str(tmp_path / "artifact"),
            "scan": SCAN,
            "pack_bytes": 4000,
        }
        job.write_text(json.dumps(settings), encoding="utf-8")
        kinds = list(VICTIMS)
        victim, after = kinds[kill % len(kinds)], rng.uniform(0, SECONDS)
        runs = ended = 0
        while not ended:
            runs += 1
            assert runs <= RUNS, "the job does not end"
            ended = run(job, victim if runs == 1 else "", after)
            if not ended:  # what is visible of it is nothing
                with pytest.raises(IndexFormatError):
                    S3Retriever.load(index, host=str(tiny_folder))
        found = S3Retriever.load(index, host=str(tiny_folder))
        assert sorted(found.document_ids) == expected
        place = place_of(index)
        orphans = collect_garbage(place, grace=0)
        assert set(place.segments()) == {one.name for one in found.index.snapshot.segments}
        assert S3Retriever.load(index, host=str(tiny_folder)).document_ids == found.document_ids
        assert not place.files("jobs")
        print(f"{victim} after {after:.1f} s: {runs} runs, {len(orphans)} orphans collected")  # noqa: T201


def run(job: Path, victim: str, after: float) -> bool:
    """Run a job, kill a process of it some seconds after it began; whether it ended well."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, str(JOB), str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=job.parent,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() == "scanning" and victim:
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                kill(process, VICTIMS[victim])
        out, _ = process.communicate(timeout=600)
    finally:
        for one in own_processes(process):
            one.kill()
        process.kill()
        time.sleep(0.5)
    return process.returncode == 0 and "done" in out


def kill(process: subprocess.Popen[str], name: str) -> None:
    found = [one for one in own_processes(process) if name in " ".join(one.cmdline())]
    if not name:
        process.send_signal(signal.SIGKILL)
    elif found:
        found[-1].send_signal(signal.SIGKILL)


def own_processes(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return list(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []
