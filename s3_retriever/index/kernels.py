"""Scoring kernels: from the features of query rows to numbers per cell.

A query row gives F feature ids (int32, -1 for an unused slot) and F weights. The score of position p
is s(p) = sum over f of w_f z_f(p), z_f(p) being the stored weight, 0 if there is no posting. Every
float operation on a cell happens in an order that depends on the row alone, so a document's numbers are
bit-identical whatever segment and block it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import njit

from s3_retriever.errors import InvalidInputError
from s3_retriever.index.layout import BLOCK, CELL, MAX_CODE
from s3_retriever.index.segment import Segment

Float32 = npt.NDArray[np.float32]

MAX_SCORE = 20.0
"""Scores saturate here: e^20 stands far above any mass of text, and float32 stays far from overflow."""

_ROWS = 8  # rows per task: small enough to balance the threads, large enough to make them worth while
_BLOCK_CELLS = BLOCK // CELL
_CELL = np.uint16(CELL)  # unsigned division is a shift


def cell_masses(
    parts: Sequence[tuple[Segment, npt.NDArray[np.int64]]],
    tap: int,
    features: npt.NDArray[np.int32],
    weights: Float32,
) -> Float32:
    """Return each row's extra mass in each cell: the sum of exp(s(p)) - 1 over the cell's positions.

    Exponents are not taken per position: exp of a sum is a product, so a posting multiplies its
    position's running value by a factor looked up by its code.
    Relative error of a cell's mass below 1e-5 where weights do not cancel out.

    Args:
        parts: Segments with the int64 cell numbers wanted of each, ascending.
        tap: Number of the tap in the layout.
        features: int32 (R, F), -1 for unused.
        weights: float32 (R, F).

    Returns:
        float32 (R, C), the wanted cells of all parts one after the other.

    Raises:
        InvalidInputError: Shapes differ, a feature id is out of range or a weight is not finite.
    """
    masses = np.empty((len(features), sum(len(cells) for _, cells in parts)), np.float32)
    if not parts:
        return masses
    layout = parts[0][0].layout
    features, weights = _checked(features, weights, layout.n_features[tap], ndim=2)
    factors = _factors(weights, layout.step(tap))
    first = layout.feature_offsets[tap]

    def fill(rows: slice) -> None:
        column = 0
        for segment, cells in parts:
            _add_masses(
                segment.positions,
                segment.codes,
                segment.pointers,
                first,
                features[rows],
                factors[rows],
                cells,
                masses[rows],
                column,
            )
            column += len(cells)

    _in_threads(fill, len(features), sum(len(segment.pointers) for segment, _ in parts))
    return masses


def cell_counts(
    parts: Sequence[tuple[Segment, npt.NDArray[np.int64]]],
    tap: int,
    features: npt.NDArray[np.int32],
    weights: Float32,
) -> Float32:
    """Return, per cell, the weights of the given features summed over their postings, codes ignored.

    This is the published scoring of S3-Attention (arXiv 2601.17702): shared feature ids count, weighted
    by rarity, activations do not.

    Args:
        parts: Segments with the int64 cell numbers wanted of each, ascending.
        tap: Number of the tap in the layout.
        features: int32 (Q,), -1 for unused.
        weights: float32 (Q,).

    Returns:
        float32 (C,), the wanted cells of all parts one after the other.

    Raises:
        InvalidInputError: Shapes differ, a feature id is out of range or a weight is not finite.
    """
    counts = np.empty(sum(len(cells) for _, cells in parts), np.float32)
    column = 0
    for segment, cells in parts:
        features, weights = _checked(features, weights, segment.layout.n_features[tap], ndim=1)
        first = segment.layout.feature_offsets[tap]
        out = counts[column : column + len(cells)]
        _add_counts(segment.positions, segment.pointers, first, features, weights, cells, out)
        column += len(cells)
    return counts


def cell_frequencies(
    token_ids: npt.NDArray[np.uint32],
    token_pointers: npt.NDArray[np.int64],
    documents: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """Count the cells that hold each of a few tokens.

    Args:
        token_ids: uint32 (N,), the id of each token.
        token_pointers: int64 (D + 1,), where each document's tokens begin and end; cells begin there too.
        documents: int64, numbers of the documents that count.
        wanted: int32 (n,), ids.

    Returns:
        int64 (n,).
    """
    distinct, places = np.unique(wanted, return_inverse=True)
    counts = np.zeros(len(distinct), np.int64)
    if len(distinct):
        numbers = np.full(int(distinct[-1]) + 2, -1, np.int32)  # the last one stands for all higher ids
        numbers[distinct] = np.arange(len(distinct))
        _count_cells(token_ids, token_pointers, documents, numbers, counts)
    return counts[places]


def contributions(
    segment: Segment, tap: int, features: npt.NDArray[np.int32], weights: Float32, first: int, last: int
) -> Float32:
    """Return w_f z_f(p) for every row, slot and position of a range.

    Args:
        segment: The segment.
        tap: Number of the tap in the layout.
        features: int32 (R, F), -1 for unused.
        weights: float32 (R, F).
        first: First position, within the segment.
        last: One past the last position, within the segment.

    Returns:
        float32 (R, F, last - first).

    Raises:
        InvalidInputError: Shapes differ, a feature id is out of range or a weight is not finite.
    """
    features, weights = _checked(features, weights, segment.layout.n_features[tap], ndim=2)
    out = np.zeros((*features.shape, last - first), np.float32)
    offset, step = segment.layout.feature_offsets[tap], np.float32(segment.layout.step(tap))
    _add_contributions(
        segment.positions, segment.codes, segment.pointers, offset, step, features, weights, first, last, out
    )
    return out


def _checked(
    features: npt.NDArray[Any], weights: npt.NDArray[Any], n_features: int, ndim: int
) -> tuple[npt.NDArray[np.int32], Float32]:
    if features.ndim != ndim or features.shape != weights.shape:
        msg = f"features {features.shape} and weights {weights.shape} must have one shape of {ndim} axes"
        raise InvalidInputError(msg)
    if features.size and not -1 <= features.min() <= features.max() < n_features:
        msg = f"feature {features.max()} or {features.min()} is not in -1..{n_features - 1}"
        raise InvalidInputError(msg)
    if not np.isfinite(weights).all():
        msg = "a weight of a query row is not finite; was the host loaded in a precision it supports?"
        raise InvalidInputError(msg)
    return np.ascontiguousarray(features, np.int32), np.ascontiguousarray(weights, np.float32)


def _in_threads(work: Callable[[slice], None], rows: int, blocks: int) -> None:
    """Run ``work`` on slices of the rows; a single block is not worth a thread.

    Threads of our own and not Numba's ``parallel``, some of whose threading layers abort the process when
    two threads of the caller search at a time, or after a fork.
    """
    slices = [slice(first, min(first + _ROWS, rows)) for first in range(0, rows, _ROWS)]
    workers = min(numba.config.NUMBA_NUM_THREADS, len(slices), blocks)
    if workers < 2:
        work(slice(0, rows))
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, slices))


@njit(cache=True, nogil=True)
def _factors(weights, step):  # type: ignore[no-untyped-def]
    """Return exp(weight * step * code) for every code, float32 (R, F, MAX_CODE + 1)."""
    factors = np.empty((*weights.shape, MAX_CODE + 1), np.float32)
    highest = np.exp(MAX_SCORE)
    for r in range(weights.shape[0]):
        for f in range(weights.shape[1]):
            factor = np.exp(weights[r, f] * step)
            value = 1.0
            for code in range(MAX_CODE + 1):
                factors[r, f, code] = min(value, highest)
                value *= factor
    return factors


@njit(cache=True, nogil=True)
def _add_masses(positions, codes, pointers, offset, features, factors, cells, out, column):  # type: ignore[no-untyped-def]
    """Write the rows' extra masses of ``cells`` to ``out[:, column:]``."""
    values = np.ones(BLOCK, np.float32)  # exp of the score so far, per position
    masses = np.empty(_BLOCK_CELLS, np.float32)
    for r in range(features.shape[0]):
        wanted = 0
        for b in range(len(pointers)):
            for f in range(features.shape[1]):
                if features[r, f] < 0:
                    continue
                feature = offset + features[r, f]
                table = factors[r, f]
                begin, end = pointers[b, feature], pointers[b, feature + 1]
                for p, code in zip(positions[begin:end], codes[begin:end]):  # noqa: B905 (unknown to Numba)
                    values[p] *= table[code]
            _take_masses(values, masses)
            while wanted < len(cells) and cells[wanted] < (b + 1) * _BLOCK_CELLS:
                out[r, column + wanted] = masses[cells[wanted] - b * _BLOCK_CELLS]
                wanted += 1


