"""The command ``search``: answers a question for people, or a file of questions for programs."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.cli_shared import add_no_progress, shows_progress
from s3_retriever.cli_show import show
from s3_retriever.errors import InvalidInputError
from s3_retriever.files import new_file, read_lines

if TYPE_CHECKING:
    from s3_retriever.documents import Span
    from s3_retriever.retriever import S3Retriever
    from s3_retriever.search.filters import Filter


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``search``."""
    parser.add_argument("index", type=Path, metavar="DIR", help="what 'index' wrote")
    questions = parser.add_mutually_exclusive_group(required=True)
    questions.add_argument("question", nargs="?", help="a question, answered for people")
    questions.add_argument("--queries", type=Path, metavar="Q.jsonl", help="a question per line: {_id, text}")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="RUN.jsonl",
        help="with --queries: where to write {query_id, spans: [{doc_id, start, end, score}]} per line "
        "(default: standard output)",
    )
    parser.add_argument("--json", action="store_true", help="with a question: write JSON")
    parser.add_argument("--explain", action="store_true", help="with a question: say why each span is there")
    parser.add_argument(
        "--token-budget",
        type=_whole_number(1),
        default=512,
        metavar="N",
        help="most tokens of the host's tokenizer that the spans have together (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k", type=_whole_number(1), metavar="N", help="most spans per question (default: no limit)"
    )
    parser.add_argument(
        "--where",
        type=_key_and_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="search only documents with this in their metadata; VALUE is read as JSON if it is JSON, else "
        "as text; a list means one of its elements. Given several times, all must hold",
    )
    parser.add_argument(
        "--mode", choices=("hybrid", "s3", "bm25"), default="hybrid", help="default: %(default)s"
    )
    parser.add_argument(
        "--scoring",
        choices=("attention", "paper"),
        default="attention",
        help="how S3 scores; paper is the published method (default: %(default)s)",
    )
    parser.add_argument("--unit-scores", action="store_true", help="give scores in [0, 1]")
    parser.add_argument(
        "--bias-tokens",
        type=_whole_number(0),
        metavar="N",
        help="also return the first and last N tokens of each document hit (default: as indexed)",
    )
    parser.add_argument(
        "--host", metavar="NAME_OR_PATH", help="where the index's host is now, if not under its name"
    )
    add_no_progress(parser)


def search(args: argparse.Namespace) -> None:
    """Run ``search``."""
    if args.queries is None:
        if args.out is not None:
            msg = "--out goes with --queries; redirect the output for a single question"
            raise InvalidInputError(msg)
        _answer(args, _load(args))
        return
    if args.json or args.explain:
        msg = "--json and --explain go with a single question; --queries always writes JSON lines"
        raise InvalidInputError(msg)
    _answer_all(args)


def _load(args: argparse.Namespace) -> S3Retriever:
    from s3_retriever.retriever import S3Retriever

    retriever = S3Retriever.load(args.index, host=args.host)
    if args.bias_tokens is not None:
        spans = replace(retriever.config.spans, bias_tokens=args.bias_tokens)
        retriever.config = replace(retriever.config, spans=spans)
    return retriever


def _retrieve(args: argparse.Namespace, retriever: S3Retriever, question: str) -> list[Span]:
    return retriever.retrieve(
        question,
        args.token_budget,
        mode=args.mode,
        scoring=args.scoring,
        explain=args.explain,
        unit_scores=args.unit_scores,
        where=_where(args),
        top_k=args.top_k,
    )


def _where(args: argparse.Namespace) -> Filter | None:
    from s3_retriever.search.filters import AllOf, as_filter

    return AllOf([as_filter({key: value}) for key, value in args.where]) if args.where else None


def _answer(args: argparse.Namespace, retriever: S3Retriever) -> None:
    """Answer one question, in JSON or for people."""
    spans = _retrieve(args, retriever, args.question)
    titles = [retriever.document(span.doc_id).title for span in spans]
    if not args.json:
        show(args.question, spans, titles)
        return
    found = []
    for span, title in zip(spans, titles, strict=True):
        entry = {**_place(span), "title": title, "text": span.text}
        if span.explanation is not None:
            entry["explanation"] = asdict(span.explanation)
        found.append(entry)
    sys.stdout.write(f"{json.dumps({'question': args.question, 'spans': found})}\n")


def _answer_all(args: argparse.Namespace) -> None:
    """Answer a file of questions in JSON lines, in the order of the questions."""
    from tqdm import tqdm

    queries = list(read_lines(args.queries))  # a mistake in the last line costs no search
    with new_file(args.out) if args.out else contextlib.nullcontext(sys.stdout) as file:
        retriever = _load(args)
        for query in tqdm(
            queries, "search", unit=" questions", disable=args.no_progress or not shows_progress()
        ):
            try:
                spans = _retrieve(args, retriever, query.text)
            except InvalidInputError as error:
                msg = f"{query.place}: {error}"
                raise InvalidInputError(msg) from error
            line = {"query_id": query.id, "spans": [_place(span) for span in spans]}
            file.write(f"{json.dumps(line)}\n")


def _place(span: Span) -> dict[str, Any]:
    return {"doc_id": span.doc_id, "start": span.start, "end": span.end, "score": span.score}


def _whole_number(least: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``least`` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            msg = f"must be a whole number, {least} or more, not {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return parse


def _key_and_value(text: str) -> tuple[str, Any]:
    """Parse KEY=VALUE, the value as JSON or, failing that, as text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        msg = f"must be KEY=VALUE, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    try:
        return key, json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return key, value


def _refuse_constant(name: str) -> None:
    """Stop ``json`` at NaN and Infinity, which it reads although JSON does not have them."""
    raise ValueError(name)
