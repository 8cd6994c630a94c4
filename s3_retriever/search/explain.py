"""Why a span was returned: the shares of S3 and BM25, and the words, tokens and features that met in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from s3_retriever.documents import Document, Explanation, TokenFeature
from s3_retriever.search.evidence import Evidence, LookedUp
from s3_retriever.search.kernels import contributions
from s3_retriever.search.met import Given, met_words, term_parts
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import SelectedSpan
from s3_retriever.search.text import character_range

SHOWN = 8
"""Pairs of question token and feature given per span."""


def explain_spans(
    evidence: Evidence,
    spans: Sequence[SelectedSpan],
    read: Callable[[int], Document],
    page: Callable[[int], Page],
) -> list[Explanation]:
    """Say what raised each span.

    A side's share is how far the span's peak rises above that side's least dense cell.

    Args:
        evidence: What the question found.
        spans: Those selected.
        read: Returns a document by number.
        page: Returns what passages of it are cut from.
    """
    peaks = [span.peak for span in spans if span.peak is not None]
    parts = term_parts(evidence, peaks) if peaks else []
    places = {peak: i for i, peak in enumerate(peaks)}
    found = []
    for span in spans:
        if span.peak is None:
            found.append(Explanation(s3=0.0, bm25=0.0))
            continue
        number = places[span.peak]
        of_peak = [part.at(number) for part in parts]
        found.append(_explanation(evidence, span, span.peak, read(span.doc), page(span.doc), of_peak))
    return found


def _explanation(
    evidence: Evidence,
    span: SelectedSpan,
    peak: int,
    document: Document,
    page: Page,
    bm25_parts: Sequence[Given],
) -> Explanation:
    densities, looked_up = evidence.densities, evidence.looked_up
    sides = zip(densities, evidence.least, strict=True)
    s3, bm25 = (0.0 if side is None else float(side[peak] - np.float32(least)) for side, least in sides)
    total = s3 + bm25
    share = s3 / total if total > 0 else float(densities.s3 is not None)
    return Explanation(
        s3=share,
        bm25=1 - share,
        features=() if looked_up is None else _strongest_features(evidence, looked_up, span, page.text),
        words=met_words(evidence, span, document, page, (share, 1 - share), bm25_parts),
    )


def _strongest_features(
    evidence: Evidence, looked_up: LookedUp, span: SelectedSpan, text: str
) -> tuple[TokenFeature, ...]:
    """Find the pairs of question token and feature that raised a span most.

    A pair counts with the largest score it adds to one token of the span, times the weights of its query
    head and of its question token; its share is its part of the sum over all pairs.
    """
    if not looked_up.tokens:
        return ()
    snapshot, tokens = evidence.snapshot, (span.first_token, span.last_token)
    head_weights = [math.fsum(weights) for weights in evidence.scoring.head_weights]
    token_weights = looked_up.token_weights.astype(np.float64)
    # (question token, tap, feature): its value, its largest part of one query head, and where that is
    found: dict[tuple[int, int, int], tuple[float, float, int]] = {}
    total = 0.0
    for head, (tap, weight) in enumerate(zip(looked_up.taps, head_weights, strict=True)):
        features = looked_up.features[head]
        added = contributions(snapshot.place(span.doc), tokens, tap, features, looked_up.weights[head])
        of_rows = weight * token_weights[:, None]
        best, where = of_rows * added.max(axis=2), added.argmax(axis=2)
        total += float(best.sum())
        for row, slot in np.argwhere(best > 0).tolist():
            key = (row, tap, int(features[row, slot]))
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
        result.append(TokenFeature(looked_up.tokens[row].strip(), name, feature, value / total, seen))
    return tuple(result)
