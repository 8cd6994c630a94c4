"""Run the benchmark: ``python -m s3_retriever.evaluation FOLDER``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from s3_retriever.disk import write_json
from s3_retriever.encode.artifact import shipped
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.benchmark.report import show, to_json
from s3_retriever.evaluation.benchmark.run import BenchConfig, run_bench

_WIDTH = 150  # of the tables, where the output is not a terminal


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its tables; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():  # now, not after half an hour
        parser.error(f"--json: there is no folder {options.json.parent}")
    artifacts = options.artifact or [name.rpartition("/")[2] for name in reversed(shipped())]
    try:
        config = BenchConfig(
            artifacts=tuple(artifacts),
            sets=tuple(options.sets),
            questions=options.questions,
            minilm=not options.skip_minilm,
            speed=not options.skip_speed,
            memory=options.memory,
        )
        results = run_bench(options.data, config, say=_note)
    except S3RetrieverError as error:
        _note(f"error: {error}")
        return 2
    show(results, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if options.json:
        write_json(options.json, to_json(results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation",
        description="Measure recall, speed, latency and size against BM25, MiniLM and both fused.",
        epilog="Example: python -m s3_retriever.evaluation data/eval --artifact fast --questions 20",
    )
    parser.add_argument(
        "data", metavar="FOLDER", help="one folder per set, with corpus.jsonl and queries.jsonl"
    )
    parser.add_argument(
        "--artifact", nargs="+", metavar="NAME", help="names or folders (default: all that are shipped)"
    )
    parser.add_argument("--sets", nargs="+", default=[], metavar="NAME", help="sets to use (default: all)")
    parser.add_argument("--questions", type=int, metavar="N", help="ask only N questions of each set")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    parser.add_argument("--skip-minilm", action="store_true", help="leave out what needs the embedding model")
    parser.add_argument("--skip-speed", action="store_true", help="leave out throughput and latency")
    parser.add_argument(
        "--memory", action="store_true", help="scan 100 K and 1 M tokens for the memory (minutes)"
    )
    return parser


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
