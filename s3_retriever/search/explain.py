"""Why a span was returned: the shares of S3 and BM25, and the question tokens and features that met in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from s3_retriever.documents import Explanation, TokenFeature
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.kernels import contributions
from s3_retriever.search.rank import Densities, Ranker
from s3_retriever.search.spans import SelectedSpan
from s3_retriever.search.text import character_range

if TYPE_CHECKING:  # its module loads torch
    from s3_retriever.encode.question import EncodedQuestion, QueryRows

SHOWN = 8
"""Pairs of question token and feature given per span."""


class Evidence(NamedTuple):
    """What one question found.

    Attributes:
        snapshot: The version that was searched.
        densities: Of either side.
        rows: Rows of each query head.
        encoded: The question; None where the host was not asked.
        ranker: What made the densities.
    """

    snapshot: Snapshot
    densities: Densities
    rows: Sequence[QueryRows]
    encoded: EncodedQuestion | None
    ranker: Ranker


def explain_span(evidence: Evidence, span: SelectedSpan, text: str) -> Explanation:
    """Say what raised a span.

    A side's share is how far the span's peak rises above that side's least dense cell.

    Args:
        evidence: What the question found.
        span: One of the spans selected.
        text: Of the span's document.
    """
    if span.peak is None:
        return Explanation(s3=0.0, bm25=0.0)
    densities, encoded = evidence.densities, evidence.encoded
    s3, bm25 = (0.0 if side is None else float(side[span.peak] - side.min()) for side in densities)
    total = s3 + bm25
    share = s3 / total if total > 0 else float(densities.s3 is not None)
    features = () if encoded is None else _strongest_features(evidence, encoded, span, text)
    return Explanation(s3=share, bm25=1 - share, features=features)


def _strongest_features(
    evidence: Evidence, encoded: EncodedQuestion, span: SelectedSpan, text: str
) -> tuple[TokenFeature, ...]:
    """Find the pairs of question token and feature that raised a span most.

    A pair counts with the largest score it adds to one token of the span, times the weights of its query
    head and of its question token; its share is its part of the sum over all pairs.
    """
    snapshot, rows, tokens = evidence.snapshot, evidence.rows, (span.first_token, span.last_token)
    head_weights = [math.fsum(weights) for weights in evidence.ranker.scoring.head_weights]
    token_weights = evidence.ranker.token_weights(snapshot, encoded.ids).tolist()
    # (question token, tap, feature): its value, its largest part of one query head, and where that is
    found: dict[tuple[int, int, int], tuple[float, float, int]] = {}
    total = 0.0
    for head, weight in zip(rows, head_weights, strict=True):
        added = contributions(snapshot.place(span.doc), tokens, head.tap, head.features, head.weights)
        of_rows = weight * np.array(token_weights)[:, None]
        best, where = of_rows * added.max(axis=2), added.argmax(axis=2)
        total += float(best.sum())
        for row, slot in np.argwhere(best > 0).tolist():
            key = (row, head.tap, int(head.features[row, slot]))
            part = float(best[row, slot])
            value, largest, place = found.get(key, (0.0, 0.0, 0))
            if part > largest:
                largest, place = part, int(where[row, slot])
            found[key] = (value + part, largest, place)
    strongest = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))[:SHOWN]
    starts = snapshot.token_starts(span.doc)
    result = []
    for (row, tap, feature), (value, _, place) in strongest:
        token = tokens[0] + place
        start, end = character_range(text, starts, token, token + 1)
        name = snapshot.layout.taps[tap]
        seen = text[start:end].strip()
        result.append(TokenFeature(encoded.tokens[row].strip(), name, feature, value / total, seen))
    return tuple(result)
