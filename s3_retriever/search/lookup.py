"""Where the terms of a question stand in a snapshot: in which cells, and above which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.index.codes import TOGETHER
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.words import Asked

Int64 = npt.NDArray[np.int64]


class Occurrences(NamedTuple):
    """The cells of a snapshot that have a term.

    Attributes:
        cells: int64 (n,), ascending.
        counts: int32 (n,), how often each has it.
    """

    cells: Int64
    counts: npt.NDArray[np.int32]


class TermLookup:
    """Looks up the terms of one question, each once, and keeps what it found.

    Attributes:
        snapshot: What is searched.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._inside: dict[str, Occurrences] = {}
        self._above: dict[str, Int64] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        inside = sum(array.nbytes for found in self._inside.values() for array in found)
        return inside + sum(ranges.nbytes for ranges in self._above.values())

    def inside(self, term: str) -> Occurrences:
        """Return which cells have a term; of several words together, see :meth:`_together`.

        Raises:
            IndexFormatError: The postings name a cell that is not there.
        """
        if term not in self._inside and TOGETHER in term:
            self._inside[term] = self._together(term.split(TOGETHER))
        if term not in self._inside:
            cells, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
            first = 0
            for part in self.snapshot.parts:
                own, own_counts = part.term_cells(term)
                cells.append(own + first)
                counts.append(own_counts)
                first += len(part.cells)
            self._inside[term] = Occurrences(np.concatenate(cells), np.concatenate(counts))
        return self._inside[term]

    def _together(self, words: Sequence[str]) -> Occurrences:
        """Return which cells have all of some words, or have them with the next, where neither has all."""
        n = self.snapshot.n_cells
        have, near = np.ones(n + 1, np.bool_), np.ones(n, np.bool_)
        for word in words:
            has = np.zeros(n + 1, np.bool_)
            has[self.inside(word).cells] = True
            have &= has
            near &= has[:-1] | has[1:]
        ends = self.snapshot.document_cells[1:]
        near[ends[ends > 0] - 1] = False  # the next cell is another document's
        cells = np.flatnonzero(have[:-1] | (near & ~have[1:]))
        return Occurrences(cells, np.ones(len(cells), np.int32))

    def above(self, term: str, mark: str) -> Int64:
        """Return above which cells a term stands, int64 (n, 2): ranges, each one's first and its end.

        Args:
            term: Of several words together, all of them stand there.
            mark: Of where it stands.

        Raises:
            IndexFormatError: The postings are none of ranges.
        """
        if mark + term not in self._above:
            ranges = [self.snapshot.ranges_above(mark + word) for word in term.split(TOGETHER)]
            self._above[mark + term] = ranges[0] if len(ranges) == 1 else self._in_all(ranges)
        return self._above[mark + term]

    def _in_all(self, ranges: Sequence[Int64]) -> Int64:
        """Return the ranges of cells that lie in ranges of each of several lists."""
        inside = np.ones(self.snapshot.n_cells, np.bool_)
        for some in ranges:
            steps = np.zeros(len(inside) + 1, np.int64)
            np.add.at(steps, some[:, 0], 1)
            np.add.at(steps, some[:, 1], -1)
            inside &= np.cumsum(steps[:-1]) > 0
        return np.flatnonzero(np.diff(inside, prepend=False, append=False)).reshape(-1, 2)

    def n_exact(self, term: Asked) -> int:
        """Return how many cells have the word that a term is a weaker form of; 0 where it is none."""
        return len(self.inside(term.exact).cells) if term.exact else 0

    def n_above(self, term: Asked, mark: str) -> int:
        """Return above how many cells a term stands, and the word of which it is a weaker form."""
        ranges = [self.above(one, mark) for one in (term.term, term.exact) if one]
        return sum(int((own[:, 1] - own[:, 0]).sum()) for own in ranges)
