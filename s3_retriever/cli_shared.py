"""What commands have in common."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.console import Console

    from s3_retriever.documents import Document
    from s3_retriever.features.pairs import Pair
    from s3_retriever.host.taps import QueryHead

_HEAD = re.compile(r"(\d+)\.(\d+)")
_WIDTH = 150  # of tables, where the output is not a terminal


def add_head_choice(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which heads to use, or among which to choose."""
    parser.add_argument(
        "--heads", metavar="L.H,L.H,...", help="query heads as layer.head; chosen by a survey if omitted"
    )
    parser.add_argument(
        "--max-layer",
        type=int,
        help="deepest layer to choose heads from (default: the first third of the layers)",
    )
    parser.add_argument("--taps", type=int, help="key heads to choose at most (default: 5)")
    parser.add_argument("--query-heads", type=int, help="query heads to choose at most (default: 8)")
    parser.add_argument(
        "--heat-map", type=Path, metavar="FILE.png", help="draw what each head finds (needs matplotlib)"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every run that is recorded: where to, with which artifact and host."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the records and report.html; a run that was killed goes on from it",
    )
    parser.add_argument("--artifact", metavar="ARTIFACT", help="fast, best, or a folder (default: fast)")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")


def given(args: argparse.Namespace, config: type[Any]) -> dict[str, Any]:
    """Return what was given on the command line of a dataclass's fields."""
    values = {field.name: getattr(args, field.name, None) for field in fields(config)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if value is not None
    }


def note(text: str) -> None:
    """Say what is about to be done, beside the results."""
    sys.stderr.write(f"{text}\n")


def console() -> Console:
    """Return where tables go, as wide as they need where that is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH)


def calibration_set(pairs_path: Path | None, text_path: Path | None) -> tuple[list[Document], list[Pair]]:
    """Return the shipped questions and the user's, with the documents that either need.

    Raises:
        InvalidInputError: One path comes without the other, a file is malformed, two documents have one id,
            or no pair has its document.
    """
    from s3_retriever.features.pairs import read_pairs, shipped_pairs

    documents, pairs = shipped_pairs()
    if (pairs_path is None) != (text_path is None):
        msg = (
            "--pairs and --text belong together: the questions, and the documents that answer them; "
            "'s3-retriever pairs' makes questions from documents"
        )
        raise InvalidInputError(msg)
    if pairs_path is None or text_path is None:
        return documents, pairs
    texts = distinct_texts(text_path)
    own = read_pairs(pairs_path, texts)
    if not own:
        msg = f"no pair of {pairs_path} has its document in {text_path}: compare doc_id with _id"
        raise InvalidInputError(msg)
    needed = {pair.doc_id for pair in own}
    return [*documents, *(document for key, document in texts.items() if key in needed)], [*pairs, *own]


def distinct_texts(path: Path) -> dict[str, Document]:
    """Read all documents of a file, by id.

    Raises:
        InvalidInputError: The file cannot be read, a line is malformed, or two documents have one id.
    """
    from s3_retriever.features.pairs import read_texts

    texts: dict[str, Document] = {}
    for document in read_texts(path):
        if document.id in texts:
            msg = f"{path}: two documents have the id {document.id!r}; give each its own"
            raise InvalidInputError(msg)
        texts[document.id] = document
    return texts


def parse_heads(text: str) -> list[QueryHead]:
    """Parse ``layer.head,layer.head``.

    Raises:
        InvalidInputError: Names what is no head.
    """
    from s3_retriever.host.taps import QueryHead

    heads = []
    for item in text.split(","):
        match = _HEAD.fullmatch(item.strip())
        if not match:
            msg = f"--heads takes layer.head, such as 8.0,9.2, not {item!r}"
            raise InvalidInputError(msg)
        heads.append(QueryHead(int(match[1]), int(match[2])))
    return heads


def add_no_progress(parser: argparse.ArgumentParser) -> None:
    """Add the argument that hides progress bars."""
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")


def say(line: str) -> None:
    """Write a line to standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def shows_progress() -> bool:
    """Whether there is somebody to see a progress bar."""
    return sys.stderr.isatty()


def peak() -> str:
    """Say how much memory this process took."""
    from s3_retriever.memory import peak_bytes

    return f"peak memory {peak_bytes() / 1e6:,.0f} MB"


def shipped_names() -> set[str]:
    """Return what the artifacts in the package can be called by."""
    from s3_retriever.features.artifact import shipped

    return {part for name in shipped() for part in (name, name.rpartition("/")[2])}
