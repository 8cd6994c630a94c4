"""The questions on which a method does worst, what it returned, and what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.metrics import TITLES
from s3_retriever.evaluation.readability import FAULTS, Fault
from s3_retriever.evaluation.records import Result

WORST = 10
_SHOWN, _CHARS, _AROUND = 3, 320, 60
_CUT_BEGINNING, _CUT_END = re.compile(r"^\S+"), re.compile(r"\S+$")  # halves of words
_LEADING = ("recall", "ndcg", "answer_hit")


@dataclass(frozen=True)
class Excerpt:
    """Part of a document.

    Attributes:
        place: Document and characters.
        before: A little text before it.
        text: Its text, cut where it is long.
        after: A little text behind it.
    """

    place: str
    before: str
    text: str
    after: str


@dataclass(frozen=True)
class Failure:
    """A question that was answered badly.

    Attributes:
        question: The question.
        measure: What was measured, for people.
        value: Of the method.
        reference: Of the method that it is compared with; None if that was not asked.
        expected: Gold regions, or judged documents.
        returned: The first few passages.
        n_returned: How many there were.
    """

    question: Question
    measure: str
    value: float
    reference: float | None
    expected: tuple[Excerpt, ...]
    returned: tuple[Excerpt, ...]
    n_returned: int


def worst(
    data: EvaluationSet, results: Sequence[Result], method: Method, reference: Method | None, budget: int
) -> list[Failure]:
    """Return up to ten questions of a set that a method does not answer fully, the worst first.

    Of equal ones, those that the reference answers best come first.

    Args:
        data: The set.
        results: Of all methods, on this set or on several.
        method: Whose failures are wanted.
        reference: What it is compared with.
        budget: Tokens.
    """
    own = [one for one in results if (one.set, one.budget) == (data.name, budget)]
    ours, theirs = (
        {one.question: one for one in own if one.method_used == asked} for asked in (method, reference)
    )
    texts = {document.id: document.text for document in data.documents}
    found = []
    for question in data.questions:
        if question.id not in ours:
            continue
        result = ours[question.id]
        measure = next((name for name in _LEADING if name in result.metrics), None)
        if measure is None or result.metrics[measure] >= 1:
            continue
        other = theirs.get(question.id)
        found.append(
            Failure(
                question,
                TITLES[measure],
                result.metrics[measure],
                other.metrics[measure] if other else None,
                _expected(question, texts),
                tuple(_excerpt(texts, *span) for span in result.spans[:_SHOWN]),
                len(result.spans),
            )
        )
    return sorted(found, key=lambda one: (one.value, -(one.reference or 0.0)))[:WORST]


@dataclass(frozen=True)
class BadPassage:
    """A passage that reads badly.

    Attributes:
        what: What is wrong with it, for people.
        question: What it was returned for.
        passage: The passage.
    """

    what: str
    question: str
    passage: Excerpt


def bad_passages(faults: Sequence[Fault], sets: Sequence[EvaluationSet]) -> list[BadPassage]:
    """Return passages that read badly as a page shows them.

    Args:
        faults: What was found.
        sets: With their documents.
    """
    texts = {one.name: {document.id: document.text for document in one.documents} for one in sets}
    return [
        BadPassage(FAULTS[one.what], one.question, _excerpt(texts[one.set], *one.region)) for one in faults
    ]


def _expected(question: Question, texts: Mapping[str, str]) -> tuple[Excerpt, ...]:
    if question.evidence:
        return tuple(_excerpt(texts, *region) for region in question.evidence)
    relevant = [doc_id for doc_id, grade in question.relevant.items() if grade > 0 and doc_id in texts]
    return tuple(_excerpt(texts, doc_id, 0, len(texts[doc_id])) for doc_id in relevant[:_SHOWN])


def _excerpt(texts: Mapping[str, str], doc_id: str, start: int, end: int) -> Excerpt:
    text = texts[doc_id]
    inside, after = text[start:end], text[end : end + _AROUND]
    if end + _AROUND < len(text) and not text[end + _AROUND].isspace():
        after = _CUT_END.sub("", after)
    if len(inside) > _CHARS:
        inside, after = f"{_CUT_END.sub('', inside[:_CHARS]) or inside[:_CHARS]} …", ""
    begin = max(0, start - _AROUND)
    before = text[begin:start]
    if begin and not text[begin - 1].isspace():
        before = _CUT_BEGINNING.sub("", before)
    return Excerpt(f"{doc_id} [{start}:{end}]", before, inside, after)
