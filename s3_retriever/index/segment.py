"""An immutable batch of documents with their postings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from s3_retriever.disk import hash_values
from s3_retriever.errors import IndexFormatError
from s3_retriever.index import postings
from s3_retriever.index.documents import IN_MEMORY, INDEX_AGAIN, DocumentStore, MappedFile, ascends, file_of
from s3_retriever.index.features import FeaturePostings
from s3_retriever.index.layout import CELL, Layout
from s3_retriever.index.metadata import MetadataColumns
from s3_retriever.index.terms import TermPostings
from s3_retriever.index.units import UnitColumns
from s3_retriever.locks import cached_property

Array = npt.NDArray[Any]

ARRAYS = ("token_pointers", "token_gaps", "token_ids")
"""The arrays that say which tokens a segment's documents have."""

_TOKEN_BYTES = 4  # of an item of ``token_gaps`` and ``token_ids``, at most


class Segment:
    """Documents and the postings of their tokens; nothing in it ever changes.

    A *position* numbers a slot of the segment. Every document begins at a multiple of ``CELL``; the
    slots that this leaves empty are virtual. Postings are grouped by block of ``BLOCK`` positions,
    inside a block by tap and feature. Arrays may be memory-mapped.

    Attributes:
        layout: Taps and their sizes.
        documents: The D documents, in order.
        ids: Their ids.
        token_pointers: int64 (D + 1,), where each document's ``token_gaps`` begin and end.
        token_gaps: Unsigned, characters from the start of the token before, or of the document, to each
            token's start in its document's text.
        token_ids: Unsigned, the host's id of each token.
        features: Which features fire at which positions.
        metadata: The documents' metadata by key.
        terms: The terms of their texts, by cell.
        context: The terms of what stands above cells: for each range of these two occurrences, in its first
            cell and in its last one.
        units: The units of their texts.

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
        token_pointers: Array,
        token_gaps: Array,
        token_ids: Array,
        features: Mapping[str, Array],
        metadata: MetadataColumns,
        terms: TermPostings,
        context: TermPostings,
        units: UnitColumns,
        name: str | None = None,
        files: Sequence[MappedFile] = (),
    ) -> None:
        self.layout = layout
        self.documents = documents
        self.ids = tuple(ids)
        self._source = file_of(token_gaps)
        self.token_pointers = postings.read_only(token_pointers)
        self.token_gaps = postings.read_only(token_gaps)
        self.token_ids = postings.read_only(token_ids)
        self.metadata = metadata
        self.terms = terms
        self.context = context
        self.units = units
        self._name = name
        self._files = tuple(files)
        self._check()
        self.features = FeaturePostings(layout, self.n_cells, features)

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents, padding not counted."""
        return len(self.token_gaps)

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
    def document_characters(self) -> npt.NDArray[np.int64]:
        """int64 (D,): characters of each document before its last token."""
        characters = np.zeros(len(self), np.int64)
        filled = np.diff(self.token_pointers) > 0
        if filled.any():
            begins = self.token_pointers[:-1][filled]
            characters[filled] = np.add.reduceat(self.token_gaps, begins, dtype=np.int64)
        return characters

    @cached_property
    def frequencies(self) -> npt.NDArray[np.int64]:
        """int64 (sum(n_features),): tokens that have each feature, taps side by side."""
        return self.features.frequencies()

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Place of each document id among the segment's documents."""
        return {key: i for i, key in enumerate(self.ids)}

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays: everything but the documents themselves."""
        arrays = sum(int(getattr(self, array).nbytes) for array in ARRAYS)
        return (
            arrays
            + self.features.nbytes
            + self.metadata.nbytes
            + self.terms.nbytes
            + self.context.nbytes
            + self.units.nbytes
        )

    @cached_property
    def name(self) -> str:
        """A name derived from the content: equal segments have equal names (16 hexadecimal digits)."""
        if self._name is not None:
            return self._name
        # The metadata columns follow from the documents.
        arrays = [getattr(self, array) for array in ARRAYS]
        arrays += [*self.features.arrays.values(), *self.terms.arrays.values()]
        arrays += [*self.context.arrays.values(), *self.units.arrays.values()]
        return hash_values(repr(self.layout), *arrays, self.documents.utf8)[:16]

    def starts(self, document: int) -> npt.NDArray[np.uint32]:
        """Return the character offset of each token of one document, uint32."""
        return np.cumsum(self._own(self.token_gaps, document), dtype=np.uint32)

    def own_gaps(self, document: int) -> Array:
        """Return the ``token_gaps`` of one document."""
        return self._own(self.token_gaps, document)

    def own_ids(self, document: int) -> Array:
        """Return the host's id of each token of one document, unsigned."""
        return self._own(self.token_ids, document)

    def _own(self, array: Array, document: int) -> Array:
        return array[self.token_pointers[document] : self.token_pointers[document + 1]]

    def check_files(self) -> None:
        """Refuse a segment of whose files one has shrunk since it was loaded.

        Raises:
            IndexFormatError: Names the file.
        """
        for file in self._files:
            file.check()

    def check_tokens(self, document: int, text: str) -> None:
        """Refuse a document whose tokens or units do not lie in its text.

        Raises:
            IndexFormatError: They do not.
        """
        if int(self.own_gaps(document).sum(dtype=np.uint64)) > len(text):
            self._contradict(f"tokens of document {self.ids[document]!r}")
        self.units.check(document, text)

    def _check(self) -> None:
        """Refuse arrays that would make a kernel read outside of them."""
        for what, sound in (
            ("types and shapes of the arrays", self._types_fit),
            ("documents", self._documents_fit),
            ("tokens", self._tokens_fit),
        ):
            if not sound():
                self._contradict(what)

    def _types_fit(self) -> bool:
        return (
            all(getattr(self, array).ndim == 1 for array in ARRAYS)
            and self.token_pointers.dtype == np.int64
            and all(
                values.dtype.kind == "u" and values.itemsize <= _TOKEN_BYTES
                for values in (self.token_gaps, self.token_ids)
            )
        )

    def _documents_fit(self) -> bool:
        ids = [key for key in self.ids if isinstance(key, str) and key]
        return (
            len(set(ids)) == len(self.ids) == len(self)
            and self.metadata.n_documents == len(self)
            and len(self.token_pointers) == len(self) + 1
        )

    def _tokens_fit(self) -> bool:
        return (
            ascends(self.token_pointers, len(self.token_gaps))
            and len(self.token_ids) == len(self.token_gaps)
            and len(self.terms.cell_lengths) == len(self.context.cell_lengths) == self.n_cells
        )

    def _contradict(self, what: str) -> NoReturn:
        where = "memory" if self._source == IN_MEMORY else Path(self._source).parent
        msg = f"the {what} of the segment in {where} contradict each other; {INDEX_AGAIN}"
        raise IndexFormatError(msg)
