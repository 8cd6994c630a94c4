"""The command ``pairs``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from s3_retriever.cli_shared import distinct_texts, say
from s3_retriever.errors import InvalidInputError
from s3_retriever.files import new_file


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``pairs``."""
    parser.add_argument("text", type=Path, metavar="TEXT.jsonl", help="documents: lines {_id, text}")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PAIRS.jsonl",
        help="where to write lines {question, doc_id, evidence}, for 'calibrate' and 'fit'",
    )
    parser.add_argument("--max-pairs", type=int, default=500, help="pairs to make at most (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def pairs(args: argparse.Namespace) -> None:
    """Run ``pairs``."""
    from s3_retriever.features.unlabelled import make_pairs

    if args.out.resolve() == args.text.resolve():
        msg = f"--out would replace the documents in {args.text}; choose another file"
        raise InvalidInputError(msg)
    documents = list(distinct_texts(args.text).values())
    made = make_pairs(documents, max_pairs=args.max_pairs, seed=args.seed)
    with new_file(args.out) as file:
        for pair in made:
            line = {"question": pair.question, "doc_id": pair.doc_id, "evidence": pair.evidence}
            file.write(f"{json.dumps(line)}\n")
    say(f"wrote {len(made)} pairs from {len({pair.doc_id for pair in made})} documents to {args.out}")
