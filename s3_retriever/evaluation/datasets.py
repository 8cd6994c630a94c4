"""Evaluation sets on disk: ``SET/corpus.jsonl`` and ``SET/queries.jsonl``, with what is known of the answers.

What is known may be gold regions, answers, or (as in BEIR) documents judged in ``SET/qrels/*.tsv``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.metrics import Region, normalize_answer, stands
from s3_retriever.sources.jsonl import JsonLine, read_corpus, read_lines

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
_QRELS, _PREFERRED = "qrels", "test.tsv"

_EXPECTED = (
    f"expected one folder per set, each with {CORPUS} (lines {{_id, title, text}}) and "
    f"{QUERIES} (lines {{_id, text, answers: [], evidence: [{{doc_id, start, end}}]}})"
)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Question:
    """A question, with evidence, answers or judged documents; it has at least one of the three.

    Attributes:
        id: Unique in its set.
        text: The question.
        evidence: Gold regions, none empty.
        answers: Texts, any of which is a right answer.
        relevant: Judged documents: grade by id, 0 where judged to be irrelevant.
        answers_stand: Whether one of the answers stands in a document of its set. Where none does, no passage
            can hold it, and that is not measured.
    """

    id: str
    text: str
    evidence: tuple[Region, ...] = ()
    answers: tuple[str, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)
    answers_stand: bool = True


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
        data: Folder of sets, or of one set.
        names: Sets to read; all of them, in the order of their names, if empty.

    Raises:
        InvalidInputError: The folder or a set is not there, or a line is malformed; names file and line.
    """
    data = Path(data)
    if (data / QUERIES).is_file() and not names:
        return [load_set(data)]
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

    Where documents are judged and no region is gold (BEIR), a document's title becomes the first line of its
    text, and questions without a judged document, which belong to other splits, are left out.

    Raises:
        InvalidInputError: A file is missing, empty, or has a malformed line; names file and line.
    """
    folder = Path(folder)
    documents = _all(folder / CORPUS, read_corpus)
    lengths = {document.id: len(document.text) for document in documents}
    qrels = read_qrels(folder)
    questions = [_question(line, lengths, qrels) for line in _all(folder / QUERIES, read_lines)]
    if qrels and not any(question.evidence for question in questions):
        documents = tuple(
            replace(one, text=f"{one.title}\n{one.text}") if one.title else one for one in documents
        )
        questions = [question for question in questions if question.relevant]
        if not any(grade > 0 and id_ in lengths for one in questions for id_, grade in one.relevant.items()):
            msg = f"{folder}: no judgment in qrels joins a question of {QUERIES} with a document of {CORPUS}"
            raise InvalidInputError(msg)
    return EvaluationSet(folder.resolve().name, documents, _looked_up(questions, documents))


def write_set(data: EvaluationSet, folder: Path) -> None:
    """Write a set of questions with evidence, for :func:`load_set` to read.

    Args:
        data: The set; its name is the folder's then.
        folder: Is made where it is not there.

    Raises:
        OSError: It cannot be written.
    """
    documents = ({"_id": one.id, "title": one.title, "text": one.text} for one in data.documents)
    questions = (
        {"_id": one.id, "text": one.text, "evidence": [region._asdict() for region in one.evidence]}
        for one in data.questions
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in ((CORPUS, documents), (QUERIES, questions)):
        written = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / name).write_text(written, encoding="utf-8")


def _looked_up(questions: Sequence[Question], documents: Sequence[Document]) -> tuple[Question, ...]:
    """Note which questions have answers that stand nowhere."""
    texts = [normalize_answer(one.text) for one in documents] if any(one.answers for one in questions) else []
    return tuple(
        one if not one.answers or stands(one.answers, texts) else replace(one, answers_stand=False)
        for one in questions
    )


def nowhere(sets: Sequence[EvaluationSet]) -> list[str]:
    """Return for each set with questions whose answers stand nowhere a sentence that says so."""
    lost = {data.name: [one.id for one in data.questions if not one.answers_stand] for data in sets}
    return [
        f"In {name}, the answers of {len(ids)} of the questions "
        f"({', '.join(ids[:5])}{', ...' * (len(ids) > 5)}) stand in no document: they are "
        "left out of the mean of what passages hold."
        for name, ids in lost.items()
        if ids
    ]


def read_qrels(folder: Path) -> dict[str, dict[str, int]] | None:
    """Read the grades of documents by question and document, as BEIR writes them: ``qrels/SPLIT.tsv``.

    Args:
        folder: Of a set; its ``qrels/test.tsv`` is read or, where there is none, every ``qrels/*.tsv``.

    Returns:
        Grades, 0 where a document was judged to be irrelevant; None where there are no judgments.

    Raises:
        InvalidInputError: A line is malformed or a file cannot be read; names file and line.
    """
    paths = sorted((folder / _QRELS).glob("*.tsv"))
    paths = [path for path in paths if path.name == _PREFERRED] or paths
    grades: dict[str, dict[str, int]] = {}
    for path in paths:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read ({error})"
            raise InvalidInputError(msg) from error
        for number, row in rows:
            if not row or (number == 1 and row[-1] == "score"):
                continue
            try:
                question, document, grade = row
                grades.setdefault(question, {})[document] = int(grade)
            except ValueError as error:
                wanted = "question, document and a whole number, between tabs"
                msg = f"{path}, line {number}: expected {wanted}, not {row!r:.80}"
                raise InvalidInputError(msg) from error
    return grades if paths else None


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


def _question(
    line: JsonLine, lengths: Mapping[str, int], qrels: Mapping[str, Mapping[str, int]] | None
) -> Question:
    """Return the question of a line.

    Args:
        line: Of the file of questions.
        lengths: Characters of each document, by id.
        qrels: Grades by question and document; None where nothing was judged.
    """
    try:
        if not line.text.strip():
            msg = f"the question must be text, not {line.text!r}"
            raise ValueError(msg)
        gold, answers = line.fields.get("evidence", []), line.fields.get("answers", [])
        evidence = tuple(Region(one["doc_id"], one["start"], one["end"]) for one in gold)
        if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers):
            msg = f"answers must be a list of texts, not {answers!r:.80}"
            raise ValueError(msg)
        if not evidence and not answers and qrels is None:
            msg = (
                "the question has no evidence, no answers and no qrels, so nothing can be measured; remove it"
            )
            raise ValueError(msg)
        _check(evidence, lengths)
    except KeyError as error:
        msg = f"{line.place}: the field {error} is missing"
        raise InvalidInputError(msg) from error
    except (TypeError, ValueError) as error:
        msg = f"{line.place}: {error}"
        raise InvalidInputError(msg) from error
    relevant = {} if qrels is None else qrels.get(line.id, {})
    return Question(line.id, line.text, evidence, tuple(answers), relevant)


def _check(evidence: Sequence[Region], lengths: Mapping[str, int]) -> None:
    for doc_id, start, end in evidence:
        if doc_id not in lengths:
            msg = f"evidence names document {doc_id!r}, which is not in {CORPUS}"
            raise ValueError(msg)
        if not 0 <= start < end <= lengths[doc_id]:
            msg = f"evidence {start}..{end} is not within the {lengths[doc_id]} characters of {doc_id!r}"
            raise ValueError(msg)