@njit(cache=True, nogil=True, fastmath={"reassoc", "nnan"})
def _take_masses(values, masses):  # type: ignore[no-untyped-def]
    """Write each cell's sum of values less 1 to ``masses``, and set the values to 1 again.

    A value beyond exp(MAX_SCORE), even an infinite one, counts as that.
    """
    highest = np.float32(np.exp(MAX_SCORE))
    one = np.float32(1)
    by_cell = values.reshape(_BLOCK_CELLS, CELL)
    for c in range(_BLOCK_CELLS):  # written so that it compiles to vector instructions
        total = np.float32(0)
        for i in range(CELL):
            value = by_cell[c, i]
            total += (value if value < highest else highest) - one
        masses[c] = total
    values[:] = one


@njit(cache=True, nogil=True)
def _add_counts(positions, pointers, offset, features, weights, cells, out):  # type: ignore[no-untyped-def]
    """Write the weighted counts of ``cells`` to ``out``."""
    block_counts = np.empty(_BLOCK_CELLS, np.float32)
    wanted = 0
    for b in range(len(pointers)):
        block_counts[:] = 0
        for f in range(len(features)):
            if features[f] < 0:
                continue
            feature = offset + features[f]
            for p in positions[pointers[b, feature] : pointers[b, feature + 1]]:
                block_counts[p // _CELL] += weights[f]
        while wanted < len(cells) and cells[wanted] < (b + 1) * _BLOCK_CELLS:
            out[wanted] = block_counts[cells[wanted] - b * _BLOCK_CELLS]
            wanted += 1


@njit(cache=True, nogil=True)
def _count_cells(token_ids, token_pointers, documents, numbers, counts):  # type: ignore[no-untyped-def]
    """Add to ``counts`` the cells that hold each id; ``numbers`` says which count is an id's, or -1."""
    seen = np.full(len(counts), -1, np.int64)  # the first token of the last cell in which each was found
    highest = np.uint32(len(numbers) - 1)
    for d in range(len(documents)):
        begin, end = token_pointers[documents[d]], token_pointers[documents[d] + 1]
        for first in range(begin, end, CELL):
            for token in token_ids[first : min(first + CELL, end)]:
                number = numbers[min(token, highest)]
                if number >= 0 and seen[number] != first:
                    seen[number] = first
                    counts[number] += 1


@njit(cache=True, nogil=True)
def _add_contributions(positions, codes, pointers, offset, step, features, weights, first, last, out):  # type: ignore[no-untyped-def]
    """Write the contributions of positions ``first:last`` to ``out``, which is zero before."""
    for b in range(first // BLOCK, -(-last // BLOCK)):
        base = b * BLOCK
        for r in range(features.shape[0]):
            for f in range(features.shape[1]):
                if features[r, f] < 0:
                    continue
                feature = offset + features[r, f]
                begin, end = pointers[b, feature], pointers[b, feature + 1]
                begin += np.searchsorted(positions[begin:end], max(first - base, 0))
                for j in range(begin, end):
                    p = base + positions[j] - first
                    if p >= last - first:
                        break
                    out[r, f, p] = weights[r, f] * (np.float32(codes[j]) * step)
