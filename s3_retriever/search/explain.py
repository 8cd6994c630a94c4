"""Why a span was returned: the question tokens and features that met in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.documents import TokenFeature
from s3_retriever.index.snapshot import Snapshot

if TYPE_CHECKING:  # its module loads torch
    from s3_retriever.features.queries import HeadRows

SHOWN = 8
"""Pairs of question token and feature given per span."""


def strongest_features(
    snapshot: Snapshot,
    document: int,
    text: str,
    tokens: tuple[int, int],
    rows: Sequence[HeadRows],
    head_weights: Sequence[float],
    question_tokens: Sequence[tuple[str, float]],
) -> tuple[TokenFeature, ...]:
    """Find the pairs of question token and feature that raised a span most.

    A pair counts with the largest score it adds to one token of the span, times the weights of its query
    head and of its question token; its share is its part of the sum over all pairs.

    Args:
        snapshot: The version that was searched.
        document: Number of the span's document.
        text: That document's.
        tokens: First token of the span, and one past its last.
        rows: Rows of each query head.
        head_weights: Weight of each query head.
        question_tokens: Text and weight of each question token.
    """
    # (question token, tap, feature): its value, its largest part of one query head, and where that is
    found: dict[tuple[int, int, int], tuple[float, float, int]] = {}
    total = 0.0
    for head, weight in zip(rows, head_weights, strict=True):
        added = snapshot.contributions(document, *tokens, head.tap, head.features, head.weights)
        of_rows = weight * np.array([part for _, part in question_tokens])[:, None]
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
    starts = snapshot.token_starts(document)
    result = []
    for (row, tap, feature), (value, _, place) in strongest:
        token = tokens[0] + place
        end = int(starts[token + 1]) if token + 1 < len(starts) else len(text)
        name = snapshot.layout.taps[tap]
        seen = text[int(starts[token]) : end].strip()
        result.append(TokenFeature(question_tokens[row][0].strip(), name, feature, value / total, seen))
    return tuple(result)
