"""A corpus indexed in this process and by actors of a cluster, by turns: same index, seconds, speed-up."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s3_retriever import ClusterConfig, Document, S3Retriever
from s3_retriever.checks import check_library, pip_install
from s3_retriever.encode.artifact import Artifact
from s3_retriever.host.model import Host
from s3_retriever.sources.jsonl import read_corpus, read_lines

_SPARE = 2  # CPUs of the cluster that no worker is on, for what reads and writes
_BUDGET = 256
_PACKS = 8  # of each worker, so that all end at about the same time


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print a table, and return 1 where an index differs."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation.benchmark.cluster", description=__doc__
    )
    parser.add_argument("corpus", type=Path, help="a document per line: {_id, text}")
    parser.add_argument("questions", type=Path, help="a question per line: {_id, text}")
    parser.add_argument("--host", help="hub name or folder (default: the default host)")
    parser.add_argument("--artifact", default="fast", help="default: %(default)s")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="single-threaded actors")
    parser.add_argument("--rounds", type=int, default=2, help="times that all take turns (default: 2)")
    parser.add_argument("--documents", type=int, help="only the first so many")
    parser.add_argument("--out", type=Path, help="where the index is kept, for the benchmark of shards")
    args = parser.parse_args(argv)
    check_library("indexes made on a cluster", "Ray", "ray.data", pip_install("ray"))
    import ray.data

    documents = list(itertools.islice(read_corpus(args.corpus), args.documents))
    questions = [line.text for line in itertools.islice(read_lines(args.questions), 16)]
    host, artifact = Host.load(args.host), Artifact.load(args.artifact)
    seconds: dict[int, list[float]] = {}
    starts: dict[int, list[float]] = {}
    same = True
    ray.init("local", num_cpus=max(args.workers) + _SPARE, log_to_driver=False, ignore_reinit_error=True)
    ray.data.DataContext.get_current().enable_progress_bars = False
    with tempfile.TemporaryDirectory(prefix="s3-bench-") as folder:
        for turn in range(args.rounds):
            begun = time.perf_counter()
            whole = S3Retriever.from_documents(documents, host=host, artifact=artifact, threads=1)
            seconds.setdefault(0, []).append(time.perf_counter() - begun)
            expected = whole.retrieve_batch(questions, _BUDGET)
            if args.out and not turn:
                whole.save(args.out)
            for n in args.workers:
                path = Path(folder, f"{turn}-{n}")
                starts.setdefault(n, []).append(_indexed(documents[:1], Path(f"{path}-one"), n, args))
                seconds.setdefault(n, []).append(_indexed(documents, path, n, args))
                found = S3Retriever.load(path, host=host)
                same = same and found.document_ids == whole.document_ids
                same = same and found.retrieve_batch(questions, _BUDGET) == expected
    alone = statistics.median(seconds[0])
    lines = [
        f"{whole.n_tokens:,} tokens, {len(documents)} documents, {args.rounds} turns; "
        f"this process, one thread: {alone:.0f} s"
    ]
    for n in args.workers:
        took, start = statistics.median(seconds[n]), statistics.median(starts[n])
        work = statistics.median(np.subtract(seconds[n], starts[n]).tolist())
        lines.append(
            f"{n} workers: {took:.0f} s, {start:.0f} of them for one document; "
            f"without these {alone / work:.2f} times as fast as this process"
        )
    lines.append(f"documents and spans of {len(questions)} questions: {'the same' if same else 'DIFFER'}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if same else 1


def _indexed(documents: Sequence[Document], path: Path, workers: int, args: argparse.Namespace) -> float:
    """Index documents on the cluster; return the seconds, the start of the actors included."""
    import ray.data

    from s3_retriever.cluster.dataset import index_dataset

    rows = [
        {"id": one.id, "text": one.text, "title": one.title, "metadata": json.dumps(dict(one.metadata))}
        for one in documents
    ]
    size = sum(len(one.text.encode("utf-8", "surrogatepass")) for one in documents)
    how = ClusterConfig(workers=workers, pack_bytes=max(1, size // (_PACKS * workers)), merge_bytes=0)
    begun = time.perf_counter()
    dataset, artifact = ray.data.from_items(rows), Artifact.load(args.artifact)
    index_dataset(dataset, str(path), host=args.host, artifact=artifact, cluster=how)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
