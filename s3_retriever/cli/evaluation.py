"""The commands that measure: ``evaluate`` on sets of questions, ``needles`` in long texts."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli.shared import Command, Options, common, console, note, required, say, settings
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.documents import Document


_RUN: Options = {
    "--out DIR": required("folder for the records and report.html; a run that was killed goes on from it"),
    **common("--artifact", "--host"),
}


def _evaluate(args: argparse.Namespace) -> None:
    from s3_retriever import Host
    from s3_retriever.evaluation.evaluate import BY_LENGTH, QUICK, EvaluateConfig, run_evaluation
    from s3_retriever.evaluation.records import REPORT
    from s3_retriever.evaluation.report.tables import show

    base = QUICK if args.quick else EvaluateConfig()
    if args.lengths is not None:
        if args.quick:
            msg = "--quick searches parts of whole sets; with --lengths, ask fewer --questions"
            raise InvalidInputError(msg)
        base = BY_LENGTH
        args.lengths = args.lengths or list(base.lengths)
    if args.ablations:
        base = replace(base, budgets=(base.middle_budget,))
    config = settings(EvaluateConfig, args, base)
    evaluation = run_evaluation(args.data, args.out, config, host=Host.load(args.host), say=note)
    show(evaluation, console())
    say(f"wrote {args.out / REPORT}")


def _part(text: str) -> tuple[int, int]:
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal()):
        msg = f"must be K/N, such as 1/2, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(k), int(n)


EVALUATE = Command(
    "evaluate",
    "measure the retriever beside BM25, embedding models and the full context",
    ("evaluate data/eval --quick --out quick", "evaluate my-questions --out mine"),
    {
        "data DATA_DIR": "a set, or a folder of sets: each has corpus.jsonl {_id, title, text} and "
        "queries.jsonl {_id, text, answers, evidence: [{doc_id, start, end}]}, or qrels/*.tsv as in BEIR",
        **_RUN,
        "--methods NAME ...": "s3, hybrid, bm25, paper, window-bm25, minilm, minilm+bm25, e5-small, "
        "e5-small+bm25, full-context (default: these), infiniretri, infiniretri:LAYER, or bge-small, "
        "bge-base, a hub name or a folder of sentence-transformers, each also with +bm25; run:FOLDER is what "
        "another retriever found, files SET.jsonl as 'search --queries' writes them",
        "--reference NAME": "what others are compared with (default: the first with +bm25, else the last)",
        "--sets NAME ...": "sets to use (default: all)",
        "--questions N": "ask only N questions of each set",
        "--part K/N": {
            "type": _part,
            "help": "ask only every N-th question, beginning with the K-th: choose on 1/2, report on 2/2",
        },
        "--budgets N ...": "tokens to return (default: 256 512 1024)",
        "--windows N ...": "tokens per window (default: 64 128 256)",
        "--answers": "let the host answer from what was found (slow)",
        "--ablations": "compare variants of our retriever, each without one of its parts, instead of methods",
        "--lengths N": {
            "nargs": "*",
            "help": "pool the documents to contexts of so many tokens (default: 2000 8000 32000 128000) and "
            "compare by length what the S3-Attention paper compares",
        },
        "--read-up-to N": "with --lengths: longest context for methods that read it again for every question "
        "(default: 8000)",
        "--quick": "a few questions, methods and documents: about a minute",
    },
    _evaluate,
)


def _needles(args: argparse.Namespace) -> None:
    from s3_retriever import Host
    from s3_retriever.evaluation.needles.report import show
    from s3_retriever.evaluation.needles.run import NeedleConfig, run_needles
    from s3_retriever.evaluation.records import REPORT

    config = settings(NeedleConfig, args)
    documents = _documents(args.text, args.data)
    scores = run_needles(documents, args.out, config, host=Host.load(args.host), say=note)
    show(scores, config.budget, console())
    say(f"wrote {args.out / REPORT}")


def _documents(text: list[Path] | None, data: Path | None) -> list[Document]:
    """Read the texts, under ids that no two of them share.

    Raises:
        InvalidInputError: A file cannot be read or is no text.
    """
    from s3_retriever.documents import Document
    from s3_retriever.evaluation.datasets import load_sets
    from s3_retriever.training.pairs import read_texts, shipped_pairs

    if text and data:
        msg = "give --text or --data, not both"
        raise InvalidInputError(msg)
    if data is not None:
        sets = load_sets(data)
        return [replace(one, id=f"{part.name}/{one.id}") for part in sets for one in part.documents]
    if text is None:
        return shipped_pairs()[0]
    documents: list[Document] = []
    for path in text:
        if path.suffix == ".jsonl":
            documents += (replace(one, id=f"{path.name}/{one.id}") for one in read_texts(path))
            continue
        try:
            documents.append(Document(str(path), path.read_text(encoding="utf-8-sig")))
        except UnicodeDecodeError as error:
            msg = f"{path}: not UTF-8 (byte {error.start + 1}); convert the file"
            raise InvalidInputError(msg) from error
    return documents


NEEDLES = Command(
    "needles",
    "hide sentences in long texts and measure at which depths they are found",
    (
        "needles --out needles --lengths 2000 8000 --per-depth 4",
        "needles --text book.txt --methods hybrid minilm+bm25 --out needles",
    ),
    {
        **_RUN,
        "--text FILE ...": "texts to hide needles in: JSON lines {text} where the name ends in .jsonl, else "
        "one document each (default: the reference that Python carries)",
        "--data DIR": "instead of --text: documents of evaluation sets to hide needles in",
        "--lengths N ...": "tokens of the haystacks (default: 2000 8000 32000 128000 1000000)",
        "--depths N": "depths from 0 to 100 %% (default: 11)",
        "--per-depth N": "needles per depth, length and number (default: 20)",
        "--needles N ...": "needles that a question needs (default: 1 2 3)",
        "--distractors N": "sentences per needle that share the question's words (default: 4)",
        "--methods NAME ...": "as in evaluate (default: hybrid s3 bm25 window-bm25)",
        "--windows N ...": "tokens per window (default: 128)",
        "--budget N": "tokens to return (default: 512)",
        **common("--seed"),
    },
    _needles,
)
