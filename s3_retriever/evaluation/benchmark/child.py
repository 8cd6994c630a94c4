"""Measures the build of s3_retriever that is on the path, and prints JSON; see :mod:`.builds`.

An older build runs this file too, so it uses only what both have.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SAMPLE = 120_000  # tokens that a large corpus repeats
_WARM = 3  # questions before those that count


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _sample(data: str, host: Any, n_tokens: int) -> list[Any]:
    """Return documents of the sets with about so many tokens, as many of each set."""
    from s3_retriever import Document
    from s3_retriever.evaluation.benchmark.speed import in_turns, limited
    from s3_retriever.evaluation.datasets import load_sets

    mixed = in_turns([[(one.name, document) for document in one.documents] for one in load_sets(data)])
    # Two sets may use the same ids.
    documents = (Document(f"{name}/{document.id}", document.text, document.title) for name, document in mixed)
    return list(limited(documents, n_tokens, host))


def build(data: str, out: str, n_tokens: str) -> dict[str, Any]:
    """Save an index of so many tokens of the sets, repeated with noise where they do not suffice."""
    from s3_retriever import S3Retriever
    from s3_retriever.evaluation.benchmark.speed import repeated_corpus

    empty = S3Retriever.from_documents([])
    sample = _sample(data, empty.host, min(_SAMPLE, int(n_tokens)))
    repeated_corpus(sample, int(n_tokens), empty.host, empty.artifact).save(out)
    return {}


def scan(data: str, n_tokens: str) -> dict[str, Any]:
    """Index so many tokens, really, after a few that warm up."""
    from s3_retriever import S3Retriever
    from s3_retriever.host import Host

    host = Host.load()
    sample = _sample(data, host, int(n_tokens))
    S3Retriever.from_documents(sample[:1], host=host)
    made: list[S3Retriever] = []
    seconds = _seconds(lambda: made.append(S3Retriever.from_documents(sample, host=host)))
    return {"tokens_per_s": made[0].n_tokens / seconds}


def ask(index: str, questions: str) -> dict[str, Any]:
    """Load an index, ask the first question, then all one by one, then 32 at once where that is possible."""
    began = time.perf_counter()
    from s3_retriever import S3Retriever

    retriever = S3Retriever.load(index)
    loaded = time.perf_counter() - began
    texts: list[str] = json.loads(Path(questions).read_text(encoding="utf-8"))
    first = _seconds(lambda: retriever.retrieve(texts[0]))
    for text in texts[:_WARM]:
        retriever.retrieve(text)
    found: list[list[str]] = []
    times = []
    for text in texts:
        began = time.perf_counter()
        spans = retriever.retrieve(text)
        times.append(1e3 * (time.perf_counter() - began))
        found.append([span.id for span in spans])
    together = getattr(retriever, "retrieve_batch", lambda several: list(map(retriever.retrieve, several)))
    batch_ms = 1e3 * _seconds(lambda: together(texts[:32]))
    ranked = sorted(times)
    return {
        "load_and_first_s": loaded + first,
        "question_ms": ranked[len(ranked) // 2],
        "question_p99_ms": ranked[int(0.99 * (len(ranked) - 1))],
        "batch_of_32_over_singles": batch_ms / sum(times[:32]),
        "spans": found,
    }


def cold(index: str, question: str) -> dict[str, Any]:
    """Time a whole process that loads an index and answers one question."""
    code = (
        "import sys; from s3_retriever import S3Retriever; "
        "S3Retriever.load(sys.argv[1]).retrieve(sys.argv[2])"
    )
    command = [sys.executable, "-c", code, index, question]
    elsewhere = Path(index).parent  # "python -c" would import the package of a checkout where it runs
    return {"process_s": _seconds(lambda: subprocess.run(command, check=True, cwd=elsewhere))}  # noqa: S603


def adds(n_adds: str) -> dict[str, Any]:
    """Add documents one by one; time questions before and after a merge, and count the files."""
    from s3_retriever import S3Retriever

    texts = [
        f"Ship {i} of the harbour carries {i * 7} crates of lamps to pier {i % 13}."
        for i in range(int(n_adds))
    ]
    retriever = S3Retriever.from_documents([])
    for i, text in enumerate(texts):
        retriever.add([{"id": str(i), "text": text}])
    questions = [f"What does ship {i} carry?" for i in range(12)]

    def median() -> float:
        times = sorted(_seconds(lambda q=q: retriever.retrieve(q)) for q in questions)  # type: ignore[misc]
        return times[len(times) // 2]

    retriever.retrieve(questions[0])
    before = median()
    with tempfile.TemporaryDirectory() as folder:
        retriever.save(Path(folder) / "saved")
        files = sum(path.is_file() for path in Path(folder).rglob("*"))
    retriever.merge()
    retriever.retrieve(questions[0])
    return {"question_over_merged": before / median(), "files": files}


def size(index: str) -> dict[str, Any]:
    """Return the bytes of a saved index per token, texts excluded."""
    from s3_retriever import S3Retriever

    folder = Path(index) / "index"
    total = sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "documents.jsonl"
    )
    return {"bytes_per_token": total / S3Retriever.load(index).n_tokens}


if __name__ == "__main__":
    tasks = {one.__name__: one for one in (build, scan, ask, cold, adds, size)}
    print(json.dumps(tasks[sys.argv[1]](*sys.argv[2:])))  # noqa: T201 - the parent reads it
