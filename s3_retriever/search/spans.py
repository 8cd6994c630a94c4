"""From a density over cells to passages: peaks, whole units, token budget."""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from s3_retriever.checks import check, check_settings, whole
from s3_retriever.errors import InvalidInputError
from s3_retriever.index.layout import CELL
from s3_retriever.search.passages import Page, Range
from s3_retriever.search.pieces import piece_around

# While more tokens than these are left, passages count by their tokens in the document. By themselves they
# take a few more or less, which depends on their first and last words only.
_MARGIN = 32

_SORTED = 512  # cells sorted before it is known that more are needed
_PIECE = 3 * CELL  # tokens of a unit that is longer than the budget
_TRIES = 6  # passages that do not fit the rest of the budget before it is left


@dataclass(frozen=True)
class SpanConfig:
    """How passages are cut.

    Attributes:
        context: Tokens added on either side of a peak's cell.
        suppression: Cells on either side of a peak that cannot be peaks themselves.
        slack: Tokens between two passages that are filled to make them one.
        min_tokens: Smallest remainder of the budget worth a passage of its own.
        bias_tokens: Also return this many tokens from the beginning and the end of each document hit.

    Raises:
        InvalidInputError: A value is no whole number, 0 or more.

    Examples:
        >>> SpanConfig(bias_tokens=32)
        SpanConfig(context=0, suppression=0, slack=8, min_tokens=8, bias_tokens=32)
    """

    context: int = 0
    suppression: int = 0
    slack: int = 8
    min_tokens: int = 8
    bias_tokens: int = 0

    def __post_init__(self) -> None:
        check_settings(self, **dict.fromkeys(vars(self), whole()))


@dataclass(frozen=True)
class SelectedSpan:
    """A passage: ``text[start:end]`` of document number ``doc``.

    Attributes:
        doc: Document number.
        first_token: First token, counted in the document.
        last_token: One past the last token.
        start: Offset of the first character, which is not white space.
        end: One past the last character, which is not white space.
        score: Density of the best peak inside; for a bias span, the lowest score of the others.
        peak: That peak's cell, counted over all documents; None for a bias span.
    """

    doc: int
    first_token: int
    last_token: int
    start: int
    end: int
    score: float
    peak: int | None


def select_spans(
    density: NDArray[np.floating],
    document_cells: NDArray[np.int64],
    *,
    budget: int,
    document: Callable[[int], Page],
    count_tokens: Callable[[str], int] | None,
    config: SpanConfig | None = None,
) -> list[SelectedSpan]:
    """Choose the passages around the highest peaks that fit a token budget.

    Passages are whole units of their documents; only one whose units are longer than the budget is cut. They
    never overlap; those that touch are merged. A passage costs its number of tokens in the document, or of
    its text tokenised alone, whichever is more; the costs never exceed the budget.

    Args:
        density: (n_cells,) higher is better; ``-inf`` excludes a cell.
        document_cells: (n_docs + 1,) first cell of each document, and the number of cells.
        budget: Tokens.
        document: Returns a document by number; called once per document hit.
        count_tokens: Tokens of a text by itself; None: passages cost their tokens in their documents.
        config: How passages are cut.

    Returns:
        The passages, best first.

    Raises:
        InvalidInputError: The budget is not positive, the density has a NaN or the wrong length.
    """
    check("budget", budget, whole(1))
    config = config or SpanConfig()
    pages = functools.cache(document)
    for exact in (False, True) if count_tokens else (False,):
        selection = _Selection(budget, pages, count_tokens, config, exact=exact)
        _select(selection, density, document_cells, config)
        if selection.fits():
            break
    return selection.spans()


def _select(
    selection: _Selection,
    density: NDArray[np.floating],
    document_cells: NDArray[np.int64],
    config: SpanConfig,
) -> None:
    """Offer the passages around the peaks to a selection until its budget is spent."""
    furniture: list[_Offer] = []
    for doc, cell in peaks(density, document_cells, config.suppression):
        is_new = doc not in selection.ranges
        page = selection.page(doc)
        first = (cell - int(document_cells[doc])) * CELL
        core = (first, min(first + CELL, len(page.starts)))
        offer = _Offer(doc, core, float(density[cell]), cell)
        wide = (max(0, core[0] - config.context), min(len(page.starts), core[1] + config.context))
        units = page.passage(wide, selection.budget)
        if units is None:
            furniture += [offer] if not furniture and page.text[slice(*page.of_tokens(*core))].strip() else []
            continue
        if not selection.add(offer, units):
            break
        if is_new and config.bias_tokens:
            width = min(config.bias_tokens, len(page.starts))
            for part in ((0, width), (len(page.starts) - width, len(page.starts))):
                selection.add_piece(replace(offer, core=part, score=-np.inf, peak=None), width)
    if not selection.ranges and furniture:
        selection.add_piece(furniture[0], CELL)


