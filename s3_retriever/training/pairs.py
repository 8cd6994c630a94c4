"""Questions with the passages that answer them, which calibration learns from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.checks import check, whole
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.index.scripts import MARKS, UNSPACED
from s3_retriever.index.words import placed_words
from s3_retriever.sources.jsonl import read_objects, string_field
from s3_retriever.structure import Kind, find_units

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
    A pair is passed over if its document is not among ``documents``, or does not have a quote. Blank lines
    do not count.

    Raises:
        InvalidInputError: A line is malformed; names the line.
        OSError: The file cannot be read.
    """
    pairs = []
    for number, fields in read_objects(path):
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

    The topics differ a little between Python versions. Pairs whose evidence this version lacks are left out.
    """
    from pydoc_data.topics import topics

    named = [Document(f"python-reference/{topic}", text) for topic, text in sorted(topics.items())]
    documents = {document.id: document for document in named}
    path = Path(str(files("s3_retriever").joinpath("training", "data", "python_reference.jsonl")))
    return named, read_pairs(path, documents)


def read_texts(path: Path) -> Iterator[Document]:
    """Yield the documents of a JSON lines file ``{text}``, lazily.

    A document without ``_id`` has its number as its id, counted from 0. Blank lines do not count.

    Raises:
        InvalidInputError: A line is malformed; names the line.
        OSError: The file cannot be read.
    """
    for position, (number, fields) in enumerate(read_objects(path)):
        text = string_field(fields, "text", f"{path}, line {number}")
        yield Document(str(fields.get("_id", position)), text)


def split_pairs(pairs: Sequence[Pair], held_out_share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs by document, so that no passage is on both sides; return those kept and those held out.

    With two documents or more and a share above 0, neither side is empty. Pairs of one document are kept.
    """
    import numpy as np

    names = sorted({pair.doc_id for pair in pairs})
    draws = np.random.default_rng(seed).random(len(names))
    chosen = draws < (held_out_share if len(names) > 1 else 0)
    if held_out_share > 0 and len(names) > 1 and (chosen.all() or not chosen.any()):
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
        max_pairs: A document that would give more pairs is passed over, except the first one drawn.
        max_tokens: Likewise a document that would give more tokens.
        count: Counts the tokens of a text.
        seed: Fixes the order of the documents.

    Returns:
        The documents and the pairs drawn, each in the order given.

    Raises:
        InvalidInputError: ``max_pairs`` is below 1.
    """
    import numpy as np

    check("max_pairs", max_pairs, whole(1))
    by_document = Counter(pair.doc_id for pair in pairs)
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
    documents: Iterable[Document],
    *,
    max_tokens: int,
    count: Callable[[str], int],
    seed: int,
    taken: Container[str] = (),
) -> list[Document]:
    """Draw passages of at most 16,384 characters, spread over all documents, until there are enough tokens.

    Args:
        documents: To draw from.
        max_tokens: A passage that would give more is passed over.
        count: Counts the tokens of a text.
        seed: Fixes the draw.
        taken: Ids of documents and of passages that may not be drawn.
    """
    import numpy as np

    passages = [
        Document(f"{document.id}#{start}", document.text[start : start + _PASSAGE])
        for document in documents
        if document.id not in taken
        for start in range(0, len(document.text), _PASSAGE)
        if f"{document.id}#{start}" not in taken
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


def _locate(item: Any, text: str, place: str) -> tuple[int, int] | None:
    """Return the range of a piece of evidence, or None for a quote that is not in the text exactly once."""
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


_LENGTHS = range(50, 600)  # characters of a unit that is asked about
_RUNNING = (Kind.PROSE, Kind.LIST)
_ASKED_ABOUT = (*_RUNNING, Kind.TABLE, Kind.CODE, Kind.DATA)
_COMMON = 0.01  # a word is telling in at most this share of the units,
_SEVERAL = 5  # or in at most so many
_LEAST_TELLING = 4
_ASKED = range(3, 7)  # words of a question
_LETTER = rf"(?![{UNSPACED}])[\w{MARKS}]"
# A word with its marks, hyphens and apostrophes; of a script without spaces two characters with their marks.
_SURFACE = re.compile(rf"(?:{_LETTER}|['’-](?={_LETTER}))+|(?:[{UNSPACED}][{MARKS}]*){{1,2}}")


@dataclass(frozen=True)
class _Unit:
    """A unit without white space around it, with its terms and where each first stands in the document."""

    document: int
    start: int
    end: int
    kind: int
    terms: dict[str, int]


def make_pairs(documents: Sequence[Document], *, max_pairs: int = 500, seed: int = 0) -> list[Pair]:
    """Make questions from documents: each about a sentence, a row of a table, a statement, a member of JSON.

    Args:
        documents: Any text.
        max_pairs: Pairs to make at most.
        seed: Fixes which units are asked about, and with which words.

    Returns:
        Pairs in the order of the documents, one per unit that is asked about.

    Raises:
        InvalidInputError: ``max_pairs`` is below 1, or no unit has enough telling words.
    """
    check("max_pairs", max_pairs, whole(1))
    cut = [unit for number, document in enumerate(documents) for unit in _units(number, document)]
    counts = Counter(term for unit in cut for term in unit.terms)
    most = max(_SEVERAL, _COMMON * len(cut))
    telling = [[term for term in unit.terms if counts[term] <= most] for unit in cut]
    suitable = [
        i
        for i, unit in enumerate(cut)
        if unit.kind in _ASKED_ABOUT
        and len(telling[i]) >= _LEAST_TELLING
        and unit.end - unit.start in _LENGTHS
    ]
    if not suitable:
        msg = (
            f"none of {len(cut)} sentences, rows and statements in {len(documents)} documents has "
            f"{_LEAST_TELLING} telling words: questions are made from text, tables and code; give more"
        )
        raise InvalidInputError(msg)
    rng = np.random.default_rng(seed)
    pairs = []
    for i in sorted(rng.permutation(suitable)[:max_pairs].tolist()):
        unit, text = cut[i], documents[cut[i].document].text
        name = _name(text, cut[i - 1], telling[i - 1], unit) if i else ""
        asked = _asked(unit, telling[i], counts, rng)
        question = " ".join([*([name] if name else []), *(_surface(text, at) for at in asked)])
        pairs.append(Pair(f"What {question}?", documents[unit.document].id, ((unit.start, unit.end),)))
    return pairs


def _units(number: int, document: Document) -> Iterator[_Unit]:
    text = document.text
    units = find_units(text, document.pages)
    borders = [*units.starts.tolist(), len(text)]
    for i, kind in enumerate(units.kinds.tolist()):
        whole = text[borders[i] : borders[i + 1]]
        start = borders[i] + len(whole) - len(whole.lstrip())
        end = max(start, borders[i] + len(whole.rstrip()))
        yield _Unit(number, start, end, kind, _terms(text, start, end))


def _terms(text: str, start: int, end: int) -> dict[str, int]:
    """Return the words of a part of a text and where they stand; no parts and weaker forms of them."""
    found: dict[str, int] = {}
    reached = 0
    for term, at, after in placed_words(text[start:end]):
        if at >= reached:
            found.setdefault(term, start + at)
            reached = after
    return found


def _asked(unit: _Unit, telling: Sequence[str], counts: Counter[str], rng: np.random.Generator) -> list[int]:
    """Return the places of the question's words: some of the rarest ones, without the rarest of all."""
    by_rarity = sorted(telling, key=lambda term: (counts[term], unit.terms[term]))[1:]
    n = int(rng.integers(min(_ASKED.start, len(by_rarity)), min(_ASKED.stop, len(by_rarity) + 1)))
    near = by_rarity[: 2 * n]
    kept = rng.permutation(len(near))[:n]
    return sorted(unit.terms[near[k]] for k in kept.tolist())


def _name(text: str, before: _Unit, telling: Sequence[str], unit: _Unit) -> str:
    """Return a capitalised word inside the sentence before, or an empty string if there is none."""
    if before.document == unit.document and before.kind in _RUNNING and unit.kind in _RUNNING:
        for term in telling:
            at = before.terms[term]
            if text[at].isupper() and at > before.start and term not in unit.terms:
                return _surface(text, at)
    return ""


def _surface(text: str, start: int) -> str:
    """Return a word as it is written."""
    match = _SURFACE.match(text, start)
    return match[0] if match else text[start]
