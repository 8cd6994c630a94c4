"""Rows summed over the cells of a corpus: what the softmax over all tokens divides by, exactly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import Float32, Int64, tiles_of
from s3_retriever.search.kernels import LANES
from s3_retriever.search.workers import Workers

_TASK = 16  # tiles per task at least
_UNIT = 2.0**22  # a tile's mass, 64 cells of e^20 per position, has less than 2^40


class Totals(NamedTuple):
    """Rows summed over all cells of a corpus, exactly, so that the sum of its parts is that of the whole.

    Attributes:
        extra: int64 (2, G, LANES), extra masses in units of 2^-22, what is a multiple of 2^32 apart from the
            rest. A tile's mass is rounded to such a unit before it is added.
        n_tokens: Tokens of the corpus.
    """

    extra: Int64
    n_tokens: int

    def __add__(self, other: Totals) -> Totals:  # type: ignore[override]
        """Return the totals of two corpora as of one."""
        return Totals(self.extra + other.extra, self.n_tokens + other.n_tokens)

    @property
    def factors(self) -> Float32:
        """What makes ratios of masses, float32 (G, LANES): tokens over those of a cell and all mass."""
        factors: Float32 = (self.n_tokens / (CELL * np.maximum(self._mass, 1))).astype(np.float32)
        return factors

    @property
    def means(self) -> Float32:
        """The mean of exp(s) over the tokens, float32 (G * LANES,), row by row; 1 where there are none."""
        means: Float32 = (self._mass / max(self.n_tokens, 1)).astype(np.float32).reshape(-1)
        return means if self.n_tokens else np.ones_like(means)

    @property
    def _mass(self) -> npt.NDArray[np.float64]:
        high, low = self.extra.astype(np.float64)
        mass: npt.NDArray[np.float64] = (high * 2.0**32 + low) / _UNIT + self.n_tokens
        return mass


def totals(
    masses: Float32,
    cell_tokens: npt.NDArray[np.int32],
    document_cells: Int64,
    workers: Workers | None = None,
) -> Totals:
    """Sum rows over the cells of a corpus or a part of it; arguments as of ``coactivation``."""
    tiles = tiles_of(document_cells)
    return total_of(sums_of_tiles(masses, tiles, workers or Workers(1)), cell_tokens)


def tile_tasks(tiles: Int64, workers: Workers) -> list[slice]:
    """Share tiles out to threads."""
    if workers.n_threads == 1:  # nobody to share with: stay in the kernel
        return [slice(len(tiles))]
    step = max(_TASK, -(-len(tiles) // (8 * workers.n_threads)))
    return [slice(first, first + step) for first in range(0, len(tiles), step)]


def sums_of_tiles(masses: Float32, tiles: Int64, workers: Workers) -> Float32:
    """Return each row's mass in each tile, float32 (tiles, G, LANES)."""
    sums = np.empty((len(tiles), len(masses), LANES), np.float32)
    workers.each(lambda task: _sum_tiles(masses, tiles[task], sums[task]), tile_tasks(tiles, workers))
    return sums


def total_of(sums: Float32, cell_tokens: npt.NDArray[np.int32]) -> Totals:
    """Return the totals of what :func:`sums_of_tiles` returned."""
    extra = np.zeros((2, *sums.shape[1:]), np.int64)
    _add_exactly(sums, extra)
    return Totals(extra, int(cell_tokens.sum(dtype=np.int64)))


@njit(cache=True, nogil=True)
def _add_exactly(sums: Float32, out: Int64) -> None:
    """Add sums of tiles, float32 (tiles, G, LANES), to ``out``, int64 (2, G, LANES)."""
    for t in range(sums.shape[0]):
        for g in range(sums.shape[1]):
            for lane in range(LANES):
                units = np.int64(np.rint(np.float64(sums[t, g, lane]) * _UNIT))
                out[0, g, lane] += units >> 32
                out[1, g, lane] += units & 0xFFFFFFFF


@njit(cache=True, nogil=True)
def _sum_tiles(masses: Float32, tiles: Int64, out: Float32) -> None:
    """Write each row's sum over the cells of each tile to ``out``, float32 (tiles, G, LANES)."""
    sums = np.empty(LANES, np.float64)
    for t in range(len(tiles)):
        for g in range(len(masses)):
            sums[:] = 0
            for c in range(tiles[t, 0], tiles[t, 1]):
                for lane in range(LANES):
                    sums[lane] += masses[g, c, lane]
            for lane in range(LANES):
                out[t, g, lane] = sums[lane]
