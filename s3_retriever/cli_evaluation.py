"""The command ``evaluate``: our retriever beside others, on any set of questions."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from s3_retriever.errors import InvalidInputError
from s3_retriever.files import new_file

_METHODS = ("s3", "hybrid", "bm25", "paper", "window-bm25", "minilm", "minilm+bm25", "full-context")
_QUICK_METHODS = ("s3", "hybrid", "window-bm25", "minilm+bm25")
_QUICK_QUESTIONS, _QUICK_TOKENS, _QUICK_WINDOWS = 10, 20_000, (128,)
_WIDTH = 150  # of the tables, where the output is not a terminal


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``evaluate``."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA_DIR",
        help="a set, or a folder of sets: each has corpus.jsonl {_id, title, text} and queries.jsonl "
        "{_id, text, answers, evidence: [{doc_id, start, end}]}, or qrels/*.tsv as in BEIR",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is measured")
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="NAME",
        help=f"{', '.join(_METHODS)}, or bge-small, a hub name or a folder of sentence-transformers, each "
        "also with +bm25 (default: the eight named first)",
    )
    parser.add_argument("--reference", metavar="NAME", help="what others are compared with")
    parser.add_argument("--sets", nargs="+", default=[], metavar="NAME", help="sets to use (default: all)")
    parser.add_argument("--questions", type=int, metavar="N", help="ask only N questions of each set")
    parser.add_argument("--budgets", type=int, nargs="+", default=[256, 512, 1024], metavar="N")
    parser.add_argument("--windows", type=int, nargs="+", metavar="N", help="default: 64 128 256")
    parser.add_argument("--artifact", default="fast", metavar="ARTIFACT", help="default: %(default)s")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")
    parser.add_argument("--quick", action="store_true", help="few questions, methods and documents: minutes")


def evaluate(args: argparse.Namespace) -> None:
    """Run ``evaluate``."""
    from rich.console import Console

    from s3_retriever.evaluation.datasets import load_sets
    from s3_retriever.evaluation.methods import make_systems
    from s3_retriever.evaluation.recall import WINDOW_SIZES
    from s3_retriever.evaluation.records import RunFolder
    from s3_retriever.evaluation.runner import fingerprint, part_of, run_systems
    from s3_retriever.evaluation.summary import compare, costs, default_reference
    from s3_retriever.evaluation.tables import show
    from s3_retriever.features.artifact import Artifact
    from s3_retriever.host.model import Host

    names = args.methods or list(_QUICK_METHODS if args.quick else _METHODS)
    reference = args.reference or default_reference(names)
    if reference not in names:
        msg = f"--reference {reference!r} is none of the methods {', '.join(names)}"
        raise InvalidInputError(msg)
    sets = load_sets(args.data, args.sets)
    artifact = Artifact.load(args.artifact)
    host = Host.load(args.host)
    n_questions = args.questions or (_QUICK_QUESTIONS if args.quick else None)
    if n_questions is not None:
        sets = [part_of(one, n_questions, _QUICK_TOKENS if args.quick else None, host) for one in sets]
    windows = args.windows or (_QUICK_WINDOWS if args.quick else WINDOW_SIZES)
    systems = make_systems(names, artifact, windows, host)
    settings = fingerprint(sets, systems, args.budgets, host) | {"artifact": artifact.digest}
    folder = RunFolder(args.out, settings)
    run_systems(sets, systems, folder, host=host, budgets=args.budgets, say=_note)
    comparisons = compare(folder.results.all(), reference)
    spent = costs(folder.builds.all(), folder.results.all())
    with new_file(args.out / "summary.json") as file:
        json.dump(
            {"comparisons": [asdict(c) for c in comparisons], "costs": [asdict(c) for c in spent]}, file
        )
    show(comparisons, spent, reference, Console(width=None if sys.stdout.isatty() else _WIDTH))


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
