"""The command ``search``: answers a question for people, or a file of questions for programs."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from s3_retriever.cli.shared import Command, common, count, plain_warnings, say, shows_progress
from s3_retriever.cli.show import show
from s3_retriever.disk import new_file
from s3_retriever.errors import InvalidInputError
from s3_retriever.names import MODES, SCORINGS
from s3_retriever.sources.jsonl import JsonLine, read_lines

if TYPE_CHECKING:
    from s3_retriever.documents import Span
    from s3_retriever.retriever import S3Retriever
    from s3_retriever.search.filters import Filter

_TOGETHER = 32  # questions between two steps of the bar


def _search(args: argparse.Namespace) -> None:
    with plain_warnings():
        _answers(args)


def _answers(args: argparse.Namespace) -> None:
    args.question = " ".join(args.question) or None
    if (args.question is None) == (args.queries is None):
        msg = "give a question, or --queries with a file of questions"
        raise InvalidInputError(msg)
    if args.queries is None:
        if args.out is not None:
            msg = "--out goes with --queries; redirect the output for a single question"
            raise InvalidInputError(msg)
        _answer(args)
        return
    if args.json or args.explain:
        msg = "--json and --explain go with a single question; --queries always writes JSON lines"
        raise InvalidInputError(msg)
    _answer_all(args)


def _load(args: argparse.Namespace) -> S3Retriever:
    from s3_retriever.retriever import S3Retriever

    return S3Retriever.load(args.index, host=args.host)


def _options(args: argparse.Namespace, retriever: S3Retriever) -> dict[str, Any]:
    """Return what a call of ``retrieve`` or ``retrieve_batch`` takes beside questions."""
    spans = retriever.config.spans
    if args.bias_tokens is not None:
        spans = replace(spans, bias_tokens=args.bias_tokens)
    return {
        "token_budget": args.token_budget,
        "mode": args.mode,
        "scoring": args.scoring,
        "explain": args.explain,
        "unit_scores": args.unit_scores,
        "where": _where(args),
        "top_k": args.top_k,
        "unique": not args.copies,
        "spans": spans,
    }


def _where(args: argparse.Namespace) -> Filter | None:
    from s3_retriever.search.filters import AllOf, as_filter

    return AllOf([as_filter({key: value}) for key, value in args.where]) if args.where else None


def _answer(args: argparse.Namespace) -> None:
    """Answer one question, in JSON or for people."""
    retriever = _load(args)
    spans = retriever.retrieve(args.question, **_options(args, retriever))
    titles = [retriever.document(span.doc_id).title for span in spans]
    if not args.json:
        show(args.question, spans, titles)
        return
    found = []
    for span, title in zip(spans, titles, strict=True):
        entry = {**_place(span), **span.structure, "title": title, "text": span.text}
        if span.explanation is not None:
            entry["explanation"] = asdict(span.explanation)
        found.append(entry)
    say(json.dumps({"question": args.question, "spans": found}))


def _answer_all(args: argparse.Namespace) -> None:
    """Answer a file of questions in JSON lines, in the order of the questions."""
    from tqdm import tqdm

    queries = list(read_lines(args.queries))  # a mistake in the last line costs no search
    with new_file(args.out, follow=True) if args.out else contextlib.nullcontext(sys.stdout) as file:
        retriever = _load(args)
        options = _options(args, retriever)
        with tqdm(
            total=len(queries), desc="search", unit=" questions", disable=not shows_progress(args)
        ) as bar:
            for first in range(0, len(queries), _TOGETHER):
                some = queries[first : first + _TOGETHER]
                for query, spans in zip(some, _retrieve(retriever, some, options), strict=True):
                    line = {"query_id": query.id, "spans": [_place(span) for span in spans]}
                    file.write(f"{json.dumps(line)}\n")
                bar.update(len(some))


def _retrieve(
    retriever: S3Retriever, queries: Sequence[JsonLine], options: Mapping[str, Any]
) -> list[list[Span]]:
    """Answer several questions; a mistake in one of them is said with its place."""
    try:
        return retriever.retrieve_batch([query.text for query in queries], **options)
    except InvalidInputError:
        for query in queries:
            _try(retriever, query, options)
        raise


def _try(retriever: S3Retriever, query: JsonLine, options: Mapping[str, Any]) -> None:
    """Raise the error that a question meets, with its place."""
    try:
        retriever.retrieve(query.text, **options)
    except InvalidInputError as error:
        msg = f"{query.place}: {error}"
        raise InvalidInputError(msg) from error


def _place(span: Span) -> dict[str, Any]:
    where = {"doc_id": span.doc_id, "start": span.start, "end": span.end}
    return {**where, "score": span.score, **span.places}


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


SEARCH = Command(
    "search",
    "find the spans that answer a question, or each question of a file",
    (
        'search my-index "How is an index saved?"',
        "search my-index --queries questions.jsonl --token-budget 512 --out run.jsonl",
        'search my-index "How is an index saved?" --where source=a.pdf --top-k 3',
    ),
    {
        "index DIR": "what 'index' wrote",
        "question": {"nargs": "*", "help": "a question, in quotes or not, answered for people"},
        "--queries Q.jsonl": "a question per line: {_id, text}",
        "--out RUN.jsonl": "with --queries: where to write {query_id, spans: [{doc_id, start, end, score}]} "
        "per line (default: standard output)",
        "--json": "with a question: write JSON",
        "--explain": "with a question: say why each span is there",
        "--token-budget N": count(
            "most tokens of the host's tokenizer that the spans have together (default: %(default)s)",
            default=512,
        ),
        "--top-k N": count("most spans per question (default: no limit)"),
        "--where KEY=VALUE": {
            "type": _key_and_value,
            "action": "append",
            "default": [],
            "help": "search only documents with this in their metadata; VALUE is read as JSON if it is JSON, "
            "else as text; a list means one of its elements. Given several times, all must hold",
        },
        "--mode": {
            "choices": MODES,
            "default": "hybrid",
            "help": "search with S3 and BM25, or with one of them (default: %(default)s)",
        },
        "--scoring": {
            "choices": SCORINGS,
            "default": "attention",
            "help": "how S3 scores; paper is the published method (default: %(default)s)",
        },
        "--unit-scores": "give scores in [0, 1]",
        "--copies": "also return passages that say the same as a better one; else it names their places",
        "--bias-tokens N": count(
            "also return the first and last N tokens of each document hit (default: as indexed)", least=0
        ),
        "--host NAME_OR_PATH": "where the host of the index is now, if not where its name says",
        **common("--no-progress"),
    },
    _search,
)
