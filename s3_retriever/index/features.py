"""Postings of features: at which positions of a segment each feature fires, and how strongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import IndexFormatError
from s3_retriever.index import packed, postings
from s3_retriever.index.documents import INDEX_AGAIN, file_of
from s3_retriever.index.layout import BLOCK, CELL, Layout

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

ARRAYS = ("feature_counts", "feature_lists")
"""The arrays that make up the postings of features of a segment; see :class:`FeaturePostings`."""


class Lists(NamedTuple):
    """What kernels read, in the order in which they take it.

    Attributes:
        data: uint8, the lists as bits.
        begins: int64 (B, F), the bit at which each list begins.
        counts: int32 (B, F), the postings in each list.
        cells: int64 (B,), the cells of each block.
    """

    data: Array
    begins: Int64
    counts: npt.NDArray[np.int32]
    cells: Int64


class FeaturePostings:
    """A list of postings for each of B blocks and F features, all taps side by side; it never changes.

    The place of a position in its block is ``slot * cells + cell``, for the slot, 0 to 31, in a cell of the
    block. So the first positions of all cells lie side by side, and sums over cells are sums of rows.
    :mod:`s3_retriever.index.packed` says how a list is written.

    Attributes:
        arrays: By their names in :data:`ARRAYS`, maybe memory-mapped:

            - ``feature_counts``: (B, F), the smallest unsigned type that holds them; postings in each list.
            - ``feature_lists``: uint8, the lists, block by block; a block begins with a byte, and
              ``packed.PADDING`` bytes of zeros follow the last.

        lists: The same for kernels.

    Raises:
        IndexFormatError: The arrays contradict themselves, the layout, or the number of cells.
    """

    def __init__(self, layout: Layout, n_cells: int, arrays: Mapping[str, Array]) -> None:
        self._source = file_of(arrays["feature_lists"])
        self.arrays = {name: postings.read_only(values) for name, values in arrays.items()}
        counts, data = self.arrays["feature_counts"], self.arrays["feature_lists"]
        first_cells = np.arange(0, n_cells, BLOCK // CELL)
        cells = np.minimum(n_cells - first_cells, BLOCK // CELL)
        sizes = cells * CELL
        if (
            counts.dtype.kind != "u"
            or data.dtype != np.uint8
            or data.ndim != 1
            or counts.shape != (len(sizes), layout.feature_offsets[-1])
            or (counts > sizes[:, None]).any()
        ):
            self._contradict(n_cells)
        few = counts.astype(np.int32)
        begins = np.empty(few.shape, np.int64)
        n_bytes = packed.lay_out(few, sizes, begins)
        if len(data) != n_bytes + packed.PADDING or not packed.sound(data, begins, few, sizes):
            self._contradict(n_cells)
        self.lists = Lists(data, *(postings.read_only(values) for values in (begins, few, cells)))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(values.nbytes) for values in self.arrays.values())

    @property
    def n_blocks(self) -> int:
        """Blocks that hold all cells."""
        return len(self.lists.cells)

    def frequencies(self) -> Int64:
        """Return how many tokens have each feature, int64 (F,)."""
        counts: Int64 = self.lists.counts.sum(axis=0, dtype=np.int64)
        return counts

    def frequencies_in(self, chosen: npt.NDArray[np.bool_]) -> Int64:
        """Return how many tokens of chosen cells, bool (n_cells,), have each feature, int64 (F,)."""
        counts = np.zeros(self.lists.counts.shape[1], np.int64)
        for block in range(self.n_blocks):
            here = chosen[block * (BLOCK // CELL) : (block + 1) * (BLOCK // CELL)]
            if here.any():
                postings.add_frequencies(*self.lists, block, here, counts)
        return counts

    def _contradict(self, n_cells: int) -> NoReturn:
        msg = f"the postings of {n_cells} cells in {self._source} contradict each other; {INDEX_AGAIN}"
        raise IndexFormatError(msg)
