"""How well what was found matches what is known of the answer.

That may be evidence (characters), answers (texts) or judged documents.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:  # its module needs regions
    from s3_retriever.evaluation.datasets import Question
import re
import string
from collections import Counter
from collections.abc import Callable

TITLES: Mapping[str, str] = {
    "recall": "evidence recall",
    "precision": "evidence precision",
    "iou": "evidence IoU",
    "answer_hit": "answer in the text",
    "ndcg": "nDCG@10",
    "mrr": "MRR@10",
    "hit": "document hit rate@10",
    "exact_match": "exact match",
    "f1": "F1",
}
"""Names for people, in the order in which measures are shown."""

DEPTH = 10
"""Ranks that count."""


class Region(NamedTuple):
    """Characters ``start`` to ``end - 1`` of a document."""

    doc_id: str
    start: int
    end: int


@dataclass(frozen=True)
class Overlap:
    """What two sets of characters have in common; every share is in [0, 1].

    Attributes:
        recall: Share of the gold characters that were found.
        precision: Share of the characters found that are gold; 0 if nothing was found.
        iou: Characters in both over characters in either (intersection over union).
    """

    recall: float
    precision: float
    iou: float


def overlap(found: Iterable[Region], gold: Iterable[Region]) -> Overlap:
    """Compare regions as sets of characters: what overlaps counts once.

    Raises:
        InvalidInputError: There is no gold character, so that recall has no meaning.
    """
    found, gold = list(found), list(gold)
    n_found, n_gold, n_either = n_characters(found), n_characters(gold), n_characters(found + gold)
    if not n_gold:
        msg = "the gold regions hold no character; recall needs at least one"
        raise InvalidInputError(msg)
    n_both = n_found + n_gold - n_either
    return Overlap(n_both / n_gold, n_both / n_found if n_found else 0.0, n_both / n_either)


def evidence_recall(found: Iterable[Region], gold: Iterable[Region]) -> float:
    """Return the share of the gold characters that were found; see :func:`overlap`."""
    return overlap(found, gold).recall


def n_characters(regions: Iterable[Region]) -> int:
    """Count the distinct characters in regions."""
    documents: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for doc_id, start, end in regions:
        documents[doc_id].append((start, end))
    total = 0
    for ranges in documents.values():
        reached = 0
        for start, end in sorted(ranges):
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
    return total


def ranked_documents(regions: Iterable[Region]) -> list[str]:
    """Return the documents by their best region, each once; the regions are given best first."""
    return list(dict.fromkeys(region.doc_id for region in regions))


def hit(ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Return 1 where a relevant document is among the first ten, else 0."""
    return float(reciprocal_rank(ranking, relevant) > 0)


def reciprocal_rank(ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Return 1 / rank of the first relevant document among the first ten, 0 where there is none."""
    ranks = (rank for rank, doc_id in enumerate(ranking[:DEPTH], 1) if relevant.get(doc_id, 0) > 0)
    return 1 / next(ranks, math.inf)


def ndcg(ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Return the normalised discounted cumulative gain of the first ten documents, in [0, 1].

    As trec_eval computes it for BEIR: the gain is the grade, the discount log2(rank + 1) (Järvelin and
    Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002). 0 where nothing is relevant.
    """
    ideal = _gain(sorted((grade for grade in relevant.values() if grade > 0), reverse=True))
    return _gain([max(relevant.get(doc_id, 0), 0) for doc_id in ranking]) / ideal if ideal else 0.0


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades[:DEPTH], 1))


def measure(question: Question, found: Sequence[Region], texts: Mapping[str, str]) -> dict[str, float]:
    """Measure what was found for a question.

    Args:
        question: With what is known of its answer.
        found: Regions, best first.
        texts: Of the documents, by id.

    Returns:
        Values in [0, 1] by keys of :data:`TITLES`: those for which something is known of the answer.
    """
    values: dict[str, float] = {}
    if question.evidence:
        values |= asdict(overlap(found, question.evidence))
    if question.answers and question.answers_stand:
        passages = [texts[doc_id][start:end] for doc_id, start, end in found]
        values["answer_hit"] = answer_hit(passages, question.answers)
    if question.relevant:
        ranking = ranked_documents(found)
        for name, function in (("ndcg", ndcg), ("mrr", reciprocal_rank), ("hit", hit)):
            values[name] = function(ranking, question.relevant)
    return values


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Return a text in lower case, with single spaces, without ASCII punctuation and the words a, an, the."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 where the prediction, normalised, is one of the answers, else 0; 0 without answers."""
    return _best(prediction, answers, lambda given, gold: float(given == gold))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the F1 of normalised words, in [0, 1], against the answer that gives the most.

    Where either side has no word left, it is 1 if both have none, else 0.
    """
    return _best(prediction, answers, _word_f1)


def answer_metrics(prediction: str, answers: Sequence[str]) -> dict[str, float]:
    """Return :func:`exact_match` and :func:`f1` by their names."""
    return {"exact_match": exact_match(prediction, answers), "f1": f1(prediction, answers)}


def answer_hit(passages: Sequence[str], answers: Sequence[str]) -> float:
    """Return 1 where a passage holds one of the answers, normalised, as whole words, else 0."""
    return float(stands(answers, [normalize_answer(passage) for passage in passages]))


def stands(answers: Sequence[str], normalized: Sequence[str]) -> bool:
    """Whether one of the answers stands in one of several texts, which :func:`normalize_answer` gave."""
    golds = [gold for gold in map(normalize_answer, answers) if gold]
    return any(f" {gold} " in f" {text} " for gold in golds for text in normalized)


def _best(prediction: str, answers: Sequence[str], score: Callable[[str, str], float]) -> float:
    given = normalize_answer(prediction)
    return max((score(given, normalize_answer(answer)) for answer in answers), default=0.0)


def _word_f1(given: str, gold: str) -> float:
    words, wanted = given.split(), gold.split()
    if not words or not wanted:
        return float(words == wanted)
    shared = (Counter(words) & Counter(wanted)).total()
    return 2 * shared / (len(words) + len(wanted))
