"""What cells get for words that stand above them: in titles, paths, headings, lines that open functions.

A term of the question that a cell lacks, and that stands above it, counts a part of its inverse document
frequency there. What a cell has itself is left to BM25, so texts below nothing have its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.index.context import HEADING
from s3_retriever.index.snapshot import LiveSegment, Snapshot
from s3_retriever.index.words import Asked
from s3_retriever.search.rarity import RarityBoost, n_exact, occurrences, weighted_idf

WEIGHTS = {"": 1.0, HEADING: 0.25}
"""How much a term counts that stands above a cell and not in it, by its mark: less in a heading."""

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


class TermCounts(NamedTuple):
    """What the scores of a cell depend on beside the cell.

    Attributes:
        n_cells: Cells of the corpus.
        n_terms: Terms in them, repeated ones counted.
        cells: For each term of the question, cells that have it, and cells that have the word of which it
            is a weaker form.
        below: For each term, and each mark of :data:`WEIGHTS`, cells above which it or that word stands.
    """

    n_cells: int
    n_terms: int
    cells: tuple[tuple[int, int], ...]
    below: tuple[tuple[int, int], ...]


def term_counts(snapshot: Snapshot, terms: Sequence[Asked]) -> TermCounts:
    """Count what the scores of a snapshot's cells depend on, beside the cells."""
    parts, below = snapshot.parts, _Below(snapshot.parts)
    return TermCounts(
        snapshot.n_cells,
        snapshot.n_terms,
        tuple((occurrences(parts, one.term)[1], n_exact(parts, one)) for one in terms),
        tuple((below.n(one, ""), below.n(one, HEADING)) for one in terms),
    )


def _ranges(part: LiveSegment, term: str) -> Int64:
    """Return the cells of a segment above which a term stands, int64 (2 n,): the first, the last of n ranges.

    Raises:
        IndexFormatError: The postings are none of ranges.
    """
    cells = part.segment.context.cells(term)
    if len(cells) % 2:
        part.segment.context.contradict()
    return cells


class _Below:
    """Looks up above which cells terms stand; each one once.

    Args:
        parts: What is searched.
    """

    def __init__(self, parts: Sequence[LiveSegment]) -> None:
        self._parts = parts
        self._known: dict[str, tuple[list[Int64], int]] = {}

    def ranges(self, term: str) -> tuple[list[Int64], int]:
        """Return the ranges in each segment, and how many live cells lie in them."""
        if term not in self._known:
            found = [_ranges(part, term) for part in self._parts]
            n = 0
            for part, own in zip(self._parts, found, strict=True):
                if len(own):
                    n += int((part.cells_before[own[1::2] + 1] - part.cells_before[own[::2]]).sum())
            self._known[term] = found, n
        return self._known[term]

    def n(self, term: Asked, mark: str) -> int:
        """Return above how many live cells a term stands, and the word of which it is a weaker form."""
        return sum(self.ranges(mark + one)[1] for one in (term.term, term.exact) if one)


def context_scores(
    snapshot: Snapshot,
    terms: Sequence[Asked],
    boost: RarityBoost | None = None,
    *,
    whole: TermCounts | None = None,
) -> Float64:
    """Return what each cell gets for what stands above it, float64 (snapshot.n_cells,).

    A term is as rare as if no cell below it had it itself: its inverse document frequency is that of both
    kinds of cells together.

    Args:
        snapshot: What is searched.
        terms: Of the question; a term counts as often as it is given, times its weight.
        boost: Tells how many times each term counts.
        whole: Counts of the corpus that the snapshot is a part of; None: it is all of it.
    """
    parts, below = snapshot.parts, _Below(snapshot.parts)
    totals = [np.zeros(part.segment.n_cells) for part in parts]
    n_cells = snapshot.n_cells if whole is None else whole.n_cells
    for i, one in enumerate(terms):
        for k, (mark, weight) in enumerate(WEIGHTS.items()):
            ranges, _ = below.ranges(mark + one.term)
            if not any(map(len, ranges)):
                continue
            cells, n = occurrences(parts, one.term)
            if whole is None:
                n += n_exact(parts, one) + below.n(one, mark)
            else:
                n = sum(whole.cells[i]) + whole.below[i][k]
            if not n:  # they are of deleted documents
                continue
            value = weight * weighted_idf(one, min(n, n_cells), n_cells, boost)
            for of_part, own, total in zip(ranges, cells, totals, strict=True):
                _add_below(of_part, own, value, total)
    live = [total[part.cells] for part, total in zip(parts, totals, strict=True)]
    return np.concatenate([np.zeros(0), *live])


@njit(cache=True, nogil=True)
def _add_below(ranges, cells, value, total):  # type: ignore[no-untyped-def]
    """Add a value to the cells of some ranges, except those that have the term themselves.

    Args:
        ranges: int64 (2 n,), the first cell and the last of each range, ascending.
        cells: int64 (m,), that have the term, ascending.
        value: What each other cell gets.
        total: float64 (n_cells,), added to.
    """
    at = 0
    for i in range(0, len(ranges), 2):
        for cell in range(ranges[i], ranges[i + 1] + 1):
            while at < len(cells) and cells[at] < cell:
                at += 1
            if at == len(cells) or cells[at] != cell:
                total[cell] += value
