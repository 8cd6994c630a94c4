"""From a density over cells to passages: peaks, sentence borders, token budget."""

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
from s3_retriever.search.text import character_range, sentences, splits_word, trails

# Characters that tell whether a sentence begins: a short line and its break before, a list marker after.
_AROUND = 64

# While more tokens than these are left, passages count by their tokens in the document. By themselves they
# take a few more or less, which depends on their first and last words only.
_MARGIN = 32

_SORTED = 512  # cells sorted before it is known that more are needed

Page = tuple[str, NDArray[np.uint32]]
"""A document's text and the character offset at which each of its tokens starts, ascending."""


@dataclass(frozen=True)
class SpanConfig:
    """How passages are cut.

    Attributes:
        context: Tokens added on either side of a peak's cell.
        suppression: Cells on either side of a peak that cannot be peaks themselves.
        slack: Tokens by which a border may move outward to reach a sentence border.
        min_tokens: Smallest remainder of the budget worth a passage of its own.
        bias_tokens: Also return this many tokens from the beginning and the end of each document hit.

    Raises:
        InvalidInputError: A value is no whole number, 0 or more.

    Examples:
        >>> SpanConfig(bias_tokens=32)
        SpanConfig(context=0, suppression=0, slack=64, min_tokens=8, bias_tokens=32)
    """

    context: int = 0
    suppression: int = 0
    slack: int = 64
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
    count_tokens: Callable[[str], int],
    config: SpanConfig | None = None,
) -> list[SelectedSpan]:
    """Choose the passages around the highest peaks that fit a token budget.

    Passages never overlap; those that touch are merged. A passage costs its number of tokens in the
    document, or of its text tokenised alone, whichever is more; the costs never exceed the budget.

    Args:
        density: (n_cells,) higher is better; ``-inf`` excludes a cell.
        document_cells: (n_docs + 1,) first cell of each document, and the number of cells.
        budget: Tokens.
        document: Returns a document by number; called once per document hit.
        count_tokens: Tokens of a text by itself.
        config: How passages are cut.

    Returns:
        The passages, best first.

    Raises:
        InvalidInputError: The budget is not positive, the density has a NaN or the wrong length.
    """
    check("budget", budget, whole(1))
    config = config or SpanConfig()
    pages = functools.cache(document)
    for exact in (False, True):
        selection = _Selection(budget, pages, count_tokens, config.min_tokens, exact=exact)
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
    for doc, cell in peaks(density, document_cells, config.suppression):
        is_new = doc not in selection.ranges
        text, starts = selection.page(doc)
        first = (cell - int(document_cells[doc])) * CELL
        core = (first, min(first + CELL, len(starts)))
        first, last = snap(text, starts, core, config.context, config.slack)
        found = _Found(float(density[cell]), cell, sum(core) // 2)
        if not selection.add(doc, first, last, found):
            break
        if is_new and config.bias_tokens:
            width = min(config.bias_tokens, len(starts))
            for centre, part in ((0, (0, width)), (len(starts), (len(starts) - width, len(starts)))):
                selection.add(doc, *whole_words(text, starts, *part), _Found(-np.inf, None, centre))


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


def snap(
    text: str, starts: NDArray[np.uint32], core: tuple[int, int], context: int, slack: int
) -> tuple[int, int]:
    """Widen the tokens ``core`` by ``context`` on either side, then move to sentence borders.

    Each border moves outward to the nearest sentence border within ``slack`` tokens, else inward to the
    nearest one outside ``core``, else outward to the end of the word that it splits.

    Returns:
        First token and one past the last.
    """
    first, last = max(0, core[0] - context), min(len(starts), core[1] + context)
    borders = sentence_borders(text, starts, max(0, first - slack), min(len(starts), last + slack))
    before = borders[: bisect_right(borders, core[0])]
    after = borders[bisect_left(borders, core[1]) :]
    outer, inner = bisect_right(before, first), bisect_left(after, last)
    if before:
        first = before[outer - 1] if outer else before[0]
    else:
        first = _beginning(text, starts, range(first, max(0, first - slack) - 1, -1))
    if after:
        last = after[inner] if inner < len(after) else after[-1]
    else:
        last = _first_whole(text, starts, range(last, min(len(starts), last + slack) + 1))
    return first, last


def sentence_borders(text: str, starts: NDArray[np.uint32], low: int, high: int) -> list[int]:
    """Return the sentence borders among the tokens ``low`` to ``high``, ascending, as token numbers.

    A border is the token that holds the first character of a sentence; the end of the document is one too.
    Only the text of these tokens and a little around it is read, so the cost does not grow with the document.
    """
    begin, end = character_range(text, starts, low, high)
    base = max(0, begin - _AROUND)
    found = sentences(text[base : end + _AROUND])
    # Where reading began is no border, unless the document does so too.
    offsets = np.array([base + start for start, _ in found[1 if base else 0 :]], starts.dtype)
    # Some tokenizers count the space before a word as part of its token.
    tokens = np.maximum(np.searchsorted(starts, offsets, side="right") - 1, 0)
    kept = tokens[(starts[tokens] >= begin) & (starts[tokens] <= end)]
    inside = np.clip(kept, low, high)  # tokens that share a character have the same offset
    return sorted({*inside.tolist(), *([high] if high == len(starts) else [])})


def narrow(first: int, last: int, centre: int, size: int) -> tuple[int, int]:
    """Return the ``size`` tokens around ``centre``, or as near to it as [first, last) allows."""
    begin = max(first, min(centre - size // 2, last - size))
    return begin, min(last, begin + size)


def tidy(text: str, starts: NDArray[np.uint32], first: int, last: int) -> tuple[int, int]:
    """Drop the incomplete sentence at either end of a passage, if that costs a quarter of it at most.

    Otherwise drop the incomplete word.
    """
    borders = sentence_borders(text, starts, first, last)
    reach = (last - first) // 4
    heads = [border for border in borders if border <= first + reach]
    tails = [border for border in borders if border >= last - reach]
    return whole_words(text, starts, heads[0] if heads else first, tails[-1] if tails else last)


def whole_words(text: str, starts: NDArray[np.uint32], first: int, last: int) -> tuple[int, int]:
    """Drop the incomplete word at either end of a passage, unless there is nothing else in it.

    A mark at the beginning goes too if it ended a sentence that was cut off.
    """
    end = _first_whole(text, starts, range(last, first, -1))
    begin = _beginning(text, starts, range(first, end))
    start, stop = character_range(text, starts, begin, end)
    return (begin, end) if text[start:stop].strip() else (first, last)


@dataclass(frozen=True)
class _Found:
    """Why a passage is wanted: its score, its peak, and the token to keep when it has to shrink."""

    score: float
    peak: int | None
    centre: int


@dataclass(frozen=True)
class _Range:
    first: int
    last: int
    start: int
    end: int
    cost: int
    found: _Found


class _Selection:
    """The passages chosen so far and the budget that is left.

    While much is left, a passage counts by its tokens in the document. Texts are tokenised by themselves once
    little is left, or from the beginning where ``exact``.
    """

    def __init__(
        self,
        budget: int,
        page: Callable[[int], Page],
        count_tokens: Callable[[str], int],
        least: int,
        *,
        exact: bool,
    ) -> None:
        self.page = page
        self.ranges: dict[int, list[_Range]] = {}  # ascending
        self._left = self._budget = budget
        self._count = count_tokens
        self._least = least
        self._exact = exact

    def add(self, doc: int, first: int, last: int, found: _Found) -> bool:
        """Take the tokens [first, last), or as many around the centre as fit; False: the budget is spent."""
        text, starts = self.page(doc)
        size = wanted = last - first
        least = max(1, min(wanted, self._least)) if self.ranges else 1
        while size >= least:
            begin, end = narrow(first, last, found.centre, size)
            if size < wanted:
                begin, end = tidy(text, starts, begin, end)
            touched = self._touched(doc, begin, end)
            merged = self._merged(doc, begin, end, found, touched)
            if merged.start == merged.end:  # nothing but white space
                return True
            parts = self.ranges.get(doc, [])[touched]
            excess = merged.cost - sum(part.cost for part in parts) - self._left
            if excess > -_MARGIN and not self._exact:
                self._count_exactly()
                if self._left < 0:
                    return False
                continue
            if excess <= 0:
                self._left = -excess
                self.ranges.setdefault(doc, [])[touched] = [merged]
                return True
            size -= excess
        return False

    def fits(self) -> bool:
        """Tell whether the passages fit the budget, their texts tokenised by themselves."""
        self._count_exactly()
        return self._left >= 0

    def spans(self) -> list[SelectedSpan]:
        chosen = [(doc, part) for doc, parts in self.ranges.items() for part in parts]
        lowest = min((part.found.score for _, part in chosen if part.found.peak is not None), default=0.0)
        spans = [
            SelectedSpan(
                doc,
                part.first,
                part.last,
                part.start,
                part.end,
                max(part.found.score, lowest),
                part.found.peak,
            )
            for doc, part in chosen
        ]
        return sorted(spans, key=lambda span: (-span.score, span.peak is None, span.doc, span.start))

    def _count_exactly(self) -> None:
        if not self._exact:
            self._exact = True
            for doc, parts in self.ranges.items():
                text, _ = self.page(doc)
                parts[:] = [replace(part, cost=self._cost(text, part)) for part in parts]
            self._left = self._budget - sum(part.cost for parts in self.ranges.values() for part in parts)

    def _touched(self, doc: int, first: int, last: int) -> slice:
        """Return which passages of a document a range overlaps or touches."""
        parts = self.ranges.get(doc, [])
        begin = bisect_left(parts, first, key=lambda part: part.last)
        return slice(begin, bisect_right(parts, last, key=lambda part: part.first))

    def _merged(self, doc: int, first: int, last: int, found: _Found, touched: slice) -> _Range:
        """Unite a range with the passages that it touches."""
        parts = self.ranges.get(doc, [])[touched]
        first = min([first, *(part.first for part in parts)])
        last = max([last, *(part.last for part in parts)])
        best = max([*(part.found for part in parts), found], key=lambda one: one.score)
        text, starts = self.page(doc)
        start, end = character_range(text, starts, first, last)
        piece = text[start:end]
        stripped = piece.strip()
        start += len(piece) - len(piece.lstrip()) if stripped else 0
        merged = _Range(first, last, start, start + len(stripped), last - first, best)
        return replace(merged, cost=self._cost(text, merged)) if self._exact else merged

    def _cost(self, text: str, part: _Range) -> int:
        return max(part.last - part.first, self._count(text[part.start : part.end]))


def _first_whole(text: str, starts: NDArray[np.uint32], tokens: range) -> int:
    """Return the first of some tokens before which a cut splits no word, or just the first one."""
    whole = (one for one in tokens if not splits_word(text, character_range(text, starts, one, one)[0]))
    return next(whole, tokens.start)


def _beginning(text: str, starts: NDArray[np.uint32], tokens: range) -> int:
    """Return the first of some tokens before which a cut splits no word and leaves no mark behind.

    If there is none, the first that splits no word, or just the first one.
    """
    offsets = ((one, character_range(text, starts, one, one)[0]) for one in tokens)
    clean = (one for one, at in offsets if not splits_word(text, at) and not trails(text, at))
    return next(clean, _first_whole(text, starts, tokens))
