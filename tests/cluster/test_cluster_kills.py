"""Jobs of which a process is killed at a random moment: all documents in the end, or none yet."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from s3_retriever import Artifact, Document, S3Retriever
from s3_retriever.errors import IndexFormatError
from s3_retriever.store import collect_garbage, place_of

psutil = pytest.importorskip("psutil")
pytest.importorskip("ray.data")

KILLS = int(os.environ.get("S3_RAY_KILLS", "2"))
RUNS = 8  # of one job at most
VICTIMS = {
    "driver": lambda _: False,  # it is none of the processes below it
    "worker": lambda one: one.cmdline()[:1] != [] and one.cmdline()[0].startswith("ray::MapWorker"),
    "object store": lambda one: one.name() == "raylet",  # it holds the objects
}
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
    seconds, jobs, kills, resumed, orphaned = 0.0, 0, 0, 0, 0
    while kills < KILLS:
        index, job = tmp_path / f"index-{jobs}", tmp_path / f"job-{jobs}.json"
        settings = {
            "corpus": str(tmp_path / "corpus"),
            "checkpoint": str(tmp_path / f"checkpoint-{jobs}"),
            "path": str(index),
            "host": str(tiny_folder),
            "artifact": str(tmp_path / "artifact"),
            "scan": SCAN,
            "pack_bytes": 4000,
        }
        job.write_text(json.dumps(settings), encoding="utf-8")
        # The first job is left alone, to see how long one takes here.
        victim, after = list(VICTIMS)[kills % len(VICTIMS)] if jobs else "", rng.uniform(0, seconds)
        first = one = run(job, victim, after)
        runs = 1
        while not one.ended:
            assert runs < RUNS, f"the job does not end: {log_of(job).read_text(encoding='utf-8')[-5000:]}"
            check_visible(index, tiny_folder, expected)
            one = run(job, "", 0)
            runs += 1
        check_visible(index, tiny_folder, expected, all_of_it=True)
        place = place_of(index)
        orphans = collect_garbage(place, grace=0)
        named = {one.name for one in S3Retriever.load(index, host=str(tiny_folder)).index.snapshot.segments}
        assert set(place.segments()) == named
        assert not place.files("jobs")
        if not first.killed:
            seconds = first.seconds
        jobs, kills, orphaned = jobs + 1, kills + first.killed, orphaned + len(orphans)
        resumed += first.killed and runs > 1
        what = f"{victim} killed after {after:.1f} s" if first.killed else f"nothing in {seconds:.1f} s"
        print(f"{jobs}: {what}: {runs} runs, {len(orphans)} orphans collected", flush=True)  # noqa: T201
        assert jobs <= 2 * KILLS + 2, "nobody is there to be killed"
    print(  # noqa: T201
        f"{kills} kills in {jobs} jobs: {resumed} jobs were run again, {orphaned} orphans collected"
    )


def check_visible(index: Path, host: Path, expected: list[str], *, all_of_it: bool = False) -> None:
    """See that all documents are visible, each once, or, where that will do, that none is."""
    try:
        found = S3Retriever.load(index, host=str(host))
    except IndexFormatError:
        assert not all_of_it
    else:  # the driver may have been killed between the commit and its end
        assert sorted(found.document_ids) == expected


class Run(NamedTuple):
    """What became of one run: whether it ended well, how long it took once begun, and who was killed."""

    ended: bool
    seconds: float
    killed: bool


def log_of(job: Path) -> Path:
    """Return the file of what the last run of a job says on standard error."""
    return job.with_suffix(".log")


def run(job: Path, victim: str, after: float) -> Run:
    """Run a job, and kill a process of it some seconds after it began."""
    with log_of(job).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(JOB), str(job)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=job.parent,
        )
    assert process.stdout is not None
    killed = False
    try:
        began = process.stdout.readline().strip() == "scanning"
        start = time.monotonic()
        if began and victim:
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                killed = kill(process, victim)
        out, _ = process.communicate(timeout=600)
        seconds = time.monotonic() - start
    finally:
        for one in own_processes(process):
            one.kill()
        process.kill()
        time.sleep(0.5)
    return Run("done" in out, seconds, killed)  # what is killed then, ends already


def kill(process: subprocess.Popen[str], victim: str) -> bool:
    """Kill the process, or the newest such one below it; whether there was one."""
    if victim == "driver":
        process.send_signal(signal.SIGKILL)
        return True
    for one in reversed(own_processes(process)):
        with contextlib.suppress(psutil.Error):
            if VICTIMS[victim](one):
                one.kill()
                return True
    return False


def own_processes(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return list(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []
