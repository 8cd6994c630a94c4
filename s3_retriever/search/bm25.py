"""BM25 over cells of text: one interface, served by ``rank_bm25`` or, for large corpora, by ``bm25s``.

Both use Lucene's inverse document frequency, ``log(1 + (N - n + 0.5) / (n + 0.5))`` for a term in n of N
cells, because Okapi's is negative for terms in more than half of the cells, which small corpora are full
of (Kamphuis et al., "Which BM25 do you mean?", ECIR 2020). A query term counts as often as it is given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from s3_retriever.errors import InvalidInputError, MissingDependencyError

K1 = 1.5
B = 0.75


@dataclass(frozen=True)
class Emphasis:
    """Lets rare words count more than they do in plain BM25.

    A word that few cells hold may be rare in the corpus by chance, as "happens" is in a reference manual;
    one that is rare in its language too is a name, a number or a term of art.

    Attributes:
        power: 0 is plain BM25; the higher, the more the rarest words decide.
        surprise: How rare a word is in its language, in [0, 1].
    """

    power: float
    surprise: Callable[[str], float]

    def weight(self, term: str, n: int, n_cells: int) -> float:
        """Return (idf / idf of a term that one cell has, times surprise) to the power, in [0, 1].

        Args:
            term: Of the question.
            n: Cells that have the term, at least 1.
            n_cells: All cells.
        """
        weight: float = (self.surprise(term) * _idf(n, n_cells) / _idf(1, n_cells)) ** self.power
        return weight


def _idf(n: int, n_cells: int) -> float:
    return math.log(1 + (n_cells - n + 0.5) / (n + 0.5))


class BM25(ABC):
    """Scores of all cells for a query, over a collection of cells that can grow and shrink."""

    @property
    @abstractmethod
    def n_cells(self) -> int:
        """Number of cells held."""

    @abstractmethod
    def add(self, cells: Sequence[Sequence[str]]) -> None:
        """Append cells, each given as its terms (an empty cell is a cell)."""

    @abstractmethod
    def remove(self, first: int, last: int) -> None:
        """Remove the cells ``first`` to ``last - 1``; the cells behind them move up.

        Raises:
            InvalidInputError: The range does not lie within the cells.
        """

    @abstractmethod
    def scores(self, terms: Sequence[str], emphasis: Emphasis | None = None) -> NDArray[np.float64]:
        """Return the score of every cell, (n_cells,); 0 where no term occurs.

        Args:
            terms: Of the question.
            emphasis: Tells how many times each term counts; None is plain BM25.
        """

    def _check_range(self, first: int, last: int) -> None:
        if not 0 <= first <= last <= self.n_cells:
            msg = f"cells {first} to {last} cannot be removed: there are {self.n_cells}"
            raise InvalidInputError(msg)


class RankBM25(BM25Okapi, BM25):  # type: ignore[misc]  # rank_bm25 carries no types
    """BM25 of ``rank_bm25``, made incremental.

    The scores are bit for bit those of the inherited ``get_scores``; inverted lists replace its loop over
    all cells. A removed cell keeps its place (*slot*) in the lists, where nothing reads it, until most
    slots are empty.
    """

    def __init__(self, cells: Sequence[Sequence[str]] = (), *, k1: float = K1, b: float = B) -> None:
        self._frequencies: Counter[str] = Counter()
        self._n_terms = 0
        # The inverted lists: slots and counts of a term, terms in each slot, slot of each cell.
        self._lists: dict[str, tuple[array[int], array[int]]]
        self._lengths: array[int]
        self._slots: NDArray[np.int64]
        self._clear_lists()
        super().__init__([], k1=k1, b=b)
        self.add(cells)

    @property
    def n_cells(self) -> int:
        """Number of cells held."""
        return len(self.doc_freqs)

    def add(self, cells: Sequence[Sequence[str]]) -> None:
        """Append cells; the cost depends on them only."""
        known = self.n_cells
        self._frequencies.update(self._initialize(cells))
        self._n_terms += sum(self.doc_len[known:])
        self._append_to_lists(known)
        self._update_average()

    def remove(self, first: int, last: int) -> None:
        """Remove the cells ``first`` to ``last - 1``; the cells behind them move up."""
        self._check_range(first, last)
        for counts in self.doc_freqs[first:last]:
            for term in counts:
                self._frequencies[term] -= 1
                if not self._frequencies[term]:
                    del self._frequencies[term], self._lists[term]
        self._n_terms -= sum(self.doc_len[first:last])
        self.corpus_size -= last - first
        del self.doc_freqs[first:last], self.doc_len[first:last]
        self._slots = np.delete(self._slots, slice(first, last))
        if 2 * self.n_cells < len(self._lengths):
            self._clear_lists()
            self._append_to_lists(0)
        self._update_average()

    def scores(self, terms: Sequence[str], emphasis: Emphasis | None = None) -> NDArray[np.float64]:
        """Return the score of every cell, (n_cells,); 0 where no term occurs."""
        return self.get_scores(terms, emphasis)

    def get_scores(self, query: Sequence[str], emphasis: Emphasis | None = None) -> NDArray[np.float64]:
        """Do what ``BM25Okapi.get_scores`` does, reading only the cells that hold a term."""
        total = np.zeros(len(self._lengths), np.float64)
        lengths = np.array(self._lengths)
        for term in query:
            if term not in self._lists:
                continue
            slots, counts = map(np.array, self._lists[term])
            norm = self.k1 * (1 - self.b + self.b * lengths[slots] / self.avgdl)
            idf = self.idf.get(term)
            if emphasis is not None:
                idf *= emphasis.weight(term, self._frequencies[term], self.corpus_size)
            total[slots] += idf * (counts * (self.k1 + 1) / (counts + norm))
        scores: NDArray[np.float64] = total[self._slots]
        return scores

    def _initialize(self, corpus: Sequence[Sequence[str]]) -> dict[str, int]:
        """Count terms; ``rank_bm25`` divides by the number of cells, which may be 0."""
        counted: dict[str, int] = super()._initialize(corpus) if corpus else {}
        return counted

    def _calc_idf(self, nd: object) -> None:
        self.idf = _LuceneIdf(self)

    def _update_average(self) -> None:
        self.avgdl = self._n_terms / max(self.corpus_size, 1)

    def _clear_lists(self) -> None:
        self._lists = {}
        self._lengths = array("i")
        self._slots = np.empty(0, np.int64)

    def _append_to_lists(self, first: int) -> None:
        """Give the cells from ``first`` on the next free slots."""
        free = len(self._lengths)
        for slot, counts in enumerate(self.doc_freqs[first:], free):
            for term, count in counts.items():
                if term not in self._lists:
                    self._lists[term] = (array("i"), array("i"))
                slots, numbers = self._lists[term]
                slots.append(slot)
                numbers.append(count)
        self._lengths.extend(self.doc_len[first:])
        self._slots = np.concatenate([self._slots, np.arange(free, len(self._lengths))])


class _LuceneIdf:
    """The ``idf`` table ``rank_bm25`` looks terms up in, computed on demand: it is never out of date."""

    def __init__(self, bm25: RankBM25) -> None:
        self._bm25 = bm25

    def get(self, term: str) -> float:
        n = self._bm25._frequencies[term]
        return _idf(n, self._bm25.corpus_size) if n else 0.0


class BM25S(BM25):
    """BM25 of the optional ``bm25s``: the scores of :class:`RankBM25` up to rounding.

    ``bm25s`` scores all terms in advance, so its matrix is built anew at the first query after a change.

    Raises:
        MissingDependencyError: ``bm25s`` is not installed.
    """

    def __init__(self, cells: Sequence[Sequence[str]] = (), *, k1: float = K1, b: float = B) -> None:
        try:
            bm25s = import_module("bm25s")
        except ImportError as error:
            msg = "BM25S needs the package bm25s: pip install 's3-retriever[bm25s]'"
            raise MissingDependencyError(msg) from error
        self._make = partial(bm25s.BM25, method="lucene", k1=k1, b=b, dtype="float64")
        self._scale = k1 + 1  # a constant factor that Lucene leaves out
        self._cells: list[list[str]] = []
        self._index: Any = None
        self.add(cells)

    @property
    def n_cells(self) -> int:
        """Number of cells held."""
        return len(self._cells)

    def add(self, cells: Sequence[Sequence[str]]) -> None:
        """Append cells."""
        self._cells.extend(map(list, cells))
        self._index = None

    def remove(self, first: int, last: int) -> None:
        """Remove the cells ``first`` to ``last - 1``; the cells behind them move up."""
        self._check_range(first, last)
        del self._cells[first:last]
        self._index = None

    def scores(self, terms: Sequence[str], emphasis: Emphasis | None = None) -> NDArray[np.float64]:
        """Return the score of every cell, (n_cells,); 0 where no term occurs."""
        if not terms or not any(self._cells):
            return np.zeros(self.n_cells)
        index = self._index
        if index is None:
            index = self._make()
            index.index(self._cells, create_empty_token=False, show_progress=False)
            self._index = index
        if emphasis is None:
            scores: NDArray[np.float64] = self._scale * index.get_scores(list(terms))
            return scores
        total = np.zeros(self.n_cells)
        for term in terms:
            found = index.get_scores([term])
            n = int(np.count_nonzero(found))
            if n:
                total += self._scale * emphasis.weight(term, n, self.n_cells) * found
        return total
