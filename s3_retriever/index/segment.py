"""An immutable batch of documents with their postings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.disk import hash_values
from s3_retriever.errors import IndexFormatError
from s3_retriever.index import postings
from s3_retriever.index.documents import DocumentStore
from s3_retriever.index.layout import BLOCK, CELL, Layout
from s3_retriever.index.metadata import MetadataColumns, ascends
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
    ) -> None:
        self.layout = layout
        self.documents = documents
        self.ids = tuple(ids)
        self.positions = postings.read_only(positions)
        self.codes = postings.read_only(codes)
        self.pointers = postings.read_only(pointers)
        self.token_pointers = postings.read_only(token_pointers)
        self.token_starts = postings.read_only(token_starts)
        self.token_ids = postings.read_only(token_ids)
        self.metadata = metadata
        self.terms = terms
        self._name = name
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

    def _check(self) -> None:
        """Refuse arrays that would make a kernel read outside of them."""
        arrays = {array: getattr(self, array) for array in ARRAYS}
        sound = (
            all(arrays[array].dtype == dtype for array, dtype in ARRAYS.items())
            and all(values.ndim == 1 + (array == "pointers") for array, values in arrays.items())
            and self.pointers.shape[1] == self.layout.feature_offsets[-1] + 1
            and len(self.ids) == len(self.token_pointers) - 1 == len(self)
            and self.metadata.n_documents == len(self)
            and len(self.terms.cell_lengths) == self.n_cells
            and ascends(self.token_pointers, len(self.token_starts))
            and len(self.token_ids) == len(self.token_starts)
            and len(self.pointers) == -(-self.n_cells * CELL // BLOCK)
            and ascends(np.concatenate(([0], self.pointers.ravel())), len(self.positions))
            and np.array_equal(self.pointers[1:, 0], self.pointers[:-1, -1])
            and len(self.positions) == len(self.codes)
            and self.documents.offsets.dtype == np.int64
            and ascends(self.documents.offsets, len(self.documents.utf8))
        )
        if not sound:
            msg = f"the arrays of a segment of {len(self)} documents contradict each other; index them again"
            raise IndexFormatError(msg)
