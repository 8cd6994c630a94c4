"""Speed of scan and question, and bytes on disk.

The scan is compared with a plain forward pass and an embedding model.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.documents import Document
from s3_retriever.encode.artifact import Artifact
from s3_retriever.evaluation.hosts import BorrowedHost
from s3_retriever.evaluation.rivals.minilm import MiniLM
from s3_retriever.evaluation.rivals.windows import Windows
from s3_retriever.host.model import Host, Projection
from s3_retriever.host.one_core import usual_threads
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import Tap
from s3_retriever.host.tokens import Tokens
from s3_retriever.retriever import S3Retriever

_T = TypeVar("_T")

_MINILM_WINDOW = 128  # tokens
_WARM_UP = "What is this about?"
_ROUNDS = 3
_VARIATION = 0.2  # of the keys' standard deviation
_TEXTS = "documents.jsonl"  # of a saved index, all that is not index


@dataclass(frozen=True)
class Throughput:
    """How fast the same text goes through; tokens are the host's, each counted once.

    Attributes:
        artifact: Whose taps the scan reads.
        dtype: The host's.
        n_tokens: Of the text.
        scan: Tokens per second from documents to a searchable index.
        whole_host: Tokens per second of a plain pass of all layers, without cache and logits, in the
            scan's chunk length and batches, without its overlap.
        minilm: Tokens per second of embedding windows of 128 tokens, if it was measured.
        index_share: Part of the time of the scan's threads that is neither the host's pass nor tokenising:
            features, index and waiting.
    """

    artifact: str
    dtype: str
    n_tokens: int
    scan: float
    whole_host: float
    minilm: float | None
    index_share: float

    @property
    def speedup(self) -> float:
        """The scan's speed over that of the plain pass."""
        return self.scan / self.whole_host


@dataclass(frozen=True)
class Latency:
    """Time of a hybrid query at 512 tokens, the host's pass included.

    Attributes:
        artifact: Of the retriever.
        corpus: What was searched.
        n_tokens: Its size.
        n_questions: How many were asked.
        median_ms: Milliseconds.
        p90_ms: Milliseconds.
    """

    artifact: str
    corpus: str
    n_tokens: int
    n_questions: int
    median_ms: float
    p90_ms: float


@dataclass(frozen=True)
class DiskSize:
    """What a saved retriever takes on disk.

    Attributes:
        artifact: Of the retriever.
        corpus: What was indexed.
        n_tokens: Its size.
        index_bytes: Everything in the index but the documents' lines.
        artifact_bytes: The copy of the artifact beside it, the same for every corpus.
    """

    artifact: str
    corpus: str
    n_tokens: int
    index_bytes: int
    artifact_bytes: int


def measure_throughput(
    documents: Sequence[Document], host: Host, artifact: Artifact, minilm: MiniLM | None
) -> Throughput:
    """Time the scan, the plain pass and the embedding, by turns; return the medians.

    So all of them meet the same load of the machine.
    """
    clocked, whole = _ClockedHost(host), _WholeHost(host)
    starts = [host.encode(document.text).starts for document in documents]
    windows = Windows(documents, starts, _MINILM_WINDOW).texts
    host_times: list[float] = []

    def scan_all() -> None:
        retriever = S3Retriever(host=clocked, artifact=artifact)
        clocked.seconds = 0.0
        retriever.add(documents)
        host_times.append(clocked.seconds)

    def pass_all() -> None:
        for _ in scan(documents, whole, (), ScanConfig(overlap_tokens=0)):
            pass

    def embed_all() -> None:
        if minilm is not None:
            minilm.embed(windows)

    S3Retriever.from_documents(documents[:1], host=host, artifact=artifact)  # compiles what is not compiled
    turns = [[_seconds(task) for task in (scan_all, pass_all, embed_all)] for _ in range(_ROUNDS)]
    scan_time, pass_time, embed_time = (statistics.median(times) for times in zip(*turns, strict=True))
    n_tokens = sum(map(len, starts))
    threads = usual_threads()
    shares = [1 - inside / (threads * turn[0]) for inside, turn in zip(host_times, turns, strict=True)]
    return Throughput(
        artifact=artifact.name,
        dtype=str(next(host.model.parameters()).dtype).removeprefix("torch."),
        n_tokens=n_tokens,
        scan=n_tokens / scan_time,
        whole_host=n_tokens / pass_time,
        minilm=None if minilm is None else n_tokens / embed_time,
        index_share=statistics.median(shares),
    )


