"""A served index under load: ``python -m s3_retriever.evaluation.benchmark.serving``.

It starts ``s3-retriever serve`` in a process of its own and asks it as users do. It measures

1. one client and several in turn, each of which asks its next question when it has an answer;
2. whether each answer comes from one version while another process saves to the folder;
3. the server's memory over thousands of questions.

Questions and documents are those of evaluation sets, in one index.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s3_retriever.client import Client
from s3_retriever.disk import write_json
from s3_retriever.documents import Document
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.datasets import load_sets
from s3_retriever.retriever import S3Retriever

_TOGETHER = 50  # questions of a request, where memory is looked at
_WARM = 1000  # questions before memory is looked at
_PATIENCE = 600.0  # seconds for an answer, on a machine with other work
_TURNS = 3  # of one client and of several, so that a machine that becomes slower is so for both
_PAIR = ("pair a", "pair b")


@dataclass(frozen=True)
class Load:
    """What clients saw in a time.

    Attributes:
        clients: How many asked at a time.
        questions: Answered.
        errors: Requests that failed.
        per_second: Questions per second.
        median: Seconds per question.
        p99: Seconds that 99 % of the questions took at most.
        longest: Seconds that the slowest took.
        processor: Seconds of a core per question, in the server.
    """

    clients: int
    questions: int
    errors: int
    per_second: float
    median: float
    p99: float
    longest: float
    processor: float


def made_index(data: str, folder: Path, host: str | None, artifact: str) -> list[str]:
    """Index the documents of all sets, unless that is done; return their questions, of each set in turn."""
    sets = load_sets(data)
    if not folder.exists():
        documents = [
            replace(document, id=f"{one.name}/{document.id}") for one in sets for document in one.documents
        ]
        S3Retriever.from_documents(documents, host=host, artifact=artifact, show_progress=True).save(folder)
    in_turn = itertools.zip_longest(*([question.text for question in one.questions] for one in sets))
    return [text for row in in_turn for text in row if text is not None]


@contextmanager
def served(folder: Path, host: str | None) -> Iterator[tuple[Client, int]]:
    """Serve a folder; give a client, and the server's process."""
    command = [sys.executable, "-m", "s3_retriever", "serve", str(folder), "--port", "0"]
    command += [] if host is None else ["--host", host]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stderr is not None  # noqa: S101 - piped
        line = process.stderr.readline()
        if " at http" not in line:
            msg = f"the server did not start: {line}{process.stderr.read()}"
            raise S3RetrieverError(msg)
        try:
            yield Client(line.split()[-1], timeout=_PATIENCE), process.pid
        finally:
            process.terminate()


def measure_loads(
    client: Client, process: int, questions: Sequence[str], loads: Sequence[tuple[int, float]]
) -> list[Load]:
    """Have clients ask, each one question after the other; several numbers of them in turn.

    Args:
        client: Of the server.
        process: The server's.
        questions: Asked again and again.
        loads: Numbers of clients, and the seconds that they ask in all.
    """
    waiting = itertools.cycle(questions)
    turns: list[list[_Turn]] = [[] for _ in loads]
    for _ in range(_TURNS):
        for (clients, seconds), some in zip(loads, turns, strict=True):
            some.append(_measured(client, process, waiting, clients, seconds / _TURNS))
    return [_load(clients, some) for (clients, _), some in zip(loads, turns, strict=True)]


class _Turn(NamedTuple):
    """What clients saw in one turn: seconds of each question, errors, seconds in all and of a core."""

    times: list[float]
    errors: int
    took: float
    processor: float


def _measured(client: Client, process: int, waiting: Iterator[str], clients: int, seconds: float) -> _Turn:
    taking = threading.Lock()
    times: list[float] = []
    errors: list[S3RetrieverError] = []
    until = time.perf_counter() + seconds

    def ask() -> None:
        while time.perf_counter() < until:
            with taking:
                question = next(waiting)
            started = time.perf_counter()
            try:
                client.retrieve(question)
            except S3RetrieverError as error:
                errors.append(error)
            times.append(time.perf_counter() - started)

    started, before = time.perf_counter(), _processor(process)
    with ThreadPoolExecutor(clients) as pool:
        for one in [pool.submit(ask) for _ in range(clients)]:
            one.result()
    return _Turn(times, len(errors), time.perf_counter() - started, _processor(process) - before)