def peaks(
    density: NDArray[np.floating], document_cells: NDArray[np.int64], suppression: int
) -> Iterator[tuple[int, int]]:
    """Yield (document, cell) in descending density, equal ones in order of the cells.

    Greedy non-maximum suppression: a peak silences ``suppression`` cells of its document on either side.

    Raises:
        InvalidInputError: The density has a NaN or does not fit ``document_cells``.
    """
    if density.shape != (document_cells[-1],):
        msg = f"the density has shape {density.shape}, but the documents have {document_cells[-1]} cells"
        raise InvalidInputError(msg)
    if np.isnan(density).any():
        msg = f"the density of cell {int(np.isnan(density).argmax())} is NaN; use -inf to exclude a cell"
        raise InvalidInputError(msg)
    free = density > -np.inf
    for cell in _descending(density):
        if free[cell]:
            doc = int(np.searchsorted(document_cells, cell, side="right")) - 1
            low, high = document_cells[doc], document_cells[doc + 1]
            free[max(low, cell - suppression) : min(high, cell + suppression + 1)] = False
            yield doc, cell


def _descending(density: NDArray[np.floating]) -> Iterator[int]:
    """Yield cells in descending density, equal ones in order; no more than are asked for are sorted."""
    cells, size = np.arange(len(density)), _SORTED
    while len(cells) > size:
        values = density[cells]
        is_high = values >= np.partition(values, -size)[-size]
        high = cells[is_high]
        yield from high[np.argsort(-density[high], kind="stable")].tolist()
        cells, size = cells[~is_high], 8 * size
    yield from cells[np.argsort(-density[cells], kind="stable")].tolist()


@dataclass(frozen=True)
class _Offer:
    """A passage that is wanted: around which tokens of a document, its score and its peak."""

    doc: int
    core: tuple[int, int]
    score: float
    peak: int | None


@dataclass(frozen=True)
class _Range:
    """Characters of a document that were chosen, what they cost, and the best offer in them."""

    start: int
    end: int
    cost: int
    best: _Offer


