"""BM25 kept in step with an index: the scores of any snapshot's cells."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError
from s3_retriever.index.segment import Segment
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.bm25 import BM25, BM25S, Emphasis, RankBM25
from s3_retriever.search.cells import cell_terms
from s3_retriever.search.text import words

BACKENDS: dict[str, type[RankBM25] | type[BM25S]] = {"rank_bm25": RankBM25, "bm25s": BM25S}
"""What can serve BM25, by name."""


class _Held(NamedTuple):
    """A document whose cells BM25 holds: its segment, its number there, its number of cells."""

    segment: Segment
    number: int
    cells: int


class LexicalIndex:
    """Scores the cells of the snapshot a search reads, re-reading only documents that changed.

    Threads may share it: each search brings it to its own snapshot and is answered under one lock.

    Args:
        backend: A key of :data:`BACKENDS`.

    Raises:
        InvalidInputError: There is no such backend.
        MissingDependencyError: Its package is not installed.
    """

    def __init__(self, backend: str = "rank_bm25") -> None:
        if backend not in BACKENDS:
            msg = f"there is no BM25 backend {backend!r}; choose one of {', '.join(BACKENDS)}"
            raise InvalidInputError(msg)
        self._make = BACKENDS[backend]
        self._bm25: BM25 = self._make()
        self._held: list[_Held] = []
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()

    def scores(
        self, snapshot: Snapshot, question: str, emphasis: Emphasis | None = None
    ) -> npt.NDArray[np.float64]:
        """Return BM25 of every cell, float64 (snapshot.n_cells,); plain BM25 without an emphasis."""
        terms = [term for term, _ in words(question)]
        with self._lock:
            if snapshot is not self._snapshot:
                try:
                    self._follow(snapshot)
                except BaseException:  # what is held is not consistent any more
                    self._bm25, self._held, self._snapshot = self._make(), [], None
                    raise
            return self._bm25.scores(terms, emphasis)

    def _follow(self, snapshot: Snapshot) -> None:
        """Drop documents that are gone and append new ones; those that stay keep their order."""
        sizes = np.diff(snapshot.document_cells).tolist()
        wanted = [(part.segment, int(number)) for part in snapshot.parts for number in part.live]
        kept: list[_Held] = []
        first = 0
        for held in self._held:
            if len(kept) < len(wanted) and held[:2] == wanted[len(kept)]:
                kept.append(held)
                first += held.cells
            else:
                self._bm25.remove(first, first + held.cells)
        cells: list[list[str]] = []
        for number in range(len(kept), len(wanted)):
            text = snapshot.document(number).text
            cells += cell_terms(text, snapshot.token_starts(number))
            kept.append(_Held(*wanted[number], sizes[number]))
        self._bm25.add(cells)
        self._held, self._snapshot = kept, snapshot
