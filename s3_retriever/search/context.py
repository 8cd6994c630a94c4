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
from s3_retriever.index.words import Asked
from s3_retriever.search.lookup import MARKS, Below, TermLookup
from s3_retriever.search.rarity import RarityBoost, weighted_idf

WEIGHTS = (1.0, 0.25)
"""How much a term counts that stands above a cell and not in it: in a title or the like, and in a heading."""

NAMED = 1.5
"""The same of a code or a name of source code, wherever it is: what is below is about that, as no short cell
is that mentions it, for which BM25 counts a word up to 1.8 times."""

Float64 = npt.NDArray[np.float64]


class TermCounts(NamedTuple):
    """What the scores of a cell depend on beside the cell.

    Attributes:
        n_cells: Cells of the corpus.
        n_terms: Terms in them, repeated ones counted.
        cells: For each term of the question, cells that have it, and cells that have the word of which it
            is a weaker form.
        below: For each term, how much there is below it or that word.
    """

    n_cells: int
    n_terms: int
    cells: tuple[tuple[int, ...], ...]
    below: tuple[Below, ...]


def term_counts(lookup: TermLookup, terms: Sequence[Asked]) -> TermCounts:
    """Count what the scores of a snapshot's cells depend on, beside the cells."""
    return TermCounts(
        lookup.snapshot.n_cells,
        lookup.snapshot.n_terms,
        tuple((len(lookup.inside(one.term).cells), lookup.n_exact(one)) for one in terms),
        tuple(map(lookup.n_below, terms)),
    )


def context_scores(
    lookup: TermLookup,
    terms: Sequence[Asked],
    boost: RarityBoost | None = None,
    *,
    whole: TermCounts | None = None,
) -> Float64:
    """Return what each cell gets for what stands above it, float64 (n_cells,).

    A term is as rare as if no cell below it had it itself: its inverse document frequency is that of both
    kinds of cells together. With a boost, a document that has it in its title counts as one cell.

    Args:
        lookup: Of what is searched.
        terms: Of the question; a term counts as often as it is given, times its weight.
        boost: Tells how many times each term counts.
        whole: Counts of the corpus that the snapshot is a part of; None: it is all of it.
    """
    total = np.zeros(lookup.snapshot.n_cells)
    n_cells = len(total) if whole is None else whole.n_cells
    for i, one in enumerate(terms):
        for k, mark in enumerate(MARKS):
            ranges = lookup.below(one.term, mark)
            if not len(ranges):
                continue
            cells = lookup.inside(one.term).cells
            if whole is None:
                n, below = len(cells) + lookup.n_exact(one), lookup.n_below(one)
            else:
                n, below = sum(whole.cells[i]), whole.below[i]
            if boost is None:
                n, weight = n + (below.titled, below.headed)[k], WEIGHTS[k]
            else:
                n += (below.things_titled, below.things_headed)[k]
                weight = NAMED if one.is_name else WEIGHTS[k]
            value = weight * weighted_idf(one, min(n, n_cells), n_cells, boost)
            _add_below(ranges, cells, value, total)
    return total


@njit(cache=True, nogil=True)
def _add_below(ranges, cells, value, total):  # type: ignore[no-untyped-def]
    """Add a value to the cells of some ranges, except those that have the term themselves.

    Args:
        ranges: int64 (n, 2), the first cell and the end of each range, ascending.
        cells: int64 (m,), that have the term, ascending.
        value: What each other cell gets.
        total: float64 (n_cells,), added to.
    """
    at = 0
    for i in range(len(ranges)):
        for cell in range(ranges[i, 0], ranges[i, 1]):
            while at < len(cells) and cells[at] < cell:
                at += 1
            if at == len(cells) or cells[at] != cell:
                total[cell] += value
