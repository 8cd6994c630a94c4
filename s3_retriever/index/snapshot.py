"""One consistent version of an index: what a search reads while others add and delete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check, instance
from s3_retriever.documents import Document
from s3_retriever.errors import UnknownDocumentError
from s3_retriever.index.context import TABLE
from s3_retriever.index.layout import Layout
from s3_retriever.index.postings import cells_of_tokens
from s3_retriever.index.related import nearest
from s3_retriever.index.segment import Segment
from s3_retriever.locks import cached_property
from s3_retriever.structure import Units

Int64 = npt.NDArray[np.int64]


class LiveSegment:
    """A segment and which of its documents are live.

    Attributes:
        segment: The segment.
        alive: bool (D,).
        live: int64, the numbers of the live documents.
        live_cells: bool (segment.n_cells,), whether each cell is of a live document.
        cells: int64, the numbers of those cells.
    """

    def __init__(self, segment: Segment, alive: npt.NDArray[np.bool_] | None = None) -> None:
        self.segment = segment
        self.alive = np.ones(len(segment), np.bool_) if alive is None else alive
        self.alive.flags.writeable = False
        self.live: Int64 = np.flatnonzero(self.alive)
        self.live_cells = self._by_cell(self.alive)
        self.cells: Int64 = np.flatnonzero(self.live_cells)

    def __len__(self) -> int:
        return len(self.live)

    @property
    def whole(self) -> bool:
        """Whether no document was deleted."""
        return len(self.live) == len(self.segment)

    @cached_property
    def cells_before(self) -> Int64:
        """int64 (segment.n_cells + 1,): live cells before each cell, and all of them."""
        return np.concatenate(([0], np.cumsum(self.live_cells, dtype=np.int64)))

    @cached_property
    def frequencies(self) -> Int64:
        """int64 (sum(n_features),): tokens of live documents that have each feature."""
        counts = self.segment.frequencies
        if self.whole:
            return counts
        return counts - self.segment.features.frequencies_in(~self.live_cells)

    @cached_property
    def cells_of_tokens(self) -> Int64:
        """int64 (V,): live cells that hold each token; ids from V on are held by none."""
        segment = self.segment
        return cells_of_tokens(segment.token_ids, segment.token_pointers, self.live)

    @cached_property
    def n_terms(self) -> int:
        """Terms of live documents, repeated ones counted."""
        return int(self.segment.terms.cell_lengths[self.live_cells].sum(dtype=np.int64))

    def term_cells(self, term: str) -> tuple[Int64, npt.NDArray[np.int32]]:
        """Return which of the live cells have a term, int64 (n,), ascending, and how often, int32 (n,).

        Raises:
            IndexFormatError: The postings name a cell that is not there.
        """
        return self.segment.terms.counted(term, None if self.whole else self.cells_before)

    def term_ranges(self, term: str) -> Int64:
        """Return above which of the live cells a marked term stands, int64 (n, 2): ranges, first and end.

        Raises:
            IndexFormatError: The postings are none of ranges.
        """
        context = self.segment.context
        borders = context.cells(term)
        if len(borders) % 2:
            context.contradict()
        ranges: Int64 = borders.reshape(-1, 2) + np.array([0, 1])
        return ranges if self.whole or not len(ranges) else self.cells_before[ranges]

    def related_terms(self, term: str) -> list[str]:
        """Return the terms of live cells that are related to one, the nearest, ascending."""
        found = self.segment.terms.related(term)
        return nearest(term, found if self.whole else [one for one in found if len(self.term_cells(one)[0])])

    def named_ranges(self, text: Sequence[str]) -> Iterator[tuple[str, Int64]]:
        """Yield the names that stand in a text, and the live cells of what each names, as ``term_ranges``.

        Raises:
            IndexFormatError: The postings are none of ranges.
        """
        for name in self.segment.context.names(text):
            ranges = self.term_ranges(name)
            yield name, ranges[ranges[:, 0] < ranges[:, 1]]

    def find(self, doc_id: str) -> int | None:
        """Return a live document's place among the live ones, if it is here."""
        number = self.segment.numbers.get(doc_id)
        if number is None or not self.alive[number]:
            return None
        return int(np.searchsorted(self.live, number))

    def without(self, doc_ids: set[str]) -> LiveSegment:
        """Return the part with some of its documents deleted; ids that are not here are ignored."""
        numbers = self.segment.numbers
        dead = [numbers[key] for key in doc_ids if key in numbers]
        if not dead:
            return self
        alive = self.alive.copy()
        alive[dead] = False
        return LiveSegment(self.segment, alive)

    def _by_cell(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return np.repeat(chosen, np.diff(self.segment.cell_pointers))


class Snapshot:
    """The live documents of an index, numbered in order of addition.

    Cells of live documents are numbered without gaps too; deleted ones do not show anywhere.

    Attributes:
        layout: Taps and their sizes.
        parts: The segments with their live documents.
    """

    def __init__(self, layout: Layout, parts: Sequence[LiveSegment] = ()) -> None:
        self.layout = layout
        self.parts = tuple(parts)
        self._firsts = np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and any(part.find(doc_id) is not None for part in self.parts)

    def __iter__(self) -> Iterator[Document]:
        """Yield the live documents, one at a time."""
        return (self.document(i) for i in range(len(self)))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, in order."""
        return tuple(part.segment for part in self.parts)

    @property
    def alive(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Per segment, bool (D,): which documents are live."""
        return tuple(part.alive for part in self.parts)

    @property
    def n_documents(self) -> int:
        """Live documents."""
        return len(self)

    @property
    def n_cells(self) -> int:
        """Cells of live documents."""
        return sum(len(part.cells) for part in self.parts)

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of live documents."""
        return int(self.cell_tokens.sum())

    @cached_property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of the live documents, in order."""
        return tuple(part.segment.ids[i] for part in self.parts for i in part.live)

    @cached_property
    def document_cells(self) -> Int64:
        """int64 (n_documents + 1,): document i has cells ``document_cells[i]:document_cells[i + 1]``."""
        counts = [np.diff(part.segment.cell_pointers)[part.live] for part in self.parts]
        return np.cumsum(np.concatenate([np.zeros(1, np.int64), *counts]))

    @cached_property
    def cell_tokens(self) -> npt.NDArray[np.int32]:
        """int32 (n_cells,): tokens in each cell."""
        tokens = [part.segment.cell_tokens[part.cells] for part in self.parts]
        return np.concatenate([np.zeros(0, np.int32), *tokens])

    @cached_property
    def cell_terms(self) -> npt.NDArray[np.unsignedinteger]:
        """Unsigned (n_cells,): terms in each cell, repeated ones counted."""
        terms = [part.segment.terms.cell_lengths[part.cells] for part in self.parts]
        return np.concatenate([np.zeros(0, np.uint8), *terms])

    @cached_property
    def document_characters(self) -> Int64:
        """int64 (n_documents,): characters of each document before its last token."""
        counts = [part.segment.document_characters[part.live] for part in self.parts]
        return np.concatenate([np.zeros(0, np.int64), *counts])

    @cached_property
    def are_code(self) -> npt.NDArray[np.bool_]:
        """Whether each document is source code: bool (n_documents,)."""
        flags = [part.segment.units.are_code[part.live] for part in self.parts]
        return np.concatenate([np.zeros(0, np.bool_), *flags])

    def ranges_above(self, term: str) -> Int64:
        """Return above which cells a marked term stands, int64 (n, 2): ranges, each one's first and its end.

        Raises:
            IndexFormatError: The postings are none of ranges.
        """
        ranges, first = [np.zeros((0, 2), np.int64)], 0
        for part in self.parts:
            ranges.append(part.term_ranges(term) + first)
            first += len(part.cells)
        return np.concatenate(ranges)

    @cached_property
    def tables(self) -> Int64:
        """int64 (n, 2): the first cell of each table and its end; of a deleted one, both are the same."""
        return self.ranges_above(TABLE)

    @cached_property
    def n_terms(self) -> int:
        """Terms of live documents, repeated ones counted."""
        return sum(part.n_terms for part in self.parts)

    @cached_property
    def cells_of_tokens(self) -> Int64:
        """int64 (V,): cells that hold each token; ids from V on are held by none."""
        counts = [part.cells_of_tokens for part in self.parts]
        total = np.zeros(max(map(len, counts), default=0), np.int64)
        for own in counts:
            total[: len(own)] += own
        return total

    @property
    def metadata_keys(self) -> set[str]:
        """Keys of the metadata of all documents, deleted ones included."""
        return {name for part in self.parts for name in part.segment.metadata.keys}

    def has_key(self, key: str) -> bool:
        """Whether the metadata of a live document has a key."""
        columns = ((part.alive, part.segment.metadata.column(key)) for part in self.parts)
        return any(column is not None and alive[column.documents].any() for alive, column in columns)

    def find(self, doc_id: str) -> int:
        """Return the number of the document with an id.

        Raises:
            InvalidInputError: It is no text.
            UnknownDocumentError: No live document has it.
        """
        check("a document's id", doc_id, instance(str, "a str"))
        for part, first in zip(self.parts, self._firsts, strict=False):
            place = part.find(doc_id)
            if place is not None:
                return int(first) + place
        msg = f"no document has the id {doc_id!r}"
        raise UnknownDocumentError(msg)

    def doc_id(self, document: int) -> str:
        """Return the id of a document by its number."""
        segment, i = self.place(document)
        return segment.ids[i]

    def document(self, document: int) -> Document:
        """Read a document by its number."""
        segment, i = self.place(document)
        return segment.documents[i]

    def checked_document(self, document: int) -> Document:
        """Read a document by its number, and make sure that its tokens and units lie in its text.

        Raises:
            IndexFormatError: They do not, or its line is no document.
        """
        segment, i = self.place(document)
        read = segment.documents[i]
        segment.check_tokens(i, read.text)
        return read

    def token_starts(self, document: int) -> npt.NDArray[np.uint32]:
        """Return uint32 (n,): the character offset of each token of a document."""
        segment, i = self.place(document)
        return segment.starts(i)

    def units(self, document: int) -> Units:
        """Return the units of a document."""
        segment, i = self.place(document)
        return segment.units.of(i)

    def related_terms(self, term: str) -> list[str]:
        """Return the terms of the live documents that are related to one, the nearest, ascending."""
        return nearest(term, {one for part in self.parts for one in part.related_terms(term)})

    def named_ranges(self, text: Sequence[str]) -> Iterator[tuple[str, Int64]]:
        """Yield names that stand in a text, and which cells are below each: int64 (n, 2), first and end.

        A name may come once for each part.

        Args:
            text: Its words, as of ``name_words``.
        """
        first = 0
        for part in self.parts:
            for name, ranges in part.named_ranges(text):
                yield name, ranges + first
            first += len(part.cells)

    def frequencies(self, tap: int) -> Int64:
        """Return int64 (n_features,): live tokens that have each feature of a tap.

        Summed over the segments on demand, so they equal those of an index built from scratch.
        """
        columns = slice(*self.layout.feature_offsets[tap : tap + 2])
        counts = np.zeros(self.layout.n_features[tap], np.int64)
        for part in self.parts:
            counts += part.frequencies[columns]
        return counts

    def place(self, document: int) -> tuple[Segment, int]:
        """Return the segment of a document and its number there."""
        if not 0 <= document < len(self):
            msg = f"document number {document} is not in 0..{len(self) - 1}"
            raise IndexError(msg)
        number = int(np.searchsorted(self._firsts, document, side="right")) - 1
        part = self.parts[number]
        return part.segment, int(part.live[document - self._firsts[number]])
