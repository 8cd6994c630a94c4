"""BM25 of a snapshot's cells, our own and that of ``bm25s``, from the postings that its segments hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import Uncopyable, check, check_library, choice, pip_install
from s3_retriever.compiled import njit
from s3_retriever.index.codes import TOGETHER
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.words import Asked
from s3_retriever.locks import ThreadLock
from s3_retriever.search.context import TermCounts, context_scores
from s3_retriever.search.lookup import TermLookup
from s3_retriever.search.rarity import RarityBoost, idf, weighted_idf

K1 = 1.5
B = 0.75

Float64 = npt.NDArray[np.float64]

Scores = Callable[..., Float64]
"""Scores cells, with arguments as of :meth:`BM25.scores`."""


@njit(cache=True, nogil=True)
def _add_scores(cells, counts, lengths, average, value, k1, b, total):  # type: ignore[no-untyped-def]
    """Add a term's scores to those of cells, by the operations of ``rank_bm25`` in their order.

    Args:
        cells: int64 (n,), that have the term.
        counts: int32 (n,), how often each has it.
        lengths: Unsigned (C,), terms in each cell.
        average: Of the lengths.
        value: What the term's idf counts.
        k1: Saturation of a count.
        b: How much the length of a cell counts.
        total: float64 (C,), added to.
    """
    for i in range(len(cells)):
        cell, count = cells[i], counts[i]
        norm = k1 * (1 - b + b * lengths[cell] / average)
        total[cell] += value * (count * (k1 + 1) / (count + norm))


class BM25:
    """BM25 of a snapshot's cells. It keeps nothing: postings, frequencies and lengths are the snapshot's.

    The scores are bit for bit those of ``rank_bm25.BM25Okapi`` with Lucene's idf, and so those of an index
    built from scratch: they follow from whole numbers by the same operations in the same order.

    Args:
        k1: Saturation of a term's count.
        b: How much the length of a cell counts, in [0, 1].
    """

    def __init__(self, *, k1: float = K1, b: float = B) -> None:
        self._k1, self._b = k1, b

    def scores(
        self,
        lookup: TermLookup,
        terms: Sequence[Asked],
        boost: RarityBoost | None = None,
        *,
        whole: TermCounts | None = None,
    ) -> Float64:
        """Return the score of every cell, float64 (n_cells,); 0 where no term occurs.

        Args:
            lookup: Of what is searched.
            terms: Of the question; a term counts as often as it is given, times its weight.
            boost: Tells how many times each term counts; None is plain BM25. With it, documents that have a
                term in their titles count as cells that have it.
            whole: Counts of the corpus that the snapshot is a part of; None: it is all of it.
        """
        snapshot = lookup.snapshot
        total = np.zeros(snapshot.n_cells)
        n_cells, n_terms = whole[:2] if whole else (snapshot.n_cells, snapshot.n_terms)
        if not n_terms:
            return total
        lengths, average = snapshot.cell_terms, n_terms / n_cells
        for i, one in enumerate(terms):
            cells, counts = lookup.inside(one.term)
            if len(cells):
                n = sum(whole.cells[i]) if whole else len(cells) + lookup.n_exact(one)
                if boost is not None:  # whoever names a document need not mean what mentions it
                    n += (whole.below[i] if whole else lookup.n_below(one)).documents
                value = weighted_idf(one, min(n, n_cells), n_cells, boost)
                _add_scores(cells, counts, lengths, average, value, self._k1, self._b, total)
        return total


class BM25S:
    """BM25 of the optional ``bm25s``: the scores of :class:`BM25` up to rounding.

    ``bm25s`` scores all terms of all cells in advance, so its matrix is made at the first question about a
    snapshot and kept as long as anybody has that.

    Raises:
        MissingDependencyError: ``bm25s`` is not installed.
    """

    def __init__(self, *, k1: float = K1, b: float = B) -> None:
        check_library("BM25 scores of this backend", "bm25s", "bm25s", pip_install("bm25s"))
        import bm25s

        self._own = BM25(k1=k1, b=b)
        self._make = partial(bm25s.BM25, method="lucene", k1=k1, b=b, dtype="float64")
        self._scale = k1 + 1  # a constant factor that Lucene leaves out
        self._lock = ThreadLock()
        self._matrices: WeakKeyDictionary[Snapshot, Any] = WeakKeyDictionary()

    def scores(self, lookup: TermLookup, terms: Sequence[Asked], boost: RarityBoost | None = None) -> Float64:
        """Return the score of every cell, float64 (n_cells,); 0 where no term occurs."""
        snapshot = lookup.snapshot
        with self._lock:
            if snapshot not in self._matrices:
                self._matrices[snapshot] = self._matrix_of(snapshot)
            matrix = self._matrices[snapshot]
        if matrix is None or not terms:
            return np.zeros(snapshot.n_cells)
        n_cells = snapshot.n_cells
        together = [one for one in terms if TOGETHER in one.term]  # of which the matrix knows nothing
        total = self._own.scores(lookup, together, boost)
        for one in terms:
            found = matrix.get_scores([one.term])
            n = int(np.count_nonzero(found))
            if n:
                exact = int(np.count_nonzero(matrix.get_scores([one.exact]))) if one.exact else 0
                documents = 0 if boost is None else lookup.n_below(one).documents
                value = weighted_idf(one, min(n + exact + documents, n_cells), n_cells, boost)
                total += self._scale * value / idf(n, n_cells) * found
        return total

    def _matrix_of(self, snapshot: Snapshot) -> Any:
        """Return the matrix of a snapshot, None where it has no term."""
        numbers: dict[str, int] = {}
        cells: list[list[int]] = [[] for _ in range(snapshot.n_cells)]
        first = 0
        for part in snapshot.parts:
            places = np.cumsum(part.live_cells) - 1 + first
            of_segment = np.array([numbers.setdefault(term, len(numbers)) for term in part.segment.terms])
            for terms, found in part.segment.terms.occurrences():
                live = part.live_cells[found]
                pairs = zip(of_segment[terms[live]].tolist(), places[found[live]].tolist(), strict=True)
                for number, cell in pairs:
                    cells[cell].append(number)
            first += len(part.cells)
        if not any(cells):
            return None
        matrix = self._make()
        matrix.index((cells, numbers), create_empty_token=False, show_progress=False)
        return matrix


BACKENDS: dict[str, type[BM25] | type[BM25S]] = {"rank_bm25": BM25, "bm25s": BM25S}
"""What can compute BM25, by name; "rank_bm25" is our own, with the scores of that library."""


class LexicalIndex(Uncopyable):
    """Scores the cells of the snapshot a search reads; no document is read, whatever came before.

    Threads may share it.

    Args:
        backend: A key of :data:`BACKENDS`.

    Raises:
        InvalidInputError: There is no such backend.
        MissingDependencyError: Its package is not installed.
    """

    instead = "make another one: any of them can search any index"

    def __init__(self, backend: str = "rank_bm25") -> None:
        check("bm25", backend, choice(tuple(BACKENDS)))
        self._bm25 = BACKENDS[backend]()

    @property
    def sides(self) -> tuple[Scores, Scores]:
        """What scores words in the cells, and words above them; arguments as of :meth:`scores`."""
        return self._bm25.scores, context_scores

    def scores(self, lookup: TermLookup, terms: Sequence[Asked], boost: RarityBoost | None = None) -> Float64:
        """Return BM25 of every cell, and what it gets for titles and the like above it; float64 (n_cells,).

        Plain BM25 without a boost.

        Args:
            lookup: Of what is searched.
            terms: Of the question.
            boost: Tells how many times each term counts.
        """
        text, above = (side(lookup, terms, boost) for side in self.sides)
        return text + above
