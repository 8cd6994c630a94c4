"""From streamed features to a segment."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.errors import DuplicateDocumentError, InvalidDocumentError, InvalidInputError
from s3_retriever.index import packed, postings
from s3_retriever.index.context import context_terms
from s3_retriever.index.documents import DocumentStore, to_line, with_json_metadata
from s3_retriever.index.layout import BLOCK, CELL, Layout
from s3_retriever.index.metadata import MetadataBuilder, entries
from s3_retriever.index.segment import Segment
from s3_retriever.index.spool import Spool
from s3_retriever.index.terms import TermBuilder
from s3_retriever.index.units import UnitBuilder
from s3_retriever.structure import find_units


class SegmentBuilder:
    """Builds one segment: ``begin``, ``add`` any number of times, ``end``, for each document; ``build``.

    Postings of the current block are held in memory and inverted when it is full. Finished blocks spill to
    temporary files, and so do the terms of each document, which are cut from its text at its end. The
    segment is read back at the end, at its exact size. Arrays that grow beside other allocations would leave
    as much unused memory behind as they take.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        bases = np.array(layout.feature_offsets[:-1], np.int64)
        self._slot_bases = np.repeat(bases, layout.k)
        self._reset()

    def _reset(self) -> None:
        slots = self.layout.slot_offsets[-1]
        self._features = np.zeros((BLOCK, slots), np.uint16)
        self._codes = np.zeros((BLOCK, slots), np.uint8)
        self._filled = 0
        self._counts_out = Spool(np.int32)
        self._lists_out = Spool(np.uint8)
        self._gaps_out = Spool(np.uint32)
        self._ids_out = Spool(np.uint32)
        self._reached = 0
        self._lines = Spool(np.uint8)
        self._line_offsets = array("q", [0])
        self._ids: dict[str, None] = {}
        self._metadata = MetadataBuilder()
        self._terms = TermBuilder()
        self._context = TermBuilder()
        self._units = UnitBuilder()
        self._token_pointers = array("q", [0])
        self._open: Document | None = None
        self._cell_starts: list[npt.NDArray[np.int64]] = []

    def begin(self, document: Document) -> None:
        """Start a document.

        Raises:
            DuplicateDocumentError: Its id was seen before.
            InvalidDocumentError: Its metadata cannot be saved or its text is too long for uint32 offsets.
            InvalidInputError: The document before it was not ended.
        """
        if self._open is not None:
            msg = f"document {document.id!r} begins before end() of the one before it; call end() first"
            raise InvalidInputError(msg)
        document = with_json_metadata(document)
        metadata = entries(document)
        if len(document.text) >= 2**32:
            msg = f"document {document.id!r} has {len(document.text)} characters; split it below 2**32"
            raise InvalidDocumentError(msg)
        self._register(document.id, np.frombuffer(to_line(document), np.uint8))
        self._metadata.add(metadata)
        self._open = document

    def add(
        self,
        starts: npt.NDArray[Any],
        ids: npt.NDArray[Any],
        features: Sequence[npt.NDArray[Any]],
        weights: Sequence[npt.NDArray[Any]],
    ) -> None:
        """Append tokens to the current document.

        Args:
            starts: int (n,), character offset of each token.
            ids: int (n,), the host's id of each token.
            features: Per tap, int (n, k): feature ids, distinct within a row.
            weights: Per tap, float (n, k): activations; what is below ``layout.weakest`` is no posting.

        Raises:
            InvalidInputError: No document was begun, a shape does not fit the layout, a feature id is out
                of range or a weight is not finite.
        """
        if self._open is None:
            msg = f"add() of {len(starts)} tokens outside of a document; call begin() first"
            raise InvalidInputError(msg)
        if len(ids) != len(starts):
            msg = f"{len(ids)} token ids do not fit {len(starts)} tokens"
            raise InvalidInputError(msg)
        rows = [self._checked(tap, len(starts), features, weights) for tap in range(len(self.layout.taps))]
        done = 0
        while done < len(starts):
            take = min(BLOCK - self._filled, len(starts) - done)
            for tap, (kept, values) in enumerate(rows):
                slot = self.layout.slot_offsets[tap]
                postings.quantize(
                    kept[done : done + take],
                    values[done : done + take],
                    self.layout.weakest[tap],
                    self._features,
                    self._codes,
                    self._filled,
                    slot,
                )
            done += take
            self._advance(take)
        before = len(self._ids_out) - self._token_pointers[-1]
        self._cell_starts.append(np.asarray(starts[-before % CELL :: CELL], np.int64))
        self._gaps_out.append(np.diff(np.asarray(starts, np.int64), prepend=self._reached))
        self._reached = int(starts[-1]) if len(starts) else self._reached
        self._ids_out.append(ids)

    def end(self) -> None:
        """Finish the current document; the next one begins a new cell."""
        if self._open is None:
            msg = "end() outside of a document; call begin() first"
            raise InvalidInputError(msg)
        cell_starts = np.concatenate([np.zeros(0, np.int64), *self._cell_starts])
        units = find_units(self._open.text, self._open.pages)
        self._terms.add(self._open.text, cell_starts)
        self._context.append(context_terms(self._open, units, cell_starts), len(cell_starts))
        self._units.add(units)
        self._advance(-self._filled % CELL)
        self._token_pointers.append(len(self._ids_out))
        self._open, self._reached = None, 0
        self._cell_starts.clear()

    def extend(self, segment: Segment, alive: npt.NDArray[np.bool_]) -> None:
        """Append the documents of a segment for which ``alive`` (bool (D,)) is true, without a scan.

        Cells are the unit: those of live documents move as they are, so the result equals a segment
        built from the same documents.
        """
        live_cells = np.repeat(alive, np.diff(segment.cell_pointers))
        feature_offsets = np.array(self.layout.feature_offsets)
        slot_offsets = np.array(self.layout.slot_offsets)
        for block in range(segment.features.n_blocks):
            cells = live_cells[block * (BLOCK // CELL) : (block + 1) * (BLOCK // CELL)]
            if not cells.any():
                continue
            features, codes = postings.restore(*segment.features.lists, block, feature_offsets, slot_offsets)
            live = np.flatnonzero(np.repeat(cells, CELL))
            done = 0
            while done < len(live):
                rows = live[done : done + BLOCK - self._filled]
                self._features[self._filled : self._filled + len(rows)] = features[rows]
                self._codes[self._filled : self._filled + len(rows)] = codes[rows]
                done += len(rows)
                self._advance(len(rows))
        for i in np.flatnonzero(alive).tolist():
            self._register(segment.ids[i], segment.documents.line(i))
            self._gaps_out.append(segment.own_gaps(i))
            self._ids_out.append(segment.own_ids(i))
            self._token_pointers.append(len(self._ids_out))
        self._metadata.extend(segment.metadata, alive)
        self._terms.extend(segment.terms, live_cells)
        self._context.extend(segment.context, live_cells)
        self._units.extend(segment.units, alive)

    def build(self) -> Segment:
        """Return the segment; the builder is then empty again.

        Raises:
            InvalidInputError: A document is still open.
        """
        if self._open is not None:
            msg = f"document {self._open.id!r} was not ended; call end() first"
            raise InvalidInputError(msg)
        if self._filled:
            self._invert()
        self._lists_out.append(np.zeros(packed.PADDING, np.uint8))
        counts = self._counts_out.take()
        terms = self._terms.build()  # first: what it needs beside the result is gone before the rest is read
        segment = Segment(
            self.layout,
            DocumentStore(self._lines.take(), np.array(self._line_offsets, np.int64)),
            list(self._ids),
            token_pointers=np.array(self._token_pointers, np.int64),
            token_gaps=postings.smallest(self._gaps_out.take()),
            token_ids=postings.smallest(self._ids_out.take()),
            features={
                "feature_counts": postings.smallest(counts.reshape(-1, self.layout.feature_offsets[-1])),
                "feature_lists": self._lists_out.take(),
            },
            metadata=self._metadata.build(),
            terms=terms,
            context=self._context.build(),
            units=self._units.build(),
        )
        self._reset()
        return segment

    def _register(self, key: str, line: npt.NDArray[np.uint8]) -> None:
        if key in self._ids:
            msg = f"document id {key!r} occurs twice; ids must be unique"
            raise DuplicateDocumentError(msg)
        self._ids[key] = None
        self._lines.append(line)
        self._line_offsets.append(len(self._lines))

    def _checked(
        self, tap: int, n: int, features: Sequence[npt.NDArray[Any]], weights: Sequence[npt.NDArray[Any]]
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        name, taps = self.layout.taps[tap], len(self.layout.taps)
        shape, n_features = (n, self.layout.k[tap]), self.layout.n_features[tap]
        if len(features) != taps or len(weights) != taps:
            msg = f"features and weights of {taps} taps expected, not of {len(features)} and {len(weights)}"
            raise InvalidInputError(msg)
        ids, values = np.asarray(features[tap]), np.asarray(weights[tap])
        if ids.shape != shape or values.shape != shape:
            msg = f"tap {name}: features {ids.shape} and weights {values.shape} must both be {shape}"
            raise InvalidInputError(msg)
        if n and not 0 <= ids.min() <= ids.max() < n_features:
            msg = f"tap {name}: feature ids {ids.min()}..{ids.max()} are not within 0..{n_features - 1}"
            raise InvalidInputError(msg)
        if not np.isfinite(values).all():
            msg = f"tap {name}: a weight is not finite; was the host loaded in a precision it supports?"
            raise InvalidInputError(msg)
        return np.ascontiguousarray(ids, np.uint16), np.ascontiguousarray(values, np.float32)

    def _advance(self, rows: int) -> None:
        self._filled += rows
        if self._filled == BLOCK:
            self._invert()

    def _invert(self) -> None:
        used = slice(self._filled)
        counts, lists = postings.invert(
            self._features[used], self._codes[used], self._slot_bases, self.layout.feature_offsets[-1]
        )
        self._counts_out.append(counts)
        self._lists_out.append(lists)
        self._codes.fill(0)  # slots skipped by the padding between documents must stay empty
        self._filled = 0


def merge(layout: Layout, parts: Iterable[tuple[Segment, npt.NDArray[np.bool_]]]) -> Segment:
    """Return one segment with the live documents of several, in order.

    Args:
        layout: Of all the segments.
        parts: Each segment with bool (D,), which of its documents are live.
    """
    builder = SegmentBuilder(layout)
    for segment, alive in parts:
        builder.extend(segment, alive)
    return builder.build()
