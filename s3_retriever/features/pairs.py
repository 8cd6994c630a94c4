"""Questions with the passages that answer them: what calibration learns from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError


@dataclass(frozen=True)
class Pair:
    """A question and its evidence.

    Attributes:
        question: In natural language.
        doc_id: The document that holds the evidence.
        evidence: Character ranges [start, end) of the document's text.
    """

    question: str
    doc_id: str
    evidence: tuple[tuple[int, int], ...]


def read_pairs(path: Path, documents: Mapping[str, Document]) -> list[Pair]:
    """Read pairs from JSON lines ``{question, doc_id, evidence}``.

    Evidence is a list of ``[start, end]`` ranges, or of quotes that occur in the document exactly once.
    Pairs whose document is not among ``documents``, and quotes that this version of it does not have,
    are passed over.

    Raises:
        InvalidInputError: The file cannot be read, or a line is malformed; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").strip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as pairs: {error}"
        raise InvalidInputError(msg) from error
    pairs = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            document = documents.get(entry["doc_id"])
            if document is None:
                continue
            ranges = tuple(_locate(item, document.text) for item in entry["evidence"])
            if ranges and None not in ranges:
                pairs.append(Pair(str(entry["question"]), document.id, tuple(r for r in ranges if r)))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{path}, line {number} is no pair (question, doc_id, evidence): {error!r}"
            raise InvalidInputError(msg) from error
    return pairs


def shipped_pairs() -> tuple[list[Document], list[Pair]]:
    """Return the Python language reference, which every Python carries, and questions written for it.

    The topics differ a little between Python versions; pairs whose evidence is not in this one's are
    left out.
    """
    from pydoc_data.topics import topics

    named = [Document(f"python-reference/{topic}", text) for topic, text in sorted(topics.items())]
    documents = {document.id: document for document in named}
    path = Path(str(files("s3_retriever").joinpath("features", "data", "python_reference.jsonl")))
    return named, read_pairs(path, documents)


def read_texts(path: Path) -> Iterator[Document]:
    """Yield the documents of a JSON lines file ``{text}``, lazily.

    A line without ``_id`` has its number as its id, counted from 0.

    Raises:
        InvalidInputError: The file cannot be read, or a line is malformed; names the line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                entry = json.loads(line)
                yield Document(str(entry.get("_id", number)), entry["text"])
    except OSError as error:
        msg = f"{path} cannot be read: {error}"
        raise InvalidInputError(msg) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"{path}, line {number + 1} is no JSON object with 'text': {error!r}"
        raise InvalidInputError(msg) from error


def held_out(pairs: Iterable[Pair], fraction: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs by document, so that no passage is on both sides; returns (kept, held out)."""
    import numpy as np

    pairs = list(pairs)
    names = sorted({pair.doc_id for pair in pairs})
    chosen = np.random.default_rng(seed).random(len(names)) < fraction
    out = {name for name, is_out in zip(names, chosen, strict=True) if is_out}
    return [p for p in pairs if p.doc_id not in out], [p for p in pairs if p.doc_id in out]


def _locate(item: Any, text: str) -> tuple[int, int] | None:
    """Return an evidence's range, or None for a quote that is not in the text exactly once."""
    if isinstance(item, str):
        start = text.find(item)
        return None if start < 0 or text.find(item, start + 1) >= 0 else (start, start + len(item))
    start, end = item
    if not 0 <= start < end <= len(text):
        msg = f"range [{start}, {end}] is not within the document's {len(text)} characters"
        raise ValueError(msg)
    return int(start), int(end)
