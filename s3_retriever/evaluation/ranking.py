"""How well documents are ranked, where they were judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from s3_retriever.evaluation.metrics import Region

DEPTH = 10
"""Ranks that count."""


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
