"""An immutable batch of documents with their postings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from s3_retriever.disk import hash_values
from s3_retriever.errors import IndexFormatError
from s3_retriever.index import postings
from s3_retriever.index.documents import IN_MEMORY, INDEX_AGAIN, DocumentStore, MappedFile, ascends, file_of
from s3_retriever.index.layout import BLOCK, CELL, Layout
from s3_retriever.index.metadata import MetadataColumns
from s3_retriever.index.terms import TermPostings
from s3_retriever.locks import cached_property

Array = npt.NDArray[Any]

ARRAYS = {
    "positions": np.uint16,
    "codes": np.uint8,
    "pointers": np.int64,
    "token_pointers": np.int64,
    "token_starts": np.uint32,
    "token_ids": np.uint32,
}
"""The arrays that make up a segment, beside documents, metadata and terms, with their types."""


class Segment:
    """Documents and the postings of their tokens; nothing in it ever changes.

    A *position* numbers a slot of the segment. Every document begins at a multiple of ``CELL``; the
    slots that this leaves empty are virtual. Postings are grouped by block of ``BLOCK`` positions,
    inside a block by tap and feature, inside a feature by position. Arrays may be memory-mapped.

    Attributes:
        layout: Taps and their sizes.
        documents: The D documents, in order.
        ids: Their ids.
        positions: uint16 (P,), position of each posting within its block.
        codes: uint8 (P,), its weight in units of ``layout.STEP``, at least 1.
        pointers: int64 (B, sum(n_features) + 1), where each feature's postings begin and end.
        token_pointers: int64 (D + 1,), where each document's ``token_starts`` begin and end.
        token_starts: uint32, character offset of each token in its document's text.
        token_ids: uint32, the host's id of each token.
        metadata: The documents' metadata by key.
        terms: The terms of their texts, by cell.

    Args:
        name: Its name, where it has one already.
        files: What its arrays are mapped from.

    Raises:
        IndexFormatError: The arrays contradict each other or the layout.
    """

    def __init__(
        self,
        layout: Layout,
        documents: DocumentStore,
        ids: Sequence[str],
        *,
        positions: Array,
        codes: Array,
        pointers: Array,
        token_pointers: Array,
        token_starts: Array,
        token_ids: Array,
        metadata: MetadataColumns,
        terms: TermPostings,
        name: str | None = None,
        files: Sequence[MappedFile] = (),
    ) -> None:
        self.layout = layout
        self.documents = documents
        self.ids = tuple(ids)
        self._source = file_of(positions)
        self.positions = postings.read_only(positions)
        self.codes = postings.read_only(codes)
        self.pointers = postings.read_only(pointers)
        self.token_pointers = postings.read_only(token_pointers)
        self.token_starts = postings.read_only(token_starts)
        self.token_ids = postings.read_only(token_ids)
        self.metadata = metadata
        self.terms = terms
        self._name = name
        self._files = tuple(files)
        self._check()

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents, padding not counted."""
        return len(self.token_starts)

    @property
    def n_cells(self) -> int:
        """Cells of all documents."""
        return int(self.cell_pointers[-1])

    @cached_property
    def cell_pointers(self) -> npt.NDArray[np.int64]:
        """int64 (D + 1,): document i has cells ``cell_pointers[i]:cell_pointers[i + 1]``."""
        cells = -(-np.diff(self.token_pointers) // CELL)
        return np.concatenate(([0], np.cumsum(cells))).astype(np.int64)

    @cached_property
    def cell_tokens(self) -> npt.NDArray[np.int32]:
        """int32 (n_cells,): tokens in each cell; only a document's last cell may have less than CELL."""
        tokens = np.full(self.n_cells, CELL, np.int32)
        n_tokens, n_cells = np.diff(self.token_pointers), np.diff(self.cell_pointers)
        last = self.cell_pointers[1:] - 1
        tokens[last[n_cells > 0]] = (n_tokens - (n_cells - 1) * CELL)[n_cells > 0]
        return tokens

    @cached_property
    def frequencies(self) -> npt.NDArray[np.int64]:
        """int64 (sum(n_features),): tokens that have each feature, taps side by side."""
        counts: npt.NDArray[np.int64] = np.diff(self.pointers, axis=1).sum(axis=0)
        return counts

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Place of each document id among the segment's documents."""
        return {key: i for i, key in enumerate(self.ids)}

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays: everything but the documents themselves."""
        arrays = sum(int(getattr(self, array).nbytes) for array in ARRAYS)
        return arrays + self.metadata.nbytes + self.terms.nbytes

    @cached_property
    def name(self) -> str:
        """A name derived from the content: equal segments have equal names (16 hexadecimal digits)."""
        if self._name is not None:
            return self._name
        # The metadata columns follow from the documents.
        arrays = [*(getattr(self, array) for array in ARRAYS), *self.terms.arrays.values()]
        return hash_values(repr(self.layout), *arrays, self.documents.utf8)[:16]

    def starts(self, document: int) -> npt.NDArray[np.uint32]:
        """Return the character offset of each token of one document, uint32."""
        return self.token_starts[self.token_pointers[document] : self.token_pointers[document + 1]]

    def own_ids(self, document: int) -> npt.NDArray[np.uint32]:
        """Return the host's id of each token of one document, uint32."""
        return self.token_ids[self.token_pointers[document] : self.token_pointers[document + 1]]

    def check_files(self) -> None:
        """Refuse a segment of whose files one has shrunk since it was loaded.

        Raises:
            IndexFormatError: Names the file.
        """
        for file in self._files:
            file.check()

    def check_tokens(self, document: int, text: str) -> None:
        """Refuse a document whose tokens do not lie in its text.

        Raises:
            IndexFormatError: They do not.
        """
        starts = self.starts(document)
        if len(starts) and not (int(starts[-1]) <= len(text) and (starts[1:] >= starts[:-1]).all()):
            self._contradict(f"tokens of document {self.ids[document]!r}")

    def _check(self) -> None:
        """Refuse arrays that would make a kernel read outside of them, in time linear in their size."""
        arrays = {array: getattr(self, array) for array in ARRAYS}
        if not all(
            arrays[array].dtype == dtype and arrays[array].ndim == 1 + (array == "pointers")
            for array, dtype in ARRAYS.items()
        ):
            self._contradict("types and shapes of the arrays")
        for what, sound in (
            ("documents", self._documents_fit),
            ("tokens", self._tokens_fit),
            ("pointers to postings", self._pointers_fit),
            ("postings", self._postings_fit),
        ):
            if not sound():
                self._contradict(what)

    def _documents_fit(self) -> bool:
        ids = [key for key in self.ids if isinstance(key, str) and key]
        return (
            len(set(ids)) == len(self.ids) == len(self)
            and self.metadata.n_documents == len(self)
            and len(self.token_pointers) == len(self) + 1
        )

    def _tokens_fit(self) -> bool:
        return (
            ascends(self.token_pointers, len(self.token_starts))
            and len(self.token_ids) == len(self.token_starts)
            and len(self.terms.cell_lengths) == self.n_cells
        )

    def _pointers_fit(self) -> bool:
        return (
            self.pointers.shape == (-(-self.n_cells * CELL // BLOCK), self.layout.feature_offsets[-1] + 1)
            and ascends(np.concatenate(([0], self.pointers.ravel())), len(self.positions))
            and np.array_equal(self.pointers[1:, 0], self.pointers[:-1, -1])
        )

    def _postings_fit(self) -> bool:
        """Whether no posting lies behind the last cell; only those of the last block can."""
        if len(self.positions) != len(self.codes):
            return False
        last = self.positions[self.pointers[-1, 0] :] if len(self.pointers) else self.positions
        end = self.n_cells * CELL - (len(self.pointers) - 1) * BLOCK
        return not len(last) or int(last.max()) < end

    def _contradict(self, what: str) -> NoReturn:
        where = "memory" if self._source == IN_MEMORY else Path(self._source).parent
        msg = f"the {what} of the segment in {where} contradict each other; {INDEX_AGAIN}"
        raise IndexFormatError(msg)
