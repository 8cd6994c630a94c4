"""Peak memory of a scan, measured in processes that run this module."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.benchmark.speed import in_turns, limited, repeated
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
        S3RetrieverError: A scan failed; holds the last line it wrote.
    """
    return [_in_a_fresh_process(data, artifact, size) for size in sizes]


def _in_a_fresh_process(data: str | Path, artifact: str, n_tokens: int) -> ScanMemory:
    command = [sys.executable, "-m", __name__, str(data), artifact, str(n_tokens)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - no shell
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        msg = f"measuring the memory of a scan of {n_tokens} tokens failed: {reason}"
        raise S3RetrieverError(msg)
    return ScanMemory(**json.loads(done.stdout))


def scan_once(data: str | Path, artifact: str, n_tokens: int) -> ScanMemory:
    """Scan in this process; its peak includes all that ran in it before."""
    # From all sets in turn, so that a small corpus is of the same kind as a large one.
    documents = list(in_turns([one.documents for one in load_sets(data)]))
    # New text for every copy, as in a real corpus: copies would share one string otherwise.
    copies = (replace(copy, text=f"{copy.text}\n{copy.id}") for copy in repeated(documents))
    host = Host.load()
    retriever = S3Retriever.from_documents(limited(copies, n_tokens, host), host=host, artifact=artifact)
    peak = peak_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary) / "saved"
        retriever.save(saved)
        size = sum(file.stat().st_size for file in (saved / "index").rglob("*") if file.is_file())
    return ScanMemory(artifact, retriever.n_tokens, peak, size)


def main() -> None:
    """Scan once and write a :class:`ScanMemory` as JSON."""
    parser = argparse.ArgumentParser(description="Peak memory of one scan, as JSON.")
    parser.add_argument("data", help="folder of evaluation sets")
    parser.add_argument("artifact", help="name or folder")
    parser.add_argument("n_tokens", type=int, help="tokens to scan")
    options = parser.parse_args()
    sys.stdout.write(json.dumps(asdict(scan_once(options.data, options.artifact, options.n_tokens))))


if __name__ == "__main__":
    main()