def _load(clients: int, turns: Sequence[_Turn]) -> Load:
    times = [seconds for turn in turns for seconds in turn.times]
    median, p99 = np.percentile(times, (50, 99)).tolist()
    return Load(
        clients=clients,
        questions=len(times),
        errors=sum(turn.errors for turn in turns),
        per_second=len(times) / sum(turn.took for turn in turns),
        median=median,
        p99=p99,
        longest=max(times),
        processor=sum(turn.processor for turn in turns) / len(times),
    )


def measure_versions(client: Client, folder: Path, host: str | None, saves: int) -> dict[str, int]:
    """Save pairs of equal documents, while clients ask for both; count the answers with another pair."""
    other = S3Retriever.load(folder, host=host)
    seen: set[str] = set()
    counts = {"saves": saves, "answers": 0, "mixed": 0}
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            found = client.retrieve("which pair is it", mode="bm25", where={"pair": True}, unique=False)
            numbers = {span.text for span in found}
            counts["answers"] += 1
            counts["mixed"] += len(numbers) != 1 or len(found) != len(_PAIR)
            seen.update(numbers)

    def save(number: int) -> None:
        text = f"It is pair number {number}."
        other.update([Document(name, text, metadata={"pair": True}) for name in _PAIR], threads=1)
        other.save(folder)

    save(0)
    while _PAIR[0] not in client:
        time.sleep(0.1)
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        for number in range(1, saves):
            save(number)
            time.sleep(1.5)
        stop.set()
        for one in asking:
            one.result()
    other.delete(_PAIR)
    other.save(folder)
    return {**counts, "versions seen": len(seen)}


def measure_memory(
    client: Client, process: int, questions: Sequence[str], count: int, mode: Any
) -> list[tuple[int, float]]:
    """Ask many questions; return how many were asked and the server's resident megabytes, ten times."""
    waiting = itertools.cycle(questions)
    found = []
    asked = 0
    for until in (_WARM, *range(_WARM + count // 10, _WARM + count + 1, max(1, count // 10))):
        while asked < until:
            client.retrieve_batch(list(itertools.islice(waiting, _TOGETHER)), mode=mode)
            asked += _TOGETHER
        found.append((asked, _resident(process)))
    return found


def _processor(process: int) -> float:
    """Return the seconds that a process has had of all cores, of Linux."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> float:
    """Return the resident memory of a process, in megabytes; of Linux."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kilobytes) / 1000


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _told(load: Load) -> str:
    return (
        f"{load.clients} clients: {load.questions} questions, {load.errors} errors, {load.per_second:.1f}/s, "
        f"median {load.median:.3f} s, p99 {load.p99:.3f} s, longest {load.longest:.3f} s, "
        f"{load.processor:.3f} s of a core per question\n"
    )


def main(arguments: Sequence[str] | None = None, say: Callable[[str], object] = _say) -> int:
    """Measure, print a table, and write all figures as JSON."""
    parser = argparse.ArgumentParser(description="Measure a served index under load.")
    parser.add_argument("data", help="folder of evaluation sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the index and serving.json")
    parser.add_argument("--host", help="hub name or folder (default: the default host)")
    parser.add_argument("--artifact", default="fast", help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=8, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of that many clients (default: %(default)s)"
    )
    parser.add_argument("--saves", type=int, default=10, help="while clients ask (default: %(default)s)")
    parser.add_argument("--questions", type=int, default=10_000, help="for memory (default: %(default)s)")
    parser.add_argument("--memory-mode", default="bm25", help="of these questions (default: %(default)s)")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    folder = args.out / "index"
    questions = made_index(args.data, folder, args.host, args.artifact)
    with served(folder, args.host) as (client, process):
        client.retrieve_batch(questions[: 2 * args.clients])  # kernels are compiled
        one, many = measure_loads(
            client, process, questions, [(1, args.seconds / 2), (args.clients, args.seconds)]
        )
        say(
            f"{_told(one)}{_told(many)}"
            f"throughput {many.per_second / one.per_second:.2f} times that of one client, "
            f"p99 {many.p99 / many.median:.2f} times the median\n"
        )
        versions = measure_versions(client, folder, args.host, args.saves)
        say(f"while another process saved: {versions}\n")
        memory = measure_memory(client, process, questions, args.questions, args.memory_mode)
    say("resident MB after questions: " + ", ".join(f"{n}: {size:.0f}" for n, size in memory) + "\n")
    figures = {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "one": asdict(one),
        "many": asdict(many),
        "versions": versions,
        "memory": memory,
    }
    write_json(args.out / "serving.json", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
