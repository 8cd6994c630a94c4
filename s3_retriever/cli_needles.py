"""The command ``needles``: single sentences hidden in long texts, and who finds them."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever import cli_shared
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.documents import Document


def add_needles(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``needles``."""
    cli_shared.add_run(parser)
    text = parser.add_mutually_exclusive_group()
    text.add_argument(
        "--text",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="texts to hide needles in: JSON lines {text} where the name ends in .jsonl, else one document "
        "each (default: the reference that Python carries)",
    )
    text.add_argument(
        "--data", type=Path, metavar="DIR", help="documents of evaluation sets to hide needles in"
    )
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="+",
        metavar="N",
        help="tokens of the haystacks (default: 2000 8000 32000 128000 1000000)",
    )
    parser.add_argument("--depths", type=int, metavar="N", help="depths from 0 to 100 %% (default: 11)")
    parser.add_argument(
        "--per-depth", type=int, metavar="N", help="needles per depth, length and number (default: 20)"
    )
    parser.add_argument(
        "--needles", type=int, nargs="+", metavar="N", help="needles that a question needs (default: 1 2 3)"
    )
    parser.add_argument(
        "--distractors",
        type=int,
        metavar="N",
        help="sentences per needle that share the question's words (default: 4)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="NAME",
        help="as in evaluate (default: hybrid s3 bm25 window-bm25)",
    )
    parser.add_argument(
        "--windows", type=int, nargs="+", metavar="N", help="tokens per window (default: 128)"
    )
    parser.add_argument("--budget", type=int, metavar="N", help="tokens to return (default: 512)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the needles and their places (default: 0)")


def needles(args: argparse.Namespace) -> None:
    """Run ``needles``."""
    from s3_retriever.evaluation.needles.report import show
    from s3_retriever.evaluation.needles.run import REPORT, NeedleConfig, run_needles
    from s3_retriever.host.model import Host

    config = NeedleConfig(**cli_shared.given(args, NeedleConfig))
    documents = _documents(args.text, args.data)
    scores = run_needles(documents, args.out, config, host=Host.load(args.host), say=cli_shared.note)
    show(scores, config.budget, cli_shared.console())
    sys.stdout.write(f"wrote {args.out / REPORT}\n")


def _documents(text: list[Path] | None, data: Path | None) -> list[Document]:
    """Read the texts, under ids that no two of them share.

    Raises:
        InvalidInputError: A file cannot be read or is no text.
    """
    from s3_retriever.documents import Document
    from s3_retriever.evaluation.datasets import load_sets
    from s3_retriever.features.pairs import read_texts, shipped_pairs

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
