"""Evaluation sets on disk: ``SET/corpus.jsonl`` (as in BEIR) and ``SET/queries.jsonl`` with gold regions."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.metrics import Region

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"

_EXPECTED = (
    f"expected one folder per set, each with {CORPUS} (lines {{_id, title, text}}) and "
    f"{QUERIES} (lines {{_id, text, evidence: [{{doc_id, start, end}}]}})"
)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Question:
    """A question and where its answer stands.

    Attributes:
        id: Unique in its set.
        text: The question.
        evidence: Gold regions, at least one, none empty.
    """

    id: str
    text: str
    evidence: tuple[Region, ...]


@dataclass(frozen=True)
class EvaluationSet:
    """Documents that are searched together, and questions about them.

    Attributes:
        name: Name of the set's folder.
        documents: At least one.
        questions: At least one.
    """

    name: str
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]


def load_sets(data: str | Path, names: Collection[str] = ()) -> list[EvaluationSet]:
    """Read evaluation sets.

    Args:
        data: Folder of sets.
        names: Sets to read; all of them, in the order of their names, if empty.

    Raises:
        InvalidInputError: The folder or a set is not there, or a line is malformed; names file and line.
    """
    data = Path(data)
    present = sorted(path.parent.name for path in data.glob(f"*/{QUERIES}"))
    if not present:
        msg = f"{data} holds no evaluation sets: {_EXPECTED}"
        raise InvalidInputError(msg)
    for name in names:
        if name not in present:
            msg = f"{data} holds no set {name!r}; it has {', '.join(present)}"
            raise InvalidInputError(msg)
    return [load_set(data / name) for name in names or present]


def load_set(folder: str | Path) -> EvaluationSet:
    """Read one set.

    Raises:
        InvalidInputError: A file is missing, empty, or has a malformed line; names file and line.
    """
    folder = Path(folder)
    documents = _read(folder / CORPUS, _document)
    lengths = {document.id: len(document.text) for document in documents}
    questions = _read(folder / QUERIES, lambda fields: _question(fields, lengths))
    return EvaluationSet(folder.name, tuple(documents), tuple(questions))


def _read(path: Path, parse: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    """Parse every line of a JSONL file; at least one, with unique ``_id``."""
    items: dict[str, _T] = {}
    for number, line in _lines(path):
        key, item = _parse(line, parse, f"{path}, line {number}")
        if key in items:
            msg = f"{path}, line {number}: the _id {key!r} occurs twice"
            raise InvalidInputError(msg)
        items[key] = item
    if not items:
        msg = f"{path} has no lines"
        raise InvalidInputError(msg)
    return list(items.values())


def _parse(line: str, parse: Callable[[Mapping[str, Any]], _T], place: str) -> tuple[str, _T]:
    """Return the ``_id`` of a line and what it holds."""
    try:
        fields = json.loads(line)
        return str(fields["_id"]), parse(fields)
    except KeyError as error:
        msg = f"{place}: the field {error} is missing"
        raise InvalidInputError(msg) from error
    except (TypeError, ValueError) as error:
        msg = f"{place}: {error}"
        raise InvalidInputError(msg) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read ({error}): {_EXPECTED}"
        raise InvalidInputError(msg) from error


def _document(fields: Mapping[str, Any]) -> Document:
    return Document(fields["_id"], fields["text"], fields.get("title") or "")


def _question(fields: Mapping[str, Any], lengths: Mapping[str, int]) -> Question:
    """Read a question.

    Args:
        fields: Of its line.
        lengths: Characters of each document, by id.
    """
    text = fields["text"]
    if not isinstance(text, str) or not text.strip():
        msg = f"the question must be text, not {text!r}"
        raise ValueError(msg)
    evidence = tuple(Region(gold["doc_id"], gold["start"], gold["end"]) for gold in fields["evidence"])
    if not evidence:
        msg = "the question has no evidence, so recall has no meaning; remove it"
        raise ValueError(msg)
    for doc_id, start, end in evidence:
        if doc_id not in lengths:
            msg = f"evidence names document {doc_id!r}, which is not in {CORPUS}"
            raise ValueError(msg)
        if not 0 <= start < end <= lengths[doc_id]:
            msg = f"evidence {start}..{end} is not within the {lengths[doc_id]} characters of {doc_id!r}"
            raise ValueError(msg)
    return Question(fields["_id"], text, evidence)
