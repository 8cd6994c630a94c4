"""Postings of terms: which cells of a segment have a term, and how often.

The cells of each term stand as *gaps*: the cell of every occurrence, ascending, less the one before it (the
first less 0), so that a second occurrence in a cell has the gap 0. A gap is written as one byte per seven
bits, the lowest first; all but its last byte have 128 added (LEB128).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import IndexFormatError
from s3_retriever.index import postings
from s3_retriever.index.documents import INDEX_AGAIN, file_of
from s3_retriever.index.referring import NAME, named, spelled
from s3_retriever.index.related import beginning, related_numbers
from s3_retriever.index.spool import Spool
from s3_retriever.index.words import cell_terms

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

ARRAYS = ("term_text", "term_lengths", "term_cells", "term_gap_bytes", "cell_lengths")
"""The arrays that make up the postings of terms of a segment; see :class:`TermPostings`."""

_PIECE = 1 << 20  # bytes of postings read at a time


class TermPostings:
    """The V terms of a segment and their occurrences in its cells; nothing in it ever changes.

    Attributes:
        arrays: By their names in :data:`ARRAYS`, maybe memory-mapped. Those of whole numbers have the
            smallest unsigned type that holds them:

            - ``term_text``: uint8, the terms in UTF-8, ascending, one after the other.
            - ``term_lengths``: (V,), bytes of each.
            - ``term_cells``: uint8, the gaps of each term.
            - ``term_gap_bytes``: (V,), bytes of those of each.
            - ``cell_lengths``: (n_cells,), terms in each cell.

    Raises:
        IndexFormatError: The arrays contradict each other.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._source = file_of(arrays["term_cells"])
        self.arrays = {name: postings.read_only(values) for name, values in arrays.items()}
        self._check()
        self._offsets, self._pointers = map(_pointers, self._sizes)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __iter__(self) -> Iterator[str]:
        """Yield the terms, ascending."""
        return map(self.term, range(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(values.nbytes) for values in self.arrays.values())

    @property
    def cell_lengths(self) -> Array:
        """Terms in each cell, unsigned (n_cells,)."""
        return self.arrays["cell_lengths"]

    def term(self, number: int) -> str:
        """Return a term by its number.

        Raises:
            IndexFormatError: It is no text.
        """
        try:
            return self._utf8(number).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self.contradict()

    def cells(self, term: str) -> Int64:
        """Return the cell of each occurrence of a term, int64 (n,), ascending; empty where no cell has it.

        Raises:
            IndexFormatError: The gaps name a cell that is not there.
        """
        number = self._number(term)
        return (
            self._restored(self._pointers[number : number + 2])[1] if number >= 0 else np.empty(0, np.int64)
        )

    def counted(self, term: str, before: Int64 | None = None) -> tuple[Int64, npt.NDArray[np.int32]]:
        """Return the cells of a term, int64 (n,), ascending, and how often each has it, int32 (n,).

        Args:
            term: The term.
            before: int64 (n_cells + 1,), how many cells before each one count, and all that do; the others
                are left out, and cells are numbered without them. None: all count.

        Raises:
            IndexFormatError: The gaps name a cell that is not there.
        """
        number = self._number(term)
        if number < 0:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        cells, counts, sound = postings.count_term(
            self.arrays["term_cells"],
            self._pointers[number : number + 2],
            len(self.cell_lengths),
            np.empty(0, np.int64) if before is None else before,
        )
        if not sound:
            self.contradict()
        return cells, counts

    def related(self, term: str) -> list[str]:
        """Return the terms that are related to one, ascending; see :mod:`s3_retriever.index.related`.

        Raises:
            IndexFormatError: One is no text.
        """
        start = beginning(term).encode("utf-8", "surrogatepass")
        if not start:
            return []
        first, _ = self._place(start)
        end, _ = self._place(start + b"\xff")  # which stands in no text
        key = np.frombuffer(term.encode("utf-8", "surrogatepass"), np.uint8)
        numbers = related_numbers(self.arrays["term_text"], self._offsets[first : end + 1], key)
        return [self.term(first + number) for number in numbers.tolist()]

    def names(self, text: Sequence[str]) -> list[str]:
        """Return the names that stand in a text; see :mod:`s3_retriever.index.referring`.

        Args:
            text: Its words, as of ``name_words``.

        Raises:
            IndexFormatError: One is no text.
        """
        first, _ = self._place(NAME.encode())
        end, _ = self._place(NAME.encode() + b"\xff")  # which stands in no text
        numbers = named(self.arrays["term_text"], self._offsets[first : end + 1], *spelled(text))
        return [self.term(first + number) for number in numbers.tolist()]

    def occurrences(self) -> Iterator[tuple[npt.NDArray[np.uint32], Int64]]:
        """Yield all occurrences by term and cell: numbers of terms, uint32 (n,), and cells, int64 (n,).

        Raises:
            IndexFormatError: The gaps name a cell that is not there.
        """
        pointers = self._pointers
        first = 0
        while first < len(self):
            end = int(np.searchsorted(pointers, pointers[first] + _PIECE, side="right")) - 1
            end = max(end, first + 1)
            numbers, cells = self._restored(pointers[first : end + 1])
            yield numbers + np.uint32(first), cells
            first = end

    def _number(self, term: str) -> int:
        """Return the number of a term, or -1."""
        number, is_there = self._place(term.encode("utf-8", "surrogatepass"))
        return number if is_there else -1

    def _place(self, utf8: bytes) -> tuple[int, bool]:
        """Return how many terms are less than some bytes, and whether the next one is those."""
        place: tuple[int, bool] = postings.term_place(
            self.arrays["term_text"], self._offsets, np.frombuffer(utf8, np.uint8)
        )
        return place

    def _restored(self, pointers: Int64) -> tuple[npt.NDArray[np.uint32], Int64]:
        """Return the occurrences of some terms side by side, the terms numbered from 0."""
        numbers, cells = postings.restore_terms(self.arrays["term_cells"], pointers)
        if len(cells) and not 0 <= cells.min() <= cells.max() < len(self.cell_lengths):
            self.contradict()
        return numbers, cells

    @property
    def _sizes(self) -> tuple[Array, Array]:
        return self.arrays["term_lengths"], self.arrays["term_gap_bytes"]

    def _utf8(self, number: int) -> bytes:
        begin, end = self._offsets[number : number + 2].tolist()
        return self.arrays["term_text"][begin:end].tobytes()

    def _check(self) -> None:
        lengths, gap_bytes = self._sizes
        text, cells = self.arrays["term_text"], self.arrays["term_cells"]
        sound = (
            all(values.ndim == 1 and values.dtype.kind == "u" for values in self.arrays.values())
            and text.dtype == cells.dtype == np.uint8
            and len(lengths) == len(gap_bytes)
            and lengths.max(initial=0) <= len(text) == lengths.sum(dtype=np.uint64)
            and gap_bytes.max(initial=0) <= len(cells) == gap_bytes.sum(dtype=np.uint64)
            and self._occurrences_are_counted()
        )
        if not sound:
            self.contradict()

    def _occurrences_are_counted(self) -> bool:
        """Whether the lengths of the cells add up to the occurrences; each ends with a byte below 128."""
        occurrences = int(np.count_nonzero(self.arrays["term_cells"] < 128))
        return float(self.cell_lengths.sum(dtype=np.float64)) == occurrences

    def contradict(self) -> NoReturn:
        """Say that arrays are damaged.

        Raises:
            IndexFormatError: Always.
        """
        n_cells = len(self.cell_lengths) if self.cell_lengths.ndim else 0
        what = f"{self._source} and the terms beside it, of {n_cells} cells,"
        msg = f"{what} contradict each other; {INDEX_AGAIN}"
        raise IndexFormatError(msg)


def _pointers(sizes: Array) -> Int64:
    """Return where things of these sizes begin and end, int64 (n + 1,)."""
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


class TermBuilder:
    """Builds the postings of terms of a segment, document by document.

    Occurrences wait in temporary files; only the vocabulary is in memory.
    """

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__  # a new term gets the next number
        self._terms_out = Spool(np.uint32)
        self._cells_out = Spool(np.uint32)
        self._n_cells = 0

    def add(self, text: str, cell_starts: npt.NDArray[np.integer]) -> None:
        """Append a document.

        Args:
            text: The document.
            cell_starts: int (c,), offset of the first character of each of its cells, ascending.
        """
        self.append(cell_terms(text, cell_starts), len(cell_starts))

    def append(self, pieces: Iterable[tuple[list[str], Int64]], n_cells: int) -> None:
        """Append a document whose terms are cut.

        Args:
            pieces: n terms each, and int64 (n,), the cell of each; those of a term ascend.
            n_cells: Cells of the document.
        """
        for terms, cells in pieces:
            self._terms_out.append(np.array([self._numbers[term] for term in terms], np.uint32))
            self._cells_out.append(cells + self._n_cells)
        self._n_cells += n_cells

    def extend(self, terms: TermPostings, live_cells: npt.NDArray[np.bool_]) -> None:
        """Append the cells of a segment for which ``live_cells`` (bool (n_cells,)) is true."""
        places = np.cumsum(live_cells) - 1 + self._n_cells
        for numbers, cells in terms.occurrences():
            live = live_cells[cells]
            used, inverse = np.unique(numbers[live], return_inverse=True)
            recoded = np.array([self._numbers[terms.term(number)] for number in used.tolist()], np.uint32)
            self._terms_out.append(recoded[inverse])
            self._cells_out.append(places[cells[live]])
        self._n_cells += int(live_cells.sum())

    def build(self) -> TermPostings:
        """Return the postings; nothing more can be appended."""
        terms = sorted(self._numbers)  # by code points, which is by the bytes of UTF-8
        ranks = np.empty(len(terms), np.uint32)
        ranks[[self._numbers[term] for term in terms]] = np.arange(len(terms), dtype=np.uint32)
        utf8 = [term.encode("utf-8", "surrogatepass") for term in terms]
        cells, pointers, lengths = postings.invert_terms(
            self._terms_out.take(), self._cells_out.take(), ranks, self._n_cells
        )
        return TermPostings(
            {
                "term_text": np.frombuffer(b"".join(utf8), np.uint8),
                "term_lengths": postings.smallest(np.array([*map(len, utf8)], np.int64)),
                "term_cells": cells,
                "term_gap_bytes": postings.smallest(np.diff(pointers)),
                "cell_lengths": postings.smallest(lengths),
            }
        )
