"""How well returned passages read: whether they are whole, long enough, and free of furniture."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.records import Result
from s3_retriever.search.text import count_words, splits_character
from s3_retriever.structure import Kind, Units, find_units

SHORT_WORDS = 10
"""Words of a passage that is too short to be read by itself."""

FAULTS: Mapping[str, str] = {
    "short": f"passages of {SHORT_WORDS} words or fewer",
    "begins_inside": "first passages that begin inside a sentence, row or statement",
    "ends_inside": "first passages that end inside one",
    "splits_character": "passages that begin or end inside a written character",
    "furniture": "passages that hold page numbers, running heads, contents or rules",
}
"""What can be wrong with a passage, for people."""

_WORST = 3  # examples of each fault


@dataclass(frozen=True)
class Readability:
    """How the passages of a method read.

    Attributes:
        method: The method.
        budget: Tokens.
        n_questions: Questions that it found anything for.
        passages: Distinct passages per question, the mean.
        short: Share of its passages of ten words or fewer.
        begins_inside: Share of the first passages that begin inside a unit: a sentence, row or statement.
        ends_inside: Share of the first passages that end inside one.
        splits_character: Share of its passages that begin or end inside a grapheme cluster.
        furniture: Share of its passages that hold furniture of pages.
    """

    method: Method
    budget: int
    n_questions: int
    passages: float
    short: float
    begins_inside: float
    ends_inside: float
    splits_character: float
    furniture: float


class Fault(NamedTuple):
    """A passage that reads badly.

    Attributes:
        what: Key of :data:`FAULTS`.
        set: Name of the set.
        question: Text of the question.
        region: The passage.
    """

    what: str
    set: str
    question: str
    region: Region


class Reader:
    """Tells what is wrong with passages of some sets; finds the units of each document once.

    Args:
        sets: With their documents.
    """

    def __init__(self, sets: Sequence[EvaluationSet]) -> None:
        self._documents = {(one.name, document.id): document for one in sets for document in one.documents}
        self._units = cache(self._find)

    def _find(self, name: str, doc_id: str) -> Units:
        document = self._documents[name, doc_id]
        return find_units(document.text, document.pages)

    def text(self, name: str, region: Region) -> str:
        """Return the text of a passage, with single spaces."""
        return " ".join(self._documents[name, region.doc_id].text[region.start : region.end].split())

    def faults(self, name: str, region: Region, *, is_first: bool) -> Iterator[str]:
        """Yield what is wrong with a passage, by the keys of :data:`FAULTS`.

        Args:
            name: Of the set.
            region: The passage.
            is_first: Whether it is the first one of its answer, which is read first.
        """
        doc_id, start, end = region
        text, units = self._documents[name, doc_id].text, self._units(name, doc_id)
        if count_words(text[start:end], SHORT_WORDS + 1) <= SHORT_WORDS:
            yield "short"
        first, last = (bisect_right(units.starts, at) - 1 for at in (start, max(start, end - 1)))
        after = int(units.starts[last + 1]) if last + 1 < len(units) else len(text)
        if is_first and text[int(units.starts[first]) : start].strip():
            yield "begins_inside"
        if is_first and text[end:after].strip():
            yield "ends_inside"
        if splits_character(text, start) or splits_character(text, end):
            yield "splits_character"
        if (units.kinds[first : last + 1] == Kind.FURNITURE).any():
            yield "furniture"


def readability(
    sets: Sequence[EvaluationSet], results: Sequence[Result], budget: int, methods: Sequence[Method]
) -> tuple[list[Readability], dict[Method, list[Fault]]]:
    """Read what methods returned.

    Args:
        sets: What was asked.
        results: Of the methods, on these sets.
        budget: Tokens; the results of others are left out.
        methods: Those wanted.

    Returns:
        Shares, a row per method; and of each method the first passages with each fault.
    """
    reader = Reader(sets)
    questions = {(one.name, question.id): question.text for one in sets for question in one.questions}
    by_method: dict[Method, list[Result]] = defaultdict(list)
    for result in results:
        if result.budget == budget and result.method_used in methods and result.spans:
            by_method[result.method_used].append(result)
    rows, worst = [], {}
    for method, own in by_method.items():
        counts = dict.fromkeys(FAULTS, 0)
        found: dict[str, list[Fault]] = {what: [] for what in FAULTS}
        for result in own:
            for rank, span in enumerate(result.spans):
                region = Region(*span)
                for what in reader.faults(result.set, region, is_first=rank == 0):
                    counts[what] += 1
                    if len(found[what]) < _WORST:
                        found[what].append(
                            Fault(what, result.set, questions[result.set, result.question], region)
                        )
        n_spans, n_first = sum(len(one.spans) for one in own), len(own)
        of = {what: n_first if what.endswith("inside") else n_spans for what in FAULTS}
        shares = {what: counts[what] / of[what] for what in FAULTS}
        distinct = sum(len({reader.text(one.set, Region(*span)) for span in one.spans}) for one in own)
        rows.append(Readability(method, budget, n_first, distinct / n_first, **shares))
        worst[method] = [fault for what in FAULTS for fault in found[what]]
    return rows, worst
