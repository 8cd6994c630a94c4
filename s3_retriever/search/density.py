"""Densities over cells: how much of each document agrees with a question, at several scales.

A row of masses (one question token seen by one query head) says how much attention each cell would
receive. Its *ratio* to the uniform mass is averaged along the document at several scales; a cell's
density is the sum over rows of log(1 + ratio / saturation), weighted per row and scale. The logarithm
makes many question tokens that agree beat one that fires hard.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError
from s3_retriever.search.cells import CELL

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

_TILE = 512  # cells averaged at a time: all buffers of a tile stay in the first-level cache
_TRUNCATE = 3.0  # standard deviations at which a Gaussian is cut
_HIGHEST = np.float32(1e4)  # averaged ratios over their saturation count as this at most
_LEAST_RARITY = 0.25  # of a question's token, over the mean
_LN2 = np.float32(math.log(2))


@dataclass(frozen=True)
class Scale:
    """One width at which a document is looked at.

    Attributes:
        sigma: Standard deviation of the Gaussian window, in cells; ``inf`` means the whole document.
        saturation: Ratio to the uniform mass at which the logarithm begins to flatten.

    Raises:
        InvalidInputError: A value is not positive, or the saturation is not finite.
    """

    sigma: float
    saturation: float = 10.0

    def __post_init__(self) -> None:
        if not self.sigma > 0 or not 0 < self.saturation < math.inf:
            msg = f"a scale needs a positive sigma and a positive, finite saturation, not {self}"
            raise InvalidInputError(msg)


def mass_ratios(extra: Float32, cell_tokens: npt.NDArray[np.int32]) -> Float32:
    """Return each cell's share of a row's attention over a full cell's share under uniform attention.

    A softmax over all tokens of the corpus gives a token the probability exp(s) / sum exp(s); a token
    that no posting touches has s = 0.

    Args:
        extra: float32 (R, C), the sum of exp(s) - 1 over the tokens of each cell.
        cell_tokens: int32 (C,), tokens in each cell.

    Returns:
        float32 (R, C), non-negative.
    """
    n_tokens = int(cell_tokens.sum(dtype=np.int64))
    totals = extra.sum(axis=1, dtype=np.float64, keepdims=True) + n_tokens
    ratios = extra + cell_tokens.astype(np.float32)
    ratios *= (n_tokens / (CELL * np.maximum(totals, 1))).astype(np.float32)
    return ratios


def token_weights(frequencies: Int64, n_cells: int) -> Float32:
    """Return how much each token of a question counts, float32 (n,): the root of its rarity over the mean's.

    A token that stands in few cells tells more than one that stands in many (inverse document frequency,
    Spärck Jones 1972). The softmax over the corpus sees how rare what a token *looks for* is; that the token
    itself is common here, it does not. Half of the truth only, hence the root: in a small corpus a word may
    be rare that says nothing. Tokens whose rarity is below a quarter of the mean ("the", "of") count 0: they
    need not be asked at all.

    Args:
        frequencies: int64 (n,), cells that hold the token.
        n_cells: Cells of the corpus.
    """
    rarity = np.log((n_cells + 1) / (frequencies + 0.5))
    relative = rarity / rarity.mean()
    weights: Float32 = np.sqrt(relative).astype(np.float32)
    weights[relative < _LEAST_RARITY] = 0
    return weights


def coactivation(ratios: Float32, weights: Float32, document_cells: Int64, scale: Scale) -> Float32:
    """Return the weighted sum over rows of log(1 + averaged ratio / saturation), float32 (C,).

    Relative error of a logarithm below 1e-5.

    Args:
        ratios: float32 (R, C), non-negative.
        weights: float32 (R,), of each row.
        document_cells: int64 (D + 1,), first cell of each document, and the number of cells.
        scale: Over how many cells ratios are averaged, and when they saturate.
    """
    if math.isinf(scale.sigma):
        means = _document_means(ratios, document_cells)
        logs = np.log1p(means / np.float32(scale.saturation))
        return _spread((logs * weights[:, None]).sum(axis=0), document_cells)
    out = np.zeros(ratios.shape[1], np.float32)
    tiles = _tiles(document_cells)
    kernel = _gaussian(scale.sigma)
    factor = np.float32(1 / scale.saturation)
    workers = min(numba.config.NUMBA_NUM_THREADS, len(tiles))
    if workers < 2:
        _coactivate(ratios, weights, tiles, kernel, factor, out)
        return out
    with ThreadPoolExecutor(workers) as pool:
        parts = np.array_split(tiles, workers)
        list(pool.map(lambda part: _coactivate(ratios, weights, part, kernel, factor, out), parts))
    return out


def average(values: npt.NDArray[np.floating], document_cells: Int64, sigma: float) -> Float32:
    """Average a number per cell along each document, float32 (C,).

    Near the ends of a document the window is cut and its weights scaled up, so a constant stays constant.

    Args:
        values: (C,).
        document_cells: int64 (D + 1,), first cell of each document, and the number of cells.
        sigma: Standard deviation of the Gaussian window in cells; ``inf`` means the whole document.
    """
    row = np.ascontiguousarray(values, np.float32)
    if math.isinf(sigma):
        return _spread(_document_means(row[None], document_cells)[0], document_cells)
    out = np.empty_like(row)
    _average(row, _tiles(document_cells), _gaussian(sigma), out)
    return out


def _document_means(rows: Float32, document_cells: Int64) -> Float32:
    """Return the mean of each row over each document, float32 (R, D); 0 for documents without cells."""
    counts = np.diff(document_cells)
    means = np.zeros((len(rows), len(counts)), np.float32)
    filled = counts > 0
    if filled.any():
        sums = np.add.reduceat(rows, document_cells[:-1][filled], axis=1)
        means[:, filled] = sums / counts[filled].astype(np.float32)
    return means


def _spread(per_document: Float32, document_cells: Int64) -> Float32:
    return np.repeat(per_document, np.diff(document_cells))


def _tiles(document_cells: Int64) -> Int64:
    """Cut documents into tiles; int64 (n, 4): first and last cell of the tile, then of its document."""
    begins, ends = document_cells[:-1], document_cells[1:]
    counts = -(-(ends - begins) // _TILE)
    document = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = begins[document] + within * _TILE
    last = np.minimum(first + _TILE, ends[document])
    return np.stack([first, last, begins[document], ends[document]], axis=1)


@lru_cache(maxsize=32)
def _gaussian(sigma: float) -> Float32:
    radius = max(1, int(_TRUNCATE * sigma + 0.5))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    unit: Float32 = (kernel / kernel.sum()).astype(np.float32)
    return unit


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _average_tile(row: Float32, tile: Int64, kernel: Float32, out: Float32) -> None:
    """Write the unscaled weighted sums of a tile to ``out``; cells outside the document count as 0."""
    first, last, begin, end = tile
    radius = len(kernel) // 2
    out[: last - first] = 0
    for j in range(-radius, radius + 1):
        weight = kernel[j + radius]
        low = max(first, begin - j)
        high = max(low, min(last, end - j))
        # Slices indexed from 0 compile to vector instructions; offsets inside the loop would not.
        target, source = out[low - first : high - first], row[low + j : high + j]
        for c in range(len(target)):
            target[c] += weight * source[c]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tile_norms(tile: Int64, kernel: Float32, out: Float32) -> None:
    """Write 1 / (the kernel's weight inside the document) for each cell of a tile."""
    first, last, begin, end = tile
    radius = len(kernel) // 2
    for c in range(first, last):
        total = np.float32(0)
        for j in range(max(-radius, begin - c), min(radius, end - 1 - c) + 1):
            total += kernel[j + radius]
        out[c - first] = 1 / total


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _average(row: Float32, tiles: Int64, kernel: Float32, out: Float32) -> None:
    sums = np.empty(_TILE, np.float32)
    norms = np.empty(_TILE, np.float32)
    for t in range(len(tiles)):
        first, last = tiles[t, 0], tiles[t, 1]
        _tile_norms(tiles[t], kernel, norms)
        _average_tile(row, tiles[t], kernel, sums)
        for c in range(last - first):
            out[first + c] = sums[c] * norms[c]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _coactivate(
    rows: Float32, weights: Float32, tiles: Int64, kernel: Float32, factor: np.float32, out: Float32
) -> None:
    """Add sum over rows of weight * log(1 + factor * average) to ``out``."""
    sums = np.zeros(_TILE, np.float32)
    norms = np.zeros(_TILE, np.float32)
    values = np.empty(_TILE, np.float32)
    bits = values.view(np.int32)
    for t in range(len(tiles)):
        first, last = tiles[t, 0], tiles[t, 1]
        target = out[first:last]
        _tile_norms(tiles[t], kernel, norms)
        for r in range(len(rows)):
            _average_tile(rows[r], tiles[t], kernel, sums)
            for c in range(_TILE):
                values[c] = np.float32(1) + min(factor * sums[c] * norms[c], _HIGHEST)
            _add_logarithms(values, bits, weights[r], target)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_logarithms(
    values: Float32, bits: npt.NDArray[np.int32], weight: np.float32, target: Float32
) -> None:
    """Add weight * log(value) to ``target`` for values of at least 1; ``bits`` is their memory as integers.

    Without calls, so that it compiles to vector instructions: exponent times log 2, plus the logarithm of the
    mantissa m in [1, 2) by the series of 2 artanh((m - 1) / (m + 1)).
    """
    one = np.float32(1)
    for c in range(len(target)):
        exponent = np.float32((bits[c] >> 23) - 127)
        bits[c] = (bits[c] & 0x7FFFFF) | 0x3F800000
        s = (values[c] - one) / (values[c] + one)
        q = s * s
        series = one + q * (
            np.float32(1 / 3) + q * (np.float32(1 / 5) + q * (np.float32(1 / 7) + q * np.float32(1 / 9)))
        )
        target[c] += weight * (exponent * _LN2 + np.float32(2) * s * series)
