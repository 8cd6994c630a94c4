"""Evaluation sets on disk: ``SET/corpus.jsonl`` (as in BEIR) and ``SET/queries.jsonl`` with gold regions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.metrics import Region
from s3_retriever.files import Line, read_corpus, read_lines

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
    documents = _all(folder / CORPUS, read_corpus)
    lengths = {document.id: len(document.text) for document in documents}
    lines = _all(folder / QUERIES, read_lines)
    return EvaluationSet(folder.name, documents, tuple(_question(line, lengths) for line in lines))


def _all(path: Path, read: Callable[[Path], Iterator[_T]]) -> tuple[_T, ...]:
    """Return what a file holds, at least one item."""
    try:
        items = tuple(read(path))
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}): {_EXPECTED}"
        raise InvalidInputError(msg) from error
    if not items:
        msg = f"{path} has no lines: {_EXPECTED}"
        raise InvalidInputError(msg)
    return items


def _question(line: Line, lengths: Mapping[str, int]) -> Question:
    """Return the question of a line; ``lengths`` are the characters of each document, by id."""
    try:
        if not line.text.strip():
            msg = f"the question must be text, not {line.text!r}"
            raise ValueError(msg)
        gold = line.fields["evidence"]
        evidence = tuple(Region(one["doc_id"], one["start"], one["end"]) for one in gold)
        _check(evidence, lengths)
    except KeyError as error:
        msg = f"{line.place}: the field {error} is missing"
        raise InvalidInputError(msg) from error
    except (TypeError, ValueError) as error:
        msg = f"{line.place}: {error}"
        raise InvalidInputError(msg) from error
    return Question(line.id, line.text, evidence)


def _check(evidence: Sequence[Region], lengths: Mapping[str, int]) -> None:
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
