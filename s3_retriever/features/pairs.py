"""Questions with the passages that answer them: what calibration learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.files import read_objects, string_field

_PASSAGE = 16_384  # characters


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
    are passed over. Blank lines do not count.

    Raises:
        InvalidInputError: The file cannot be read, or a line is malformed; names the line.
    """
    pairs = []
    for number, fields in _objects(path):
        place = f"{path}, line {number}"
        question = string_field(fields, "question", place)
        doc_id = string_field(fields, "doc_id", place)
        evidence = fields.get("evidence")
        if not question.strip():
            msg = f"{place}: 'question' is empty"
            raise InvalidInputError(msg)
        if not isinstance(evidence, list) or not evidence:
            msg = f"{place}: 'evidence' must be a list of [start, end] or of quotes, not {evidence!r:.40}"
            raise InvalidInputError(msg)
        document = documents.get(doc_id)
        if document is None:
            continue
        ranges = [_locate(item, document.text, place) for item in evidence]
        found = tuple(item for item in ranges if item)
        if len(found) == len(evidence):
            pairs.append(Pair(question, doc_id, found))
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

    A document without ``_id`` has its number as its id, counted from 0. Blank lines do not count.

    Raises:
        InvalidInputError: The file cannot be read, or a line is malformed; names the line.
    """
    for position, (number, fields) in enumerate(_objects(path)):
        text = string_field(fields, "text", f"{path}, line {number}")
        yield Document(str(fields.get("_id", position)), text)


def held_out(pairs: Iterable[Pair], fraction: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs by document, so that no passage is on both sides; returns (kept, held out).

    Where there are two documents or more, and a fraction above 0, neither side is empty; of one document, all
    are kept.
    """
    import numpy as np

    pairs = list(pairs)
    names = sorted({pair.doc_id for pair in pairs})
    draws = np.random.default_rng(seed).random(len(names))
    chosen = draws < (fraction if len(names) > 1 else 0)
    if fraction > 0 and len(names) > 1 and (chosen.all() or not chosen.any()):
        chosen = draws < draws.max() if chosen.all() else draws == draws.min()
    out = {name for name, is_out in zip(names, chosen, strict=True) if is_out}
    return [p for p in pairs if p.doc_id not in out], [p for p in pairs if p.doc_id in out]


def limit(
    documents: Iterable[Document],
    pairs: Sequence[Pair],
    *,
    max_pairs: int,
    max_tokens: int,
    count: Callable[[str], int],
    seed: int,
) -> tuple[list[Document], list[Pair]]:
    """Draw whole documents, with all their pairs, until there are enough.

    Args:
        documents: Those of the pairs, and others, which are passed over.
        pairs: To draw from.
        max_pairs: No document is added that would give more pairs ...
        max_tokens: ... or more tokens; the first one drawn is kept in any case.
        count: Counts the tokens of a text.
        seed: Fixes the order of the documents.

    Returns:
        The documents and the pairs drawn, each in the order given.

    Raises:
        InvalidInputError: ``max_pairs`` is below 1.
    """
    import numpy as np

    if max_pairs < 1:
        msg = f"max-pairs must be at least 1, not {max_pairs}"
        raise InvalidInputError(msg)

    by_document: dict[str, int] = {}
    for pair in pairs:
        by_document[pair.doc_id] = by_document.get(pair.doc_id, 0) + 1
    asked = [document for document in documents if document.id in by_document]
    drawn: set[str] = set()
    n_pairs = n_tokens = 0
    for i in np.random.default_rng(seed).permutation(len(asked)).tolist():
        document = asked[i]
        more_pairs, more_tokens = by_document[document.id], count(document.text)
        if drawn and (n_pairs + more_pairs > max_pairs or n_tokens + more_tokens > max_tokens):
            continue
        drawn.add(document.id)
        n_pairs, n_tokens = n_pairs + more_pairs, n_tokens + more_tokens
    return [d for d in asked if d.id in drawn], [p for p in pairs if p.doc_id in drawn]


def draw_texts(
    documents: Iterable[Document], *, max_tokens: int, count: Callable[[str], int], seed: int
) -> list[Document]:
    """Draw passages of at most 16,384 characters, spread over all documents, until there are enough tokens.

    Args:
        documents: Of which the passages are.
        max_tokens: A passage that would give more is passed over.
        count: Counts the tokens of a text.
        seed: Fixes the draw.
    """
    import numpy as np

    passages = [
        Document(f"{document.id}#{start}", document.text[start : start + _PASSAGE])
        for document in documents
        for start in range(0, len(document.text), _PASSAGE)
    ]
    drawn: list[Document] = []
    left = max_tokens
    for i in np.random.default_rng(seed).permutation(len(passages)).tolist():
        if left <= 0:
            break
        n = count(passages[i].text)
        if n <= left:
            drawn.append(passages[i])
            left -= n
    return drawn


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from read_objects(path)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidInputError(msg) from error


def _locate(item: Any, text: str, place: str) -> tuple[int, int] | None:
    """Return an evidence's range, or None for a quote that is not in the text exactly once."""
    if isinstance(item, str) and item:
        start = text.find(item)
        return None if start < 0 or text.find(item, start + 1) >= 0 else (start, start + len(item))
    if not (isinstance(item, list) and len(item) == 2 and all(type(bound) is int for bound in item)):
        msg = f"{place}: evidence must be [start, end] or a quote, not {item!r:.40}"
        raise InvalidInputError(msg)
    start, end = item
    if not 0 <= start < end <= len(text):
        msg = f"{place}: range [{start}, {end}] is not within the document's {len(text)} characters"
        raise InvalidInputError(msg)
    return start, end
