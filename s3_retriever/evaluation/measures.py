"""What is measured of one question's result, by what is known of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from s3_retriever.evaluation.answers import answer_hit
from s3_retriever.evaluation.datasets import Question
from s3_retriever.evaluation.metrics import Region, overlap
from s3_retriever.evaluation.ranking import hit, ndcg, ranked_documents, reciprocal_rank

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


def measure(question: Question, found: Sequence[Region], texts: Mapping[str, str]) -> dict[str, float]:
    """Measure what was found for a question.

    Args:
        question: With what is known of its answer.
        found: Regions, best first.
        texts: Of the documents, by id.

    Returns:
        Values in [0, 1] by the keys of :data:`TITLES`, as many as can be had.
    """
    values: dict[str, float] = {}
    if question.evidence:
        values |= asdict(overlap(found, question.evidence))
    if question.answers:
        passages = [texts[doc_id][start:end] for doc_id, start, end in found]
        values["answer_hit"] = answer_hit(passages, question.answers)
    if question.relevant:
        ranking = ranked_documents(found)
        for name, function in (("ndcg", ndcg), ("mrr", reciprocal_rank), ("hit", hit)):
            values[name] = function(ranking, question.relevant)
    return values
