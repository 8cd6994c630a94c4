"""A saved index in one process and in shards on a cluster: same spans, seconds, bytes over the network."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from s3_retriever import S3Retriever
from s3_retriever.documents import Span
from s3_retriever.sources.jsonl import read_lines

if TYPE_CHECKING:
    from s3_retriever.cluster.shards import RayShards
    from s3_retriever.search.shards import ShardedIndex

_EMPTY = 100  # calls that ask nothing


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print a table, and return 1 where a span differs."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation.benchmark.shards", description=__doc__
    )
    parser.add_argument("index", type=Path, help="what save() or index wrote")
    parser.add_argument("questions", type=Path, help="a question per line: {_id, text}")
    parser.add_argument("--host", help="hub name or folder (default: the one that the index names)")
    parser.add_argument("--shards", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--questions", type=int, default=32, dest="n", help="how many (default: %(default)s)")
    args = parser.parse_args(argv)
    questions = [line.text for line in read_lines(args.questions)][: args.n]
    whole = S3Retriever.load(args.index, host=args.host)
    expected, alone = _asked(whole, questions)
    lines = [f"{whole.n_tokens:,} tokens, {len(questions)} questions; one process: median {alone:.0f} ms"]
    same = True
    for n in args.shards:
        parts = S3Retriever.load(args.index, host=whole.host, shards=n)
        found, seconds = _asked(parts, questions)
        same = same and found == expected
        sent, received, calls = _traffic(parts, questions)
        lines.append(
            f"{n} shards: spans {'the same' if found == expected else 'DIFFER'}, median {seconds:.0f} ms, "
            f"{calls:.1f} rounds, of {_empty_round(parts):.1f} ms where nothing is asked; "
            f"bytes per question and shard: {sent:,.0f} there, {received:,.0f} back"
        )
        _shards(parts).close()
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if same else 1


def _asked(retriever: S3Retriever, questions: Sequence[str]) -> tuple[list[list[Span]], float]:
    """Return the spans of each question, and the median of its milliseconds."""
    retriever.retrieve(questions[0])
    found, seconds = [], []
    for question in questions:
        start = time.perf_counter()
        found.append(retriever.retrieve(question))
        seconds.append(time.perf_counter() - start)
    return found, 1000 * statistics.median(seconds)


def _traffic(retriever: S3Retriever, questions: Sequence[str]) -> tuple[float, float, float]:
    """Return the bytes per question to and from the shard that has most, and the calls per question."""
    shards = _shards(retriever)
    shards.measured = True
    before = shards.calls
    for question in questions:
        retriever.retrieve(question)
    n = len(questions)
    return max(shards.sent) / n, max(shards.received) / n, (shards.calls - before) / n


def _empty_round(retriever: S3Retriever) -> float:
    """Return the median of the milliseconds that a call of all shards takes which have nothing to do."""
    shards = _shards(retriever)
    seconds = []
    for _ in range(_EMPTY):
        start = time.perf_counter()
        shards.each("find", dict.fromkeys(range(len(shards.actors)), ("",)))
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def _shards(retriever: S3Retriever) -> RayShards:
    return cast("RayShards", cast("ShardedIndex", retriever.index).shards)


if __name__ == "__main__":
    sys.exit(main())
