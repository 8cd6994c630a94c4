"""Many threads search while one changes the corpus; every answer must be that of a version that was current.

``make stress`` runs this for a minute with eight searching threads.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from s3_retriever import Compare, Document, Host, RetrieverConfig, S3Retriever, ScanConfig, Span
from s3_retriever.encode import Artifact

SECONDS = float(os.environ.get("S3_STRESS_SECONDS", "1"))
CHANGES = 20  # at least, however long they take
SEARCHERS = int(os.environ.get("S3_STRESS_THREADS", "3"))

SCAN = ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512)
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("Where does the keeper store the oil?", {}),
    ("Where does the keeper store the oil?", {"mode": "bm25", "top_k": 2}),
    ("Who bakes bread at four?", {"mode": "s3", "unit_scores": True}),
    ("Who bakes bread at four?", {"where": {"even": True}, "explain": True}),
    ("oil", {"where": Compare("edition", "gte", 2), "scoring": "paper"}),
    ("Which ship came in?", {"where": Compare("edition", "lt", 2), "mode": "bm25"}),
]
SENTENCES = (
    "The keeper stores the oil in the cellar.",
    "Bread is baked at four in the morning.",
    "A ship came in and left again.",
    "The lamp needs oil.",
    "Nobody knows the baker's name.",
)

Version = tuple[Document, ...]


class Answer(NamedTuple):
    """A search: the versions that were current between its start and its end, and what it found."""

    first: int
    last: int
    question: int
    spans: list[Span]


@dataclass
class History:
    """Every version of the corpus.

    Attributes:
        versions: A version is here before the change that makes it visible begins.
        reached: The last version whose change has returned: what a search that begins now sees at least.
    """

    versions: list[Version]
    reached: int = 0

    def change(self, version: Version, make_it_so: Callable[[], object]) -> None:
        self.versions.append(version)
        make_it_so()
        self.reached += 1


def document(key: int, edition: int) -> Document:
    chosen = random.Random(f"{key} {edition}").choices(SENTENCES, k=1 + (7 * key + edition) % 12)  # noqa: S311
    return Document(
        str(key), " ".join(chosen), f"Edition {edition}", {"edition": edition, "even": key % 2 == 0}
    )


def write(retriever: S3Retriever, history: History, folder: Path, ends: float) -> None:
    """Add, update, delete, merge and save until the time is up and enough has changed."""
    rng = random.Random(0)  # noqa: S311
    while time.monotonic() < ends or history.reached < CHANGES:
        live = history.versions[-1]
        held = {one.id for one in live}
        keys = rng.sample(range(10), rng.randint(1, 3))
        if rng.random() < 0.2:
            rng.choice([retriever.merge, lambda: retriever.save(folder)])()
        elif held and rng.random() < 0.3:
            gone = [str(key) for key in keys if str(key) in held]
            kept = tuple(one for one in live if one.id not in gone)
            history.change(kept, lambda gone=gone: retriever.delete(gone))  # type: ignore[misc]
        else:
            new = [document(key, rng.randint(0, 3)) for key in keys]
            change = retriever.add if held.isdisjoint(one.id for one in new) else retriever.update
            kept = tuple(one for one in live if one.id not in {other.id for other in new})
            history.change((*kept, *new), lambda new=new, change=change: change(new))  # type: ignore[misc]


def search(retriever: S3Retriever, history: History, writer: Future[None], seed: int) -> list[Answer]:
    """Search for as long as somebody writes."""
    rng = random.Random(seed)  # noqa: S311
    answers = []
    while not writer.done():
        number = rng.randrange(len(QUESTIONS))
        question, options = QUESTIONS[number]
        first = history.reached
        spans = retriever.retrieve(question, 40, **options)
        answers.append(Answer(first, len(history.versions) - 1, number, spans))
    return answers


class Scratch:
    """What retrievers built from scratch say; each is built once, and each question asked once."""

    def __init__(self, make: Callable[[Version], S3Retriever], history: History) -> None:
        self._make = make
        self._history = history
        self._retrievers: dict[str, S3Retriever] = {}
        self._found: dict[tuple[str, int], list[Span]] = {}

    def allows(self, answer: Answer) -> bool:
        versions = self._history.versions[answer.first : answer.last + 1]
        return any(self._says(version, answer.question) == answer.spans for version in versions)

    def _says(self, version: Version, number: int) -> list[Span]:
        name = " ".join(f"{one.id}/{one.metadata['edition']}" for one in version)
        if (name, number) not in self._found:
            if name not in self._retrievers:
                self._retrievers[name] = self._make(version)
            question, options = QUESTIONS[number]
            self._found[name, number] = self._retrievers[name].retrieve(question, 40, **options)
        return self._found[name, number]


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads take turns every few instructions, so that they meet wherever they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_restless")
@pytest.mark.parametrize("bm25", ["rank_bm25", pytest.param("bm25s", marks=pytest.mark.slow)])
@pytest.mark.long
def test_every_answer_is_that_of_a_version_which_was_current(
    tiny_host: Host, tiny_artifact: Artifact, tmp_path: Path, bm25: str
) -> None:
    config = RetrieverConfig(SCAN, bm25=bm25)

    def make(documents: Version) -> S3Retriever:
        return S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=config)

    first = tuple(document(key, 0) for key in range(10))
    retriever, history = make(first), History([first])
    for question, options in QUESTIONS:  # kernels are loaded before the clock runs
        assert retriever.retrieve(question, 40, **{**options, "where": None})
    ends = time.monotonic() + SECONDS / 2  # for each backend
    with ThreadPoolExecutor(SEARCHERS + 1) as pool:
        writer = pool.submit(write, retriever, history, tmp_path, ends)
        searchers = [pool.submit(search, retriever, history, writer, seed) for seed in range(SEARCHERS)]
        writer.result()
        answers = [answer for searcher in searchers for answer in searcher.result()]

    scratch = Scratch(make, history)
    wrong = [answer for answer in answers if not scratch.allows(answer)]
    assert not wrong, f"{len(wrong)} of {len(answers)} answers are of no version: {wrong[0]}"
    assert any(answer.spans for answer in answers)
    assert any(answer.last > answer.first for answer in answers)  # changes did fall into searches
    assert retriever.document_ids == tuple(one.id for one in history.versions[-1])
