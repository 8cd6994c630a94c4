"""Where the terms of a question stand in a snapshot: in which cells, and above which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.index.codes import TOGETHER
from s3_retriever.index.context import HEADING
from s3_retriever.index.designations import DESIGNATION
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.words import Asked

Int64 = npt.NDArray[np.int64]

MARKS = ("", HEADING)
"""Of terms in titles, paths and lines that open functions, and of those in headings."""

BEGINNING = 4
"""Cells of a document at its beginning: a designation that stands there is what the document is about."""


class Occurrences(NamedTuple):
    """The cells of a snapshot that have a term.

    Attributes:
        cells: int64 (n,), ascending.
        counts: int32 (n,), how often each has it.
    """

    cells: Int64
    counts: npt.NDArray[np.int32]


class Below(NamedTuple):
    """How much there is below a term.

    A document is one thing that is called so, however long it is; likewise what is below a code or a name of
    source code.

    Attributes:
        titled: Cells below titles, paths and lines that open functions.
        headed: Cells below headings.
        things_titled: The same as ``titled``, where what is one thing counts as one cell.
        things_headed: Likewise.
        documents: Those all of which are below it.
    """

    titled: int
    headed: int
    things_titled: int
    things_headed: int
    documents: int


class TermLookup:
    """Looks up the terms of one question, each once, and keeps what it found.

    Attributes:
        snapshot: What is searched.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._inside: dict[str, Occurrences] = {}
        self._above: dict[str, Int64] = {}
        self._below: dict[tuple[str, str, bool], Below] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        inside = sum(array.nbytes for found in self._inside.values() for array in found)
        return inside + sum(ranges.nbytes for ranges in self._above.values())

    def inside(self, term: str) -> Occurrences:
        """Return which cells have a term; of several words together, see :meth:`_together`.

        A designation's cells are those that it ends in.

        Raises:
            IndexFormatError: The postings name a cell that is not there.
        """
        if term not in self._inside and term.startswith(DESIGNATION):
            self._inside[term] = self._designated(term)
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

    def _designated(self, term: str) -> Occurrences:
        begins, ends = self.snapshot.ranges_above(term).T
        sizes = ends - begins
        cells = np.repeat(begins + sizes - np.cumsum(sizes), sizes) + np.arange(sizes.sum())
        return Occurrences(cells, np.ones(len(cells), np.int32))

    def _together(self, words: Sequence[str]) -> Occurrences:
        """Return which cells have all of some words, or have them with the one before, where neither has all.

        Of two cells it is the second one: whoever is given a number mostly goes on behind it, and the first
        one may be of somebody else for the most part.
        """
        n = self.snapshot.n_cells
        have, near = np.ones(n + 1, np.bool_), np.ones(n, np.bool_)
        for word in words:
            has = np.zeros(n + 1, np.bool_)
            has[self.inside(word).cells] = True
            have &= has
            near &= has[:-1] | has[1:]
        ends = self.snapshot.document_cells[1:]
        near[ends[ends > 0] - 1] = False  # the next cell is another document's
        near &= ~(have[:-1] | have[1:])
        cells = np.flatnonzero(have[:-1] | np.concatenate([[False], near[:-1]]))
        return Occurrences(cells, np.ones(len(cells), np.int32))

    def above(self, term: str, mark: str) -> Int64:
        """Return above which cells a term stands, int64 (n, 2): ranges, each one's first and its end.

        A designation at the beginning of a document stands above all of it, as in its title.

        Args:
            term: Of several words together, all of them stand there.
            mark: Of where it stands.

        Raises:
            IndexFormatError: The postings are none of ranges.
        """
        if mark + term not in self._above:
            words = term.removeprefix(DESIGNATION).split(TOGETHER)
            ranges = [self.snapshot.ranges_above(mark + word) for word in words]
            found = ranges[0] if len(ranges) == 1 else self._in_all(ranges)
            begun = not mark and term.startswith(DESIGNATION)
            self._above[mark + term] = self._with_begun(term, found) if begun else found
        return self._above[mark + term]

    def _with_begun(self, term: str, ranges: Int64) -> Int64:
        """Add the documents at whose beginning a designation stands to ranges of cells, which ascend."""
        borders, cells = self.snapshot.document_cells, self.inside(term).cells
        documents = np.searchsorted(borders, cells, side="right") - 1
        begun = np.unique(documents[cells - borders[documents] < BEGINNING])
        others = ~np.isin(np.searchsorted(borders, ranges[:, 0], side="right") - 1, begun)
        found = np.concatenate([ranges[others], np.stack([borders[begun], borders[begun + 1]], axis=1)])
        return found[np.argsort(found[:, 0], kind="stable")]

    def _in_all(self, ranges: Sequence[Int64]) -> Int64:
        """Return the ranges of cells that lie in ranges of each of several lists, cut where documents end."""
        inside = np.ones(self.snapshot.n_cells, np.bool_)
        for some in ranges:
            steps = np.zeros(len(inside) + 1, np.int64)
            np.add.at(steps, some[:, 0], 1)
            np.add.at(steps, some[:, 1], -1)
            inside &= np.cumsum(steps[:-1]) > 0
        begins = np.zeros(len(inside) + 1, np.bool_)
        begins[self.snapshot.document_cells] = True
        around = np.concatenate([[False], inside, [False]])
        firsts = np.flatnonzero(inside & (begins[:-1] | ~around[:-2]))
        lasts = np.flatnonzero(inside & (begins[1:] | ~around[2:]))
        return np.stack([firsts, lasts + 1], axis=1)

    def below(self, term: str, mark: str) -> Int64:
        """Return what :meth:`above` does without empty ranges, which are of deleted documents."""
        ranges = self.above(term, mark)
        return ranges[ranges[:, 0] < ranges[:, 1]]

    def _are_documents(self, ranges: Int64) -> npt.NDArray[np.bool_]:
        """Tell which ranges of cells, none of them empty, are all of a document."""
        borders = self.snapshot.document_cells
        documents = np.searchsorted(borders, ranges[:, 0], side="right") - 1
        are_whole: npt.NDArray[np.bool_] = (
            ranges == np.stack([borders[documents], borders[documents + 1]], 1)
        ).all(1)
        return are_whole

    def n_exact(self, term: Asked) -> int:
        """Return how many cells have the word that a term is a weaker form of; 0 where it is none."""
        return len(self.inside(term.exact).cells) if term.exact else 0

    def n_below(self, term: Asked) -> Below:
        """Return how much there is below a term, and below the word of which it is a weaker form."""
        key = term.term, term.exact, term.is_name
        if key not in self._below:
            self._below[key] = self._counted_below(term)
        return self._below[key]

    def _counted_below(self, term: Asked) -> Below:
        cells, things, documents = [0, 0], [0, 0], 0
        for one in filter(None, (term.term, term.exact)):
            for side, mark in enumerate(MARKS):
                ranges = self.below(one, mark)
                if len(ranges):
                    are_documents, sizes = self._are_documents(ranges), ranges[:, 1] - ranges[:, 0]
                    cells[side] += int(sizes.sum())
                    things[side] += int(np.where(are_documents | term.is_name, 1, sizes).sum())
                    documents += int(are_documents.sum())
        return Below(cells[0], cells[1], things[0], things[1], documents)