def measure_latency(retriever: S3Retriever, questions: Sequence[str], corpus: str) -> Latency:
    """Time one question after the other."""
    retriever.retrieve(_WARM_UP)  # the first question reads what is mapped
    times = [1e3 * _seconds(lambda q=question: retriever.retrieve(q)) for question in questions]  # type: ignore[misc]
    return Latency(
        artifact=retriever.artifact.name,
        corpus=corpus,
        n_tokens=retriever.n_tokens,
        n_questions=len(questions),
        median_ms=statistics.median(times),
        p90_ms=float(np.percentile(times, 90)),
    )


def saved_sizes(retriever: S3Retriever) -> dict[Path, int]:
    """Save a retriever to a temporary folder and return the bytes of each file, by its path in the folder."""
    with tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary) / "saved"
        retriever.save(saved)
        return {file.relative_to(saved): file.stat().st_size for file in saved.rglob("*") if file.is_file()}


def measure_disk_size(retriever: S3Retriever, corpus: str) -> DiskSize:
    """Return what a retriever takes on disk when it is saved."""
    sizes = saved_sizes(retriever)
    return DiskSize(
        artifact=retriever.artifact.name,
        corpus=corpus,
        n_tokens=retriever.n_tokens,
        index_bytes=sum(n for file, n in sizes.items() if file.parts[0] == "index" and file.name != _TEXTS),
        artifact_bytes=sum(n for file, n in sizes.items() if file.parts[0] == "artifact"),
    )


def repeated_corpus(
    documents: Sequence[Document], n_tokens: int, host: Host, artifact: Artifact
) -> S3Retriever:
    """Index a corpus of ``n_tokens`` made by repeating documents, without a pass for each of them.

    Every copy has the keys of the original with some noise, so it has features of its own.
    """
    retriever = S3Retriever(host=_RememberingHost(host), artifact=artifact)
    retriever.add(limited(repeated(documents), n_tokens, host), threads=1)  # so that the noise is the same
    return retriever


def in_turns(sequences: Sequence[Sequence[_T]]) -> Iterator[_T]:
    """Yield the first item of every sequence, then the second of every one, and so on."""
    for i in range(max(map(len, sequences))):
        yield from (sequence[i] for sequence in sequences if i < len(sequence))


def repeated(documents: Sequence[Document]) -> Iterator[Document]:
    """Yield the documents over and over, without end, each time under new ids."""
    for copy in count():
        for document in documents:
            yield replace(document, id=f"{document.id}#{copy}")


def limited(documents: Iterable[Document], n_tokens: int, host: Host) -> Iterator[Document]:
    """Yield documents until they hold at least ``n_tokens``."""
    total = 0
    for document in documents:
        if total >= n_tokens:
            return
        total += host.count_tokens(document.text)
        yield document


class _WholeHost(BorrowedHost):
    """Runs all its layers and reads nothing."""

    def keys(
        self, batch: Sequence[npt.NDArray[np.int32]], taps: Sequence[Tap]
    ) -> list[npt.NDArray[np.float32]]:
        if any(map(len, batch)):
            length = self.padded_length(max(map(len, batch)))
            ids = torch.tensor(
                [[*row, *[0] * (length - len(row))] for row in batch], device=self.model.device
            )
            with torch.inference_mode():
                self.model.get_decoder()(input_ids=ids, use_cache=False)
        return [np.empty((len(ids), 0, self.head_dim), np.float32) for ids in batch]


class _ClockedHost(BorrowedHost):
    """Adds up the time that it takes, of all threads.

    Attributes:
        seconds: Spent on passes and on tokenising since it was last set.
    """

    seconds = 0.0

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._adding = threading.Lock()

    def encode(self, text: str) -> Tokens:
        return self._clocked(super().encode, text)

    def project(self, batch: Sequence[npt.NDArray[np.int32]], **wanted: Any) -> list[Projection]:
        return self._clocked(super().project, batch, **wanted)

    def _clocked(self, task: Callable[..., _T], *args: Any, **named: Any) -> _T:
        start = time.perf_counter()
        result = task(*args, **named)
        with self._adding:
            self.seconds += time.perf_counter() - start
        return result


class _RememberingHost(BorrowedHost):
    """Passes each row of tokens once; whenever it returns, its keys come with fresh noise."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}
        self._random = np.random.default_rng(0)

    def keys(
        self, batch: Sequence[npt.NDArray[np.int32]], taps: Sequence[Tap]
    ) -> list[npt.NDArray[np.float32]]:
        new = [ids for ids in batch if ids.tobytes() not in self._known]
        self._known.update(
            (ids.tobytes(), keys) for ids, keys in zip(new, super().keys(new, taps), strict=True)
        )
        return [self._varied(self._known[ids.tobytes()]) for ids in batch]

    def _varied(self, keys: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not len(keys):
            return keys
        noise = self._random.standard_normal(keys.shape, np.float32)
        noise *= np.float32(_VARIATION) * keys.std(axis=0)
        noise += keys
        return noise


def _seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start
