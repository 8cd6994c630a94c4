"""Rows of large tables count for what the header says above all of them, and for all their words.

A header names the columns once, far from most rows. A question asks by these names and by what the row has:
"What is the status of order A1293?". So the header is denser than any row, though only the row answers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.density import Float32, Int64

HEADER_CELLS = 2
"""Cells at the beginning of a table in which its header stands."""

BEST_ROWS = 4
"""Cells of a table that count for the header, too: those that say most of their own."""

PART = 0.75
"""Part of what a header is denser than the mean of the rows that these cells rise by."""

LARGE_TABLE = 32
"""Cells of a table whose rows are so many that they are alike, and count by all their words."""


def rows_of_large_tables(snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    """Return which cells are rows of large tables, behind their headers; bool (n_cells,)."""
    begins, ends = _of_length(snapshot, LARGE_TABLE).T
    steps = np.zeros(snapshot.n_cells + 1, np.int8)
    steps[begins + HEADER_CELLS] += 1
    steps[ends] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8) > 0


def raise_rows(density: Float32, snapshot: Snapshot) -> None:
    """Let the best rows of each table rise by a part of what its header is denser than its rows are.

    The wide scales of S3 make cells near the header dense, the less the further they are. So what a row says
    of its own is how much denser it is than the least dense cell between the header and it. Nothing depends
    on other documents.

    Args:
        density: float32 (n_cells,), written on.
        snapshot: What is searched.
    """
    _raise(density, _of_length(snapshot, HEADER_CELLS + 1), HEADER_CELLS, BEST_ROWS, PART)


def _of_length(snapshot: Snapshot, least: int) -> Int64:
    """Return the tables of so many cells or more, int64 (n, 2), the first cell and the end of each."""
    tables: Int64 = snapshot.tables
    return tables[tables[:, 1] - tables[:, 0] >= least]


@njit(cache=True, nogil=True)
def _raise(density, tables, n_header, n_best, part):  # type: ignore[no-untyped-def]
    """Raise the best rows of tables; int64 (n, 2), the first cell and the end of each."""
    best, excesses = np.empty(n_best, np.int64), np.empty(n_best, np.float32)
    for i in range(len(tables)):
        begin, end = tables[i, 0] + n_header, tables[i, 1]
        header, lowest = density[tables[i, 0] : begin].max(), density[begin - 1]
        total, n = 0.0, 0
        for cell in range(begin, end):
            total += density[cell]
            excess = density[cell] - lowest
            lowest = min(lowest, density[cell])
            place = n
            while place and excess > excesses[place - 1]:
                place -= 1
            if excess > 0 and place < n_best:
                n = min(n + 1, n_best)
                for moved in range(n - 1, place, -1):
                    best[moved], excesses[moved] = best[moved - 1], excesses[moved - 1]
                best[place], excesses[place] = cell, excess
        gain = part * (header - total / (end - begin))
        if gain > 0:
            for cell in best[:n]:
                density[cell] += np.float32(gain)