class _Selection:
    """The passages chosen so far and the budget that is left.

    While much is left, a passage counts by its tokens in the document, also one that has more than what is
    left. Texts are tokenised by themselves once little is left, or from the beginning where ``exact``, if
    tokens can be counted at all.
    """

    def __init__(
        self,
        budget: int,
        page: Callable[[int], Page],
        count_tokens: Callable[[str], int] | None,
        config: SpanConfig,
        *,
        exact: bool,
    ) -> None:
        self.page = page
        self.budget = budget
        self.ranges: dict[int, list[_Range]] = {}  # ascending
        self._left = budget
        self._count = count_tokens
        self._config = config
        self._exact = exact
        self._missed = 0

    def add(self, offer: _Offer, units: Range) -> bool:
        """Take some units, or as many of them around the offer's core as fit; False: the budget is spent."""
        page = self.page(offer.doc)
        middle = sum(offer.core) // 2
        centre = page.unit_at(int(page.starts[min(middle, len(page.starts) - 1)]))
        centre = min(max(centre, units[0]), units[1] - 1)
        wanted: Range | None = units
        while wanted is not None:
            start, end = page.characters(*wanted)
            excess = self._take(offer, start, end)
            if excess <= 0:
                return True
            size = page.size(*wanted) - excess
            wanted = page.within(*wanted, centre, size) if size > 0 else None
            if wanted and self.ranges and page.is_short(*wanted):
                wanted = wanted if self._touches(offer.doc, page, wanted) else None
        is_longer = page.size(centre, centre + 1) > self.budget
        piece = page.piece_size(offer.core, _PIECE) if is_longer or not self.ranges else 0
        if piece and (not self.ranges or piece <= self._left):
            return self.add_piece(offer, piece)
        self._missed += 1
        return self._missed < _TRIES and self._left >= self._config.min_tokens

    def add_piece(self, offer: _Offer, size: int) -> bool:
        """Take as many tokens around the offer's core as fit, whole words where possible."""
        page = self.page(offer.doc)
        size = min(size, self.budget)
        least = max(1, min(size, self._config.min_tokens)) if self.ranges else 1
        while size >= least:
            excess = self._take(offer, *piece_around(page, offer.core, size))
            if excess <= 0:
                return True
            size -= excess
        return False

    def _take(self, offer: _Offer, start: int, end: int) -> int:
        """Take a passage if it fits, united with those that it touches; return the tokens that it lacks."""
        page, parts = self.page(offer.doc), self.ranges.setdefault(offer.doc, [])
        touched = self._touched(page, parts, start, end)
        start = min([start, *(part.start for part in parts[touched])])
        end = max([end, *(part.end for part in parts[touched])])
        if not page.text[start:end].strip():
            return 0
        best = max([*(part.best for part in parts[touched]), offer], key=lambda one: one.score)
        while True:
            room = self._left + sum(part.cost for part in parts[touched])
            merged = _Range(start, end, self._cost(page, start, end, room), best)
            excess = merged.cost - room
            is_clear = excess <= -_MARGIN or (excess > 0 and self._left > _PIECE + _MARGIN)
            if is_clear or self._exact or self._count is None:
                break
            self._count_exactly()
        if excess <= 0:
            self._left = -excess
            parts[touched] = [merged]
        if not parts:
            del self.ranges[offer.doc]
        return excess

    def fits(self) -> bool:
        """Tell whether the passages fit the budget, their texts tokenised by themselves."""
        self._count_exactly()
        return self._left >= 0

    def spans(self) -> list[SelectedSpan]:
        """Return the passages, best first."""
        chosen = [(doc, part) for doc, parts in self.ranges.items() for part in parts]
        scores = [part.best.score for _, part in chosen if part.best.peak is not None]
        lowest = min(scores, default=0.0)
        spans = []
        for doc, part in chosen:
            page, best = self.page(doc), part.best
            start, end = page.stripped(part.start, part.end)
            spans.append(
                SelectedSpan(
                    doc, *page.token_range(start, end), start, end, max(best.score, lowest), best.peak
                )
            )
        return sorted(spans, key=lambda span: (-span.score, span.peak is None, span.doc, span.start))

    def _count_exactly(self) -> None:
        if not self._exact and self._count is not None:
            self._exact = True
            for doc, parts in self.ranges.items():
                page = self.page(doc)
                parts[:] = [replace(part, cost=self._cost(page, part.start, part.end)) for part in parts]
            self._left = self.budget - sum(part.cost for parts in self.ranges.values() for part in parts)

    def _touched(self, page: Page, parts: list[_Range], start: int, end: int) -> slice:
        """Return which passages of a document a range overlaps, touches or nearly touches."""
        begin = bisect_left(parts, start, key=lambda part: part.end)
        stop = bisect_right(parts, end, key=lambda part: part.start)
        slack = self._config.slack
        if begin and self._gap(page, parts[begin - 1].end, start) <= slack:
            begin -= 1
        if stop < len(parts) and self._gap(page, end, parts[stop].start) <= slack:
            stop += 1
        return slice(begin, stop)

    def _touches(self, doc: int, page: Page, units: Range) -> bool:
        parts = self.ranges.get(doc, [])
        touched = self._touched(page, parts, *page.characters(*units))
        return bool(parts[touched])

    def _gap(self, page: Page, start: int, end: int) -> float:
        """Return how many tokens lie between two passages; infinity where furniture does."""
        first, last = page.token_range(start, end)
        return last - first if page.is_free(page.unit_at(start), page.unit_at(end)) else np.inf

    def _cost(self, page: Page, start: int, end: int, room: float = np.inf) -> int:
        """Return what a passage costs: its tokens here or, where that is asked, by itself if it has more.

        One that has more tokens than there is room for here is not tokenised, which takes time.
        """
        start, end = page.stripped(start, end)
        first, last = page.token_range(start, end)
        tokens = last - first
        if self._count is None or not self._exact or tokens > room:
            return tokens
        return max(tokens, self._count(page.text[start:end]))
