"""Which words of a question met which words of a passage, and how strongly."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import WordMatch
from s3_retriever.index.words import asked, placed_words
from s3_retriever.search.density import Float32
from s3_retriever.search.evidence import Evidence, LookedUp
from s3_retriever.search.kernels import MAX_SCORE, contributions
from s3_retriever.search.spans import SelectedSpan
from s3_retriever.search.text import pieces

MOST = 24
"""Matches given per span."""

LEAST = 0.01
"""Part of all matches that one must have to be given."""

_Place = tuple[int, int]
_Strengths = dict[tuple[_Place, _Place], float]


class TermPart(NamedTuple):
    """What BM25 gave for one word of a question.

    Attributes:
        place: Of the word, in the question.
        term: As which it is searched.
        values: float32 (P,), its part of the density of BM25 at each peak.
    """

    place: _Place
    term: str
    values: Float32


def term_parts(evidence: Evidence, peaks: Sequence[int]) -> list[TermPart]:
    """Return what each word of a question gave to BM25 at some cells; together, BM25's density there.

    Args:
        evidence: What the question found.
        peaks: P cells, counted over all documents.
    """
    if evidence.densities.bm25 is None:
        return []
    seen = _Pieces(evidence.question)
    parts = []
    for number, one in enumerate(asked(evidence.question)):
        density = evidence.of_term(number, one)
        parts.append(TermPart(seen.of_term(one.start, one.end), one.term, density[list(peaks)]))
    return parts


def met_words(
    evidence: Evidence,
    span: SelectedSpan,
    text: str,
    shares: tuple[float, float],
    bm25: Sequence[tuple[_Place, str, float]],
) -> tuple[WordMatch, ...]:
    """Return which words met in a span, strongest first; the shares add up to 1.

    S3's share is laid on pairs of tokens. What a token of the question, seen by one query head, gave is the
    sum over scales of the head's weight times log(1 + ratio / saturation), less that at a ratio of 1; the
    ratio is the attention that the span gets on average over that of the corpus. It is spread over the span's
    tokens as the attention is that they get beyond the corpus's mean. BM25's share is laid on the words, as
    each raised the peak, in equal parts on its occurrences.

    Args:
        evidence: What the question found.
        span: The span.
        text: Of the span's document.
        shares: Of S3 and of BM25 in the span's score.
        bm25: Of each word of the question: its place, its term, its part of BM25's density at the peak.
    """
    seen = _Pieces(text[span.start : span.end])
    sides = (
        {} if evidence.looked_up is None else _by_s3(evidence, evidence.looked_up, span, seen),
        _by_bm25(bm25, seen),
    )
    found: defaultdict[tuple[_Place, _Place], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for i, (side, share) in enumerate(zip(sides, shares, strict=True)):
        total = sum(side.values())
        for key, value in side.items():
            if total > 0:
                found[key][i] += share * value / total
    ordered = sorted(found.items(), key=lambda item: (-sum(item[1]), item[0]))[:MOST]
    kept = [item for i, item in enumerate(ordered) if not i or sum(item[1]) >= LEAST]
    total = sum(sum(values) for _, values in kept)
    return tuple(
        WordMatch(
            word=evidence.question[begin:end],
            word_start=begin,
            text=text[span.start + first : span.start + last],
            start=span.start + first,
            end=span.start + last,
            s3=s3 / total,
            bm25=lexical / total,
        )
        for ((begin, end), (first, last)), (s3, lexical) in kept
        if total > 0
    )


def _by_bm25(parts: Sequence[tuple[_Place, str, float]], seen: _Pieces) -> _Strengths:
    """Lay what each word of the question gave on its occurrences in a passage."""
    wanted = {term for _, term, _ in parts}
    places: defaultdict[str, list[_Place]] = defaultdict(list)
    for term, start, end in placed_words(seen.text):
        if term in wanted:
            places[term].append(seen.of_term(start, end))
    found: defaultdict[tuple[_Place, _Place], float] = defaultdict(float)
    for asking, term, value in parts:
        for place in places[term]:
            found[asking, place] += max(0.0, value) / len(places[term])
    return found


def _by_s3(evidence: Evidence, looked_up: LookedUp, span: SelectedSpan, seen: _Pieces) -> _Strengths:
    """Lay what each token of the question gave on the tokens of a passage, and both on their words."""
    if not looked_up.tokens:
        return {}
    starts = evidence.snapshot.token_starts(span.doc)[span.first_token : span.last_token].astype(np.int64)
    ends = np.append(starts[1:], span.end)
    own = [seen.around(*place) for place in zip(starts - span.start, ends - span.start, strict=True)]
    asked_words = _Pieces(evidence.question)
    asked = [asked_words.around(*place) for place in looked_up.places.tolist()]
    rows, row_numbers = _numbered(asked)
    columns, column_numbers = _numbered(own)
    sums = np.zeros((len(rows), len(columns)))
    for row, strengths in zip(row_numbers, _attention_strengths(evidence, looked_up, span), strict=True):
        if row >= 0:
            np.add.at(sums[row], column_numbers[column_numbers >= 0], strengths[column_numbers >= 0])
    return {(rows[r], columns[c]): float(sums[r, c]) for r, c in np.argwhere(sums > 0).tolist()}


def _attention_strengths(
    evidence: Evidence, looked_up: LookedUp, span: SelectedSpan
) -> npt.NDArray[np.float64]:
    """Return what each token of the question gave to each token of a span, float64 (n, T)."""
    saturation = np.array([scale.saturation for scale in evidence.scoring.scales])
    tokens, place = (span.first_token, span.last_token), evidence.snapshot.place(span.doc)
    found = np.zeros((len(looked_up.tokens), tokens[1] - tokens[0]))
    heads = zip(looked_up.taps, evidence.scoring.head_weights, evidence.means, strict=True)
    for head, (tap, weights, means) in enumerate(heads):
        added = contributions(place, tokens, tap, looked_up.features[head], looked_up.weights[head])
        attention = np.exp(np.minimum(added.sum(axis=1), MAX_SCORE))
        ratio = attention.mean(axis=1) / means
        gains = np.log1p(ratio[:, None] / saturation) - np.log1p(1 / saturation)
        gain = np.maximum(gains @ np.array(weights) * looked_up.token_weights, 0)
        above = np.maximum(attention - means[:, None], 0)
        found += gain[:, None] * above / np.maximum(above.sum(axis=1, keepdims=True), 1e-30)
    return found


def _numbered(places: Sequence[_Place | None]) -> tuple[list[_Place], npt.NDArray[np.int64]]:
    """Return the distinct places, and the number of each place among them, -1 for none."""
    numbers: dict[_Place, int] = {}
    found = [-1 if place is None else numbers.setdefault(place, len(numbers)) for place in places]
    return list(numbers), np.array(found, np.int64)


class _Pieces:
    """A text and its words, as people see them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._places = pieces(text)
        self._starts = [start for start, _ in self._places]

    def around(self, begin: int, end: int) -> _Place | None:
        """Return the words that the characters [begin, end) lie in, None for white space."""
        touched = list(self._touched(begin, max(end, begin + 1)))
        return (touched[0][0], touched[-1][1]) if touched else None

    def of_term(self, start: int, end: int) -> _Place:
        """Return the words that a search term lies in."""
        return self.around(start, end) or (start, start + 1)

    def _touched(self, begin: int, end: int) -> Iterator[_Place]:
        number = max(0, bisect_right(self._starts, begin) - 1)
        for place in self._places[number : bisect_right(self._starts, end - 1)]:
            if place[1] > begin:
                yield place
