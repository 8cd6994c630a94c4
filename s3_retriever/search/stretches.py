"""Stretches of documents over which BM25 is averaged: all of them, or what lies around some cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.density import TRUNCATE, Float32, Int64, widening
from s3_retriever.search.headers import rows_of_large_tables


class Stretches(NamedTuple):
    """D stretches of documents, and the C cells in them; none has cells of two documents.

    Attributes:
        cells: Of the snapshot: all, or int64 (C,), ascending.
        borders: int64 (D + 1,), where each begins among them, and their number.
        wider: float32 (D,), how many times wider each is looked at.
        are_code: bool (D,), whether each is source code.
        are_rows: bool (C,), whether each cell is a row of a large table.
    """

    cells: slice | Int64
    borders: Int64
    wider: Float32
    are_code: npt.NDArray[np.bool_]
    are_rows: npt.NDArray[np.bool_]

    @classmethod
    def whole(cls, snapshot: Snapshot) -> Stretches:
        """Return all documents."""
        wider = widening(snapshot.document_characters, snapshot.document_cells)
        rows = rows_of_large_tables(snapshot)
        return cls(slice(None), snapshot.document_cells, wider, snapshot.are_code, rows)

    @classmethod
    def around(cls, snapshot: Snapshot, cells: Int64, widths: Iterable[float]) -> Stretches:
        """Return what some cells are averaged from; averages there are those over whole documents.

        Args:
            snapshot: What has the cells.
            cells: int64 (n,).
            widths: At which they may be averaged, in cells; ``inf`` means the document.
        """
        cells = np.unique(cells)
        documents = np.searchsorted(snapshot.document_cells, cells, side="right") - 1
        first, last = snapshot.document_cells[documents], snapshot.document_cells[documents + 1]
        wider = widening(snapshot.document_characters[documents], np.append(0, np.cumsum(last - first)))
        reach = np.ceil(TRUNCATE * max(widths) * wider.astype(np.float64)) + 1
        begins = np.maximum(cells - reach, first).astype(np.int64)
        ends = np.minimum(cells + reach, last).astype(np.int64)
        opens = np.append(True, begins[1:] >= ends[:-1])[: len(cells)]
        firsts, sizes = begins[opens], ends[np.roll(opens, -1)] - begins[opens]
        borders = np.append(0, np.cumsum(sizes))
        inside = np.arange(borders[-1]) + np.repeat(firsts - borders[:-1], sizes)
        rows = rows_of_large_tables(snapshot)[inside]
        return cls(inside, borders, wider[opens], snapshot.are_code[documents[opens]], rows)

    def places(self, cells: Int64) -> Int64:
        """Return where cells of the snapshot are among those of the stretches, int64 (n,)."""
        return cells if isinstance(self.cells, slice) else np.searchsorted(self.cells, cells)
