"""The command ``evaluate``: our retriever beside others, on any set of questions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from s3_retriever import cli_shared


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``evaluate``."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA_DIR",
        help="a set, or a folder of sets: each has corpus.jsonl {_id, title, text} and queries.jsonl "
        "{_id, text, answers, evidence: [{doc_id, start, end}]}, or qrels/*.tsv as in BEIR",
    )
    cli_shared.add_run(parser)
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="NAME",
        help="s3, hybrid, bm25, paper, window-bm25, minilm, minilm+bm25, full-context (default: these), "
        "infiniretri, infiniretri:LAYER, or bge-small, bge-base, a hub name or a folder of "
        "sentence-transformers, each also with +bm25; run:FOLDER is what another retriever found, files "
        "SET.jsonl as 'search --queries' writes them",
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="what the others are compared with (default: the first with +bm25, else the last)",
    )
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="sets to use (default: all)")
    parser.add_argument("--questions", type=int, metavar="N", help="ask only N questions of each set")
    parser.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="ask only every N-th question, beginning with the K-th: choose on 1/2, report on 2/2",
    )
    parser.add_argument(
        "--budgets", type=int, nargs="+", metavar="N", help="tokens to return (default: 256 512 1024)"
    )
    parser.add_argument(
        "--windows", type=int, nargs="+", metavar="N", help="tokens per window (default: 64 128 256)"
    )
    parser.add_argument(
        "--answers", action="store_true", help="let the host answer from what was found (slow)"
    )
    parser.add_argument(
        "--ablations",
        action="store_true",
        help="compare variants of our retriever, each without one of its parts, instead of methods",
    )
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="*",
        metavar="N",
        help="pool the documents to contexts of so many tokens (default: 2000 8000 32000 128000) and compare "
        "by length what the S3-Attention paper compares",
    )
    parser.add_argument(
        "--read-up-to",
        type=int,
        metavar="N",
        help="with --lengths: longest context for what reads it anew for every question (default: 8000)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few questions, methods and documents: about a minute"
    )


def evaluate(args: argparse.Namespace) -> None:
    """Run ``evaluate``."""
    from s3_retriever.errors import InvalidInputError
    from s3_retriever.evaluation.evaluate import BY_LENGTH, QUICK, REPORT, EvaluateConfig, run_evaluation
    from s3_retriever.evaluation.report.tables import show
    from s3_retriever.host.model import Host

    base = QUICK if args.quick else EvaluateConfig()
    if args.lengths is not None:
        if args.quick:
            msg = "--quick searches parts of whole sets; with --lengths, ask fewer --questions"
            raise InvalidInputError(msg)
        base = BY_LENGTH
        args.lengths = args.lengths or list(base.lengths)
    if args.ablations:
        base = replace(base, budgets=(base.middle_budget,))
    config = replace(base, **cli_shared.given(args, EvaluateConfig))
    evaluation = run_evaluation(args.data, args.out, config, host=Host.load(args.host), say=cli_shared.note)
    show(evaluation.comparisons, evaluation.costs, evaluation.reference, cli_shared.console())
    sys.stdout.write(f"wrote {args.out / REPORT}\n")


def _part(text: str) -> tuple[int, int]:
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal()):
        msg = f"must be K/N, such as 1/2, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(k), int(n)
