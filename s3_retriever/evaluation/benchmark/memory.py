"""Peak memory of a scan, measured in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.benchmark.speed import in_turns, limited, repeated, saved_sizes
from s3_retriever.evaluation.datasets import load_sets
from s3_retriever.host.model import Host
from s3_retriever.memory import peak_bytes
from s3_retriever.retriever import S3Retriever

SIZES = (100_000, 1_000_000)
"""Tokens of the corpora that are scanned."""


@dataclass(frozen=True)
class ScanMemory:
    """One scan in a fresh process.

    Attributes:
        artifact: Whose taps were read.
        n_tokens: Tokens scanned.
        peak_bytes: Peak resident memory of the process until the corpus was searchable.
        index_bytes: The index on disk, documents included: they are part of it in memory too.
    """

    artifact: str
    n_tokens: int
    peak_bytes: int
    index_bytes: int


def measure_memory(data: str | Path, artifact: str, sizes: Sequence[int] = SIZES) -> list[ScanMemory]:
    """Scan a corpus of each size, really, which takes minutes.

    Args:
        data: Folder of evaluation sets, whose documents are repeated.
        artifact: Name or folder.
        sizes: Tokens of each corpus.

    Raises:
        S3RetrieverError: A scan failed.
    """
    return [_in_a_fresh_process(data, artifact, size) for size in sizes]


def _in_a_fresh_process(data: str | Path, artifact: str, n_tokens: int) -> ScanMemory:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(scan_once, data, artifact, n_tokens).result()
        except BrokenProcessPool as error:
            msg = f"the process that scanned {n_tokens} tokens was killed; it may need more memory"
            raise S3RetrieverError(msg) from error


def scan_once(data: str | Path, artifact: str, n_tokens: int) -> ScanMemory:
    """Scan in this process; its peak includes all that ran in it before."""
    # From all sets in turn, so that a small corpus is of the same kind as a large one.
    documents = list(in_turns([one.documents for one in load_sets(data)]))
    # New text for every copy, as in a real corpus: copies would share one string otherwise.
    copies = (replace(copy, text=f"{copy.text}\n{copy.id}") for copy in repeated(documents))
    host = Host.load()
    retriever = S3Retriever.from_documents(limited(copies, n_tokens, host), host=host, artifact=artifact)
    peak = peak_bytes()
    size = sum(n for file, n in saved_sizes(retriever).items() if file.parts[0] == "index")
    return ScanMemory(artifact, retriever.n_tokens, peak, size)
