"""Densities over cells: how much of each document agrees with a question, at several scales.

A row of masses (one question token seen by one query head) says how much attention each cell would
receive. Its *ratio* to the uniform mass is averaged along the document at several scales; a cell's
density is the sum over rows of log(1 + ratio / saturation), weighted per row and scale. The logarithm
makes many question tokens that agree beat one that fires hard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import aligned_in_kernel, njit
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import (
    TILE,
    Float32,
    Int64,
    Scale,
    gaussian,
    tile_norms,
    tiles_of,
    weights_before,
)
from s3_retriever.search.kernels import LANES, n_groups
from s3_retriever.search.totals import Totals, sums_of_tiles, tile_tasks, total_of
from s3_retriever.search.workers import Workers

_HIGHEST = np.float32(1e4)  # averaged ratios over their saturation count as this at most
_FACTORS = 8  # of them at most in a product, which float32 holds
_LN2 = np.float32(math.log(2))
# Of a float32: as int32, since wider ones would halve what a vector holds.
_MANTISSA_BITS, _BIAS, _MANTISSA, _ONE = map(np.int32, (23, 127, 0x7FFFFF, 0x3F800000))


def grouped(rows: Float32) -> Float32:
    """Lay numbers per row and cell, float32 (R, C), out as ``cell_masses`` does, float32 (G, C, LANES)."""
    groups = np.zeros((n_groups(len(rows)), rows.shape[1], LANES), np.float32)
    for r, row in enumerate(rows):
        groups[r // LANES, :, r % LANES] = row
    return groups


def coactivation(
    masses: Float32,
    weights: Float32,
    cell_tokens: npt.NDArray[np.int32],
    document_cells: Int64,
    scales: Sequence[Scale],
    workers: Workers | None = None,
    *,
    whole: Totals | None = None,
) -> Float32:
    """Return the weighted sum over rows and scales of log(1 + averaged ratio / saturation), float32 (C,).

    The ratio of a cell is its share of a row's attention over a full cell's share under uniform attention.
    A softmax over all tokens of the corpus gives a token the probability exp(s) / sum exp(s); a token that
    no posting touches has s = 0. Error of a logarithm below 1e-6, or 1e-5 of it.

    Args:
        masses: float32 (G, C, LANES), extra masses as ``cell_masses`` returns them.
        weights: float32 (R, S), of each row at each scale.
        cell_tokens: int32 (C,), tokens in each cell.
        document_cells: int64 (D + 1,), first cell of each document, and the number of cells.
        scales: Over how many cells ratios are averaged, and when they saturate.
        workers: Threads to share the work with.
        whole: Totals of the corpus that the cells are a part of; None: they are all of it.
    """
    density = np.zeros(len(cell_tokens), np.float32)
    used = [i for i in range(len(scales)) if weights[:, i].any()]
    if not (masses.size and used):
        return density
    workers = workers or Workers(1)
    by_lane = np.zeros((len(scales), len(masses), LANES), np.float32)
    by_lane.reshape(len(scales), -1)[:, : len(weights)] = weights.T
    tiles = tiles_of(document_cells)
    tasks = tile_tasks(tiles, workers)
    sums = sums_of_tiles(masses, tiles, workers)
    factors = (whole or total_of(sums, cell_tokens)).factors

    inverse = np.array([1 / scale.saturation for scale in scales], np.float32)
    alike = _with_equal_weights([i for i in used if not math.isinf(scales[i].sigma)], weights)
    if alike:
        narrow = [i for some in alike for i in some]
        kernels = [gaussian(scales[i].sigma) for i in narrow]
        constants = (
            np.concatenate(kernels),
            np.cumsum([0, *map(len, kernels)]),
            inverse[narrow],
            np.cumsum([0, *map(len, alike)]),
            by_lane[[some[0] for some in alike]],
        )
        workers.each(
            lambda task: _add_tiles(masses, factors, cell_tokens, tiles[task], *constants, density), tasks
        )
    for i in used:
        if math.isinf(scales[i].sigma):
            heads = np.flatnonzero(tiles[:, 0] == tiles[:, 2])  # the first tile of each document with cells
            tokens = np.add.reduceat(cell_tokens, tiles[heads, 0])
            sizes = tiles[heads, 3] - tiles[heads, 2]
            of_documents = np.empty(len(heads), np.float32)
            ends = np.append(heads[1:], len(tiles))
            _take_documents(sums, ends, factors, tokens, sizes, inverse[i], by_lane[i], of_documents)
            density += np.repeat(of_documents, sizes)
    return density


def _with_equal_weights(scales: Sequence[int], weights: Float32) -> list[list[int]]:
    """Put scales together at which all rows weigh the same, so that their logarithms are one of a product."""
    alike: list[list[int]] = []
    for i in scales:
        for some in alike:
            if len(some) < _FACTORS and np.array_equal(weights[:, i], weights[:, some[0]]):
                some.append(i)
                break
        else:
            alike.append([i])
    return alike


@njit(cache=True, nogil=True)
def _add_tiles(
    masses: Float32,
    factors: Float32,
    cell_tokens: npt.NDArray[np.int32],
    tiles: Int64,
    kernel: Float32,
    borders: Int64,
    inverse: Float32,
    alike: Int64,
    weights: Float32,
    out: Float32,
) -> None:
    """Add what the rows say of the tiles' cells at all widths but the document's to ``out``.

    Loops run over the cells and lanes of a tile at once, so that they compile to vector instructions however
    short a document is.

    Args:
        masses: float32 (G, C, LANES).
        factors: float32 (G, LANES), what makes ratios of masses.
        cell_tokens: int32 (C,).
        tiles: int64 (n, 4).
        kernel: The Gaussians of the S widths one after the other.
        borders: int64 (S + 1,), where each begins, and the end.
        inverse: float32 (S,), 1 / saturation.
        alike: int64 (W + 1,), where each run of widths begins at which rows weigh the same, and the end.
        weights: float32 (W, G, LANES), of each row in each run.
        out: float32 (C,).
    """
    n_scales, n_runs, n_groups = len(inverse), weights.shape[0], weights.shape[1]
    widest = 0
    for s in range(n_scales):
        widest = max(widest, (borders[s + 1] - borders[s]) // 2)
    n = (TILE + 2 * widest) * LANES
    repeated = aligned_in_kernel((n_runs + 1) * n_groups * n).reshape(n_runs + 1, n_groups, n)
    for g in range(n_groups):
        for i in range(n):
            repeated[n_runs, g, i] = factors[g, i % LANES]
            for w in range(n_runs):
                repeated[w, g, i] = weights[w, g, i % LANES]
    of_cells = np.empty(TILE, np.float32)
    norms = aligned_in_kernel(n_scales * TILE * LANES).reshape(n_scales, TILE * LANES)
    window = aligned_in_kernel(n)
    sums = aligned_in_kernel(TILE * LANES)
    values = aligned_in_kernel(TILE * LANES)
    bits, exponents = values.view(np.int32), aligned_in_kernel(TILE * LANES)
    logarithms = aligned_in_kernel(TILE * LANES)
    before_of = np.empty(len(kernel) + n_scales)  # of each width, one after the other
    for s in range(n_scales):
        before_of[borders[s] + s : borders[s + 1] + s + 1] = weights_before(
            kernel[borders[s] : borders[s + 1]]
        )
    for t in range(len(tiles)):
        first, last, begin, end = tiles[t]
        size = (last - first) * LANES
        for s in range(n_scales):
            tile_norms(tiles[t], before_of[borders[s] + s : borders[s + 1] + s + 1], of_cells)
            for c in range(last - first):
                norms[s, c * LANES : (c + 1) * LANES] = of_cells[c] * inverse[s]
        margin = min(widest, end - begin - 1)  # cells beyond are of other documents
        low, high = max(begin, first - margin), min(end, last + margin)
        before, after = (low - first + margin) * LANES, (high - first + margin) * LANES
        window[:before] = 0
        window[after : size + 2 * margin * LANES] = 0
        logarithms[:size] = 0
        for g in range(n_groups):
            _make_ratios(masses[g, low:high].reshape(-1), repeated[n_runs, g], window[before:after])
            if high == end:  # only a document's last cell may have less than CELL tokens
                for i in range(LANES):
                    tokens = np.float32(cell_tokens[end - 1])
                    window[after - LANES + i] = (masses[g, end - 1, i] + tokens) * factors[g, i]
            for w in range(n_runs):
                values[:size] = 1
                for s in range(alike[w], alike[w + 1]):
                    middle = (borders[s] + borders[s + 1]) // 2
                    reach = min((borders[s + 1] - borders[s]) // 2, end - begin - 1)
                    weighted = kernel[middle - reach : middle + reach + 1]
                    _convolve(window[(margin - reach) * LANES :], weighted, sums[:size])
                    _multiply_saturated(sums[:size], norms[s], values)
                _add_logarithms(values, bits, exponents, repeated[w, g], logarithms[:size])
        for c in range(first, last):
            total = np.float32(0)
            for i in range((c - first) * LANES, (c - first + 1) * LANES):
                total += logarithms[i]
            out[c] += total


@njit(cache=True, nogil=True)
def _make_ratios(masses: Float32, factors: Float32, out: Float32) -> None:
    """Write ratios to the uniform mass to ``out``, as if all cells were full."""
    full = np.float32(CELL)
    for i in range(len(out)):
        out[i] = (masses[i] + full) * factors[i]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _convolve(window: Float32, kernel: Float32, out: Float32) -> None:
    """Write the weighted sums of a tile to ``out``: that of a cell begins at the same place of ``window``.

    Terms are added in their order, several per pass; a product and its sum may be rounded once.
    """
    size = len(out)
    out[:] = 0
    j = 0
    while j + 4 <= len(kernel):
        k0, k1, k2, k3 = kernel[j], kernel[j + 1], kernel[j + 2], kernel[j + 3]
        w0 = window[j * LANES : j * LANES + size]
        w1 = window[(j + 1) * LANES : (j + 1) * LANES + size]
        w2 = window[(j + 2) * LANES : (j + 2) * LANES + size]
        w3 = window[(j + 3) * LANES : (j + 3) * LANES + size]
        for i in range(size):
            out[i] = (((out[i] + k0 * w0[i]) + k1 * w1[i]) + k2 * w2[i]) + k3 * w3[i]
        j += 4
    while j < len(kernel):
        k0 = kernel[j]
        w0 = window[j * LANES : j * LANES + size]
        for i in range(size):
            out[i] += k0 * w0[i]
        j += 1


@njit(cache=True, nogil=True)
def _multiply_saturated(sums: Float32, norms: Float32, values: Float32) -> None:
    """Multiply what the logarithm is taken of by 1 and weighted sums over their saturation."""
    for i in range(len(sums)):
        values[i] *= np.float32(1) + min(sums[i] * norms[i], _HIGHEST)


@njit(cache=True, nogil=True)
def _take_documents(
    sums: Float32,
    ends: Int64,
    factors: Float32,
    tokens: Int64,
    sizes: Int64,
    inverse: np.float32,
    weights: Float32,
    out: Float32,
) -> None:
    """Write what the rows say of whole documents to ``out``.

    Args:
        sums: float32 (tiles, G, LANES), the extra masses of each tile.
        ends: int64 (D,), one past the last tile of each document.
        factors: float32 (G, LANES).
        tokens: (D,), tokens of each document.
        sizes: (D,), its cells.
        inverse: 1 / saturation.
        weights: float32 (G, LANES).
        out: float32 (D,).
    """
    values, logarithms = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    bits, exponents = values.view(np.int32), np.empty_like(values)
    first = 0
    for d in range(len(ends)):
        norm = inverse / np.float32(sizes[d])
        logarithms[:] = 0
        for g in range(sums.shape[1]):
            values[:] = 0
            for tile in range(first, ends[d]):
                for i in range(LANES):
                    values[i] += sums[tile, g, i]
            for i in range(LANES):
                ratio = (values[i] + np.float32(tokens[d])) * factors[g, i]
                values[i] = np.float32(1) + min(ratio * norm, _HIGHEST)
            _add_logarithms(values, bits, exponents, weights[g], logarithms)
        total = np.float32(0)
        for i in range(LANES):
            total += logarithms[i]
        out[d] = total
        first = ends[d]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_logarithms(
    values: Float32,
    bits: npt.NDArray[np.int32],
    exponents: Float32,
    weights: Float32,
    target: Float32,
) -> None:
    """Add weight * log(value) to ``target`` for values of at least 1; ``bits`` is their memory as integers.

    Without calls, checks for division by zero, and loops that see one memory by two names, so that it
    compiles to vector instructions. Exponent times log 2, plus the logarithm of the mantissa m in [1, 2) by
    the series of 2 artanh((m - 1) / (m + 1)).
    """
    one = np.float32(1)
    n = len(target)
    for i in range(n):
        exponents[i] = np.float32((bits[i] >> _MANTISSA_BITS) - _BIAS)
        bits[i] = (bits[i] & _MANTISSA) | _ONE
    for i in range(n):
        s = (values[i] - one) / (values[i] + one)
        q = s * s
        series = one + q * (
            np.float32(1 / 3) + q * (np.float32(1 / 5) + q * (np.float32(1 / 7) + q * np.float32(1 / 9)))
        )
        target[i] += weights[i] * (exponents[i] * _LN2 + np.float32(2) * s * series)
