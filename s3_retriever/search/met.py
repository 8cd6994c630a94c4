"""Which words of a question met which words of a passage, and how strongly."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document, WordMatch
from s3_retriever.index.codes import TOGETHER
from s3_retriever.index.context import LONGEST, is_path
from s3_retriever.index.designations import DESIGNATION
from s3_retriever.index.layout import CELL
from s3_retriever.index.words import PAGE, placed_words
from s3_retriever.names import MatchField
from s3_retriever.search.density import Float32
from s3_retriever.search.evidence import Evidence, LookedUp
from s3_retriever.search.kernels import MAX_SCORE, contributions
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import SelectedSpan
from s3_retriever.search.text import pieces

MOST = 24
"""Matches given per span."""

LEAST = 0.01
"""Part of all matches that one must have to be given."""

_Place = tuple[int, int]
_Target = tuple[MatchField, int, int]
_Strengths = dict[tuple[_Place, _Target], float]


class Given(NamedTuple):
    """What BM25 gave for one word of a question at one peak.

    Attributes:
        place: Of the word, in the question.
        term: As which it is searched.
        text: For its occurrences in the text.
        above: For those above the text.
    """

    place: _Place
    term: str
    text: float
    above: float


class TermPart(NamedTuple):
    """What BM25 gave for one word of a question.

    Attributes:
        place: Of the word, in the question.
        term: As which it is searched.
        text: float32 (P,), what its occurrences in texts gave to the density of BM25 at each peak.
        above: float32 (P,), what those in titles, paths, headings and openings gave.
    """

    place: _Place
    term: str
    text: Float32
    above: Float32

    def at(self, peak: int) -> Given:
        """Return what it gave at one of the peaks."""
        return Given(self.place, self.term, float(self.text[peak]), float(self.above[peak]))


def term_parts(evidence: Evidence, peaks: Sequence[int]) -> list[TermPart]:
    """Return what each word of a question gave to BM25 at some cells; together, BM25's density there.

    Args:
        evidence: What the question found.
        peaks: P cells, counted over all documents.
    """
    if evidence.densities.bm25 is None:
        return []
    seen = _Pieces(evidence.question)
    found = evidence.of_terms(np.array(peaks, np.int64))
    return [
        TermPart(seen.of_term(one.start, one.end), one.term, text, above)
        for one, (text, above) in zip(evidence.terms, found, strict=True)
    ]


def met_words(
    evidence: Evidence,
    span: SelectedSpan,
    document: Document,
    page: Page,
    shares: tuple[float, float],
    bm25: Sequence[Given],
) -> tuple[WordMatch, ...]:
    """Return which words met in a span, strongest first; the shares add up to 1.

    S3's share is laid on pairs of tokens. What a token of the question, seen by one query head, gave is the
    sum over scales of the head's weight times log(1 + ratio / saturation), less that at a ratio of 1; the
    ratio is the attention that the span gets on average over that of the corpus. It is spread over the span's
    tokens as the attention is that they get beyond the corpus's mean. BM25's share is laid on the words, as
    each raised the peak, in equal parts on its occurrences; what titles and the like gave, on those there.

    Args:
        evidence: What the question found.
        span: The span.
        document: The span's document.
        page: What passages of it are cut from.
        shares: Of S3 and of BM25 in the span's score.
        bm25: What each word of the question gave to BM25's density at the peak.
    """
    seen = _Pieces(document.text[span.start : span.end])
    cell = _peak(evidence, span, page)
    sides = (
        {} if evidence.looked_up is None else _by_s3(evidence, evidence.looked_up, span, seen),
        _by_bm25(bm25, seen, span.start, _names(span, document, page, cell), _pages(document, cell)),
    )
    found: defaultdict[tuple[_Place, _Target], list[float]] = defaultdict(lambda: [0.0, 0.0])
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
            text=_met(document, field, first, last),
            start=first,
            end=last,
            s3=s3 / total,
            bm25=lexical / total,
            field=field,
        )
        for ((begin, end), (field, first, last)), (s3, lexical) in kept
        if total > 0
    )


def _peak(evidence: Evidence, span: SelectedSpan, page: Page) -> _Place | None:
    """Return the characters of a span's densest cell, None where it has none."""
    if span.peak is None:
        return None
    token = CELL * (span.peak - int(evidence.snapshot.document_cells[span.doc]))
    return page.of_tokens(token, token + CELL)


def _pages(document: Document, cell: _Place | None) -> dict[str, list[_Target]]:
    """Return the pages that a cell lies on, by the terms of their numbers."""
    numbers = () if cell is None else document.pages_of(*cell)
    borders = [*document.pages, len(document.text)]
    return {f"{PAGE}{number}": [("page", borders[number - 1], borders[number])] for number in numbers}


def _met(document: Document, field: MatchField, first: int, last: int) -> str:
    """Return the text of a match; see :class:`WordMatch`."""
    if field == "page":
        return str(document.pages_of(first, last)[0])
    return {"title": document.title, "path": document.id}.get(field, document.text)[first:last]


def _names(
    span: SelectedSpan, document: Document, page: Page, cell: _Place | None
) -> list[tuple[MatchField, int, str]]:
    """Return what stands above a span's peak: its field, where it begins there, and its text."""
    path = document.id if is_path(document.id) else ""
    found: list[tuple[MatchField, int, str]] = [("title", 0, document.title), ("path", 0, path)]
    if cell is None:
        return found
    start, end = cell
    units = range(page.unit_at(start), page.unit_at(max(start, end - 1)) + 1)
    for field, first, last in dict.fromkeys(above for unit in units for above in page.above(unit)):
        inside = span.start <= first and last <= span.end
        found.append(("text" if inside else field, first, document.text[first:last]))
    return [(field, first, text[:LONGEST]) for field, first, text in found]


def _by_bm25(
    parts: Sequence[Given],
    seen: _Pieces,
    start: int,
    names: Sequence[tuple[MatchField, int, str]],
    pages: Mapping[str, list[_Target]],
) -> _Strengths:
    """Lay what each word of the question gave on its occurrences in a passage, and above it."""
    words = {part.term: part.term.removeprefix(DESIGNATION).split(TOGETHER) for part in parts}
    wanted = {word for some in words.values() for word in some}
    found: defaultdict[tuple[_Place, _Target], float] = defaultdict(float)
    own = _targets(wanted, "text", start, seen)
    above: _Targets = defaultdict(list, pages)
    for field, first, text in names:
        for term, targets in _targets(wanted, field, first, _Pieces(text)).items():
            above[term] += targets
    for part in parts:
        for value, places in ((part.text, own), (part.above, above)):
            there = [target for word in words[part.term] for target in places[word]]
            for target in there:
                found[part.place, target] += max(0.0, value) / len(there)
    return found


_Targets = defaultdict[str, list[_Target]]


def _targets(wanted: set[str], field: MatchField, begin: int, seen: _Pieces) -> _Targets:
    """Return where some terms stand in a text that begins at an offset."""
    found: _Targets = defaultdict(list)
    for term, start, end in placed_words(seen.text):
        if term in wanted:
            first, last = seen.of_term(start, end)
            found[term].append((field, begin + first, begin + last))
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
    targets: list[_Target] = [("text", span.start + first, span.start + last) for first, last in columns]
    return {(rows[r], targets[c]): float(sums[r, c]) for r, c in np.argwhere(sums > 0).tolist()}


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
