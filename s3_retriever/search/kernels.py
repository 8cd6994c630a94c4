"""Scoring kernels: from the features of query rows to numbers per cell.

A query row gives F feature ids (int32, -1 for an unused slot) and F weights. The score of position p
is s(p) = sum over f of w_f z_f(p), z_f(p) being the stored weight, 0 if there is no posting. Every
float operation on a cell happens in an order that depends on the row alone, so a document's numbers are
bit-identical whatever segment and block it lies in, and whichever thread computes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import aligned, aligned_in_kernel, njit
from s3_retriever.errors import InvalidInputError
from s3_retriever.index.layout import BLOCK, CELL, N_LEVELS, STEP
from s3_retriever.index.packed import level_of, place_of, unpack
from s3_retriever.index.segment import Segment
from s3_retriever.index.snapshot import LiveSegment
from s3_retriever.search.workers import Workers

Float32 = npt.NDArray[np.float32]

LANES = 16
"""Rows in a group. A group's masses of one cell lie side by side and fill a cache line."""

MAX_SCORE = 20.0
"""Scores saturate here: e^20 stands far above any mass of text, and float32 stays far from overflow."""

_ALONE = 1 << 15  # cells times rows that one thread has scored before others have begun
_TASKS = 2  # per thread of the last blocks, about, so that all end together
_BLOCK_CELLS = BLOCK // CELL


def n_groups(n_rows: int) -> int:
    """Return the number of groups of :data:`LANES` that hold so many rows."""
    return -(-n_rows // LANES)


def cell_masses(
    parts: Sequence[LiveSegment],
    taps: npt.ArrayLike,
    features: npt.NDArray[np.int32],
    weights: Float32,
    workers: Workers | None = None,
) -> Float32:
    """Return each row's extra mass in each cell: the sum of exp(s(p)) - 1 over the cell's positions.

    Exponents are not taken per position: exp of a sum is a product, so a posting multiplies its
    position's running value by a factor looked up by its level.
    Relative error of a cell's mass below 1e-5 where weights do not cancel out.

    Args:
        parts: Segments with their live documents, as in ``Snapshot.parts``.
        taps: Number of each row's tap in the layout, int (R,), or that of all rows.
        features: int32 (R, F), -1 for unused.
        weights: float32 (R, F).
        workers: Threads to share the work with.

    Returns:
        float32 (G, C, LANES): row r is ``[r // LANES, :, r % LANES]``, the live cells of all parts one after
        the other. Lanes without a row are 0.

    Raises:
        InvalidInputError: Shapes differ, a feature id is out of range or a weight is not finite.
    """
    n_cells = sum(len(part.cells) for part in parts)
    shape = n_groups(len(features)), n_cells, LANES
    masses = aligned(math.prod(shape)).reshape(shape)
    masses[-1:, :, len(features) % LANES or LANES :] = 0
    if not masses.size:
        return masses
    layout = parts[0].segment.layout
    taps = np.broadcast_to(taps, len(features))
    features, weights = _checked(features, weights, np.take(layout.n_features, taps)[:, None], ndim=2)
    columns = features + np.take(layout.feature_offsets, taps).astype(np.int32)[:, None]
    columns[features < 0] = -1
    powers = _powers(weights, np.take(layout.weakest, taps) + STEP / 2)

    def fill(task: _Task) -> None:
        _add_masses(
            *task.part.segment.features.lists,
            columns,
            powers,
            task.part.cells,
            masses,
            task.column,
            *task.blocks,
            *task.rows,
        )

    if workers is None or n_cells * len(features) < _ALONE:
        workers = Workers(1)
    workers.each(fill, list(_tasks(parts, len(features), workers.n_threads)))
    return masses


class _Task(NamedTuple):
    """Some rows in some blocks of a part.

    Attributes:
        part: The part.
        column: Number of its first live cell.
        blocks: First block and one past the last.
        rows: First row and one past the last.
    """

    part: LiveSegment
    column: int
    blocks: tuple[int, int]
    rows: tuple[int, int]


def _tasks(parts: Sequence[LiveSegment], n_rows: int, n_threads: int) -> Iterator[_Task]:
    """Cut the work: by blocks, whose postings the rows share, and at the end by rows too."""
    columns = np.cumsum([0, *(len(part.cells) for part in parts)])[:-1].tolist()
    sizes = [part.segment.features.n_blocks for part in parts]
    if n_threads == 1:
        for part, column, size in zip(parts, columns, sizes, strict=True):
            if size:
                yield _Task(part, column, (0, size), (0, n_rows))
        return
    left = sum(sizes)
    n_last = left - max(0, left - 1) // n_threads * n_threads
    together = LANES * max(1, -(-n_groups(n_rows) * n_last // (_TASKS * n_threads)))
    for part, column, size in zip(parts, columns, sizes, strict=True):
        for block in range(size):
            step = together if left <= n_last else n_rows
            for row in range(0, n_rows, step):
                yield _Task(part, column, (block, block + 1), (row, min(row + step, n_rows)))
            left -= 1


def cell_counts(
    parts: Sequence[LiveSegment],
    tap: int,
    features: npt.NDArray[np.int32],
    weights: Float32,
) -> Float32:
    """Return, per cell, the weights of the given features summed over their postings, levels ignored.

    This is the published scoring of S3-Attention (arXiv 2601.17702): shared feature ids count, weighted
    by rarity, activations do not.

    Args:
        parts: Segments with their live documents, as in ``Snapshot.parts``.
        tap: Number of the tap in the layout.
        features: int32 (Q,), -1 for unused.
        weights: float32 (Q,).

    Returns:
        float32 (C,), the live cells of all parts one after the other.

    Raises:
        InvalidInputError: Shapes differ, a feature id is out of range or a weight is not finite.
    """
    counts = np.empty(sum(len(part.cells) for part in parts), np.float32)
    column = 0
    for part in parts:
        segment = part.segment
        features, weights = _checked(features, weights, segment.layout.n_features[tap], ndim=1)
        first = segment.layout.feature_offsets[tap]
        out = counts[column : column + len(part.cells)]
        _add_counts(*segment.features.lists, first, features, weights, part.cells, out)
        column += len(part.cells)
    return counts


def contributions(
    place: tuple[Segment, int],
    tokens: tuple[int, int],
    tap: int,
    features: npt.NDArray[np.int32],
    weights: Float32,
) -> Float32:
    """Return w_f z_f(p) for every row, slot and token of a range.

    Args:
        place: A segment and the number of a document in it, as from ``Snapshot.place``.
        tokens: First token, counted in the document, and one past the last.
        tap: Number of the tap in the layout.
        features: int32 (R, F), -1 for unused.
        weights: float32 (R, F).

    Returns:
        float32 (R, F, n) for n tokens.

    Raises:
        InvalidInputError: The document has no such tokens, shapes differ, a feature id is out of range or a
            weight is not finite.
    """
    segment, document = place
    first, last = tokens
    n_tokens = len(segment.own_ids(document))
    if not 0 <= first <= last <= n_tokens:
        msg = f"tokens {first}..{last} are not within 0..{n_tokens} of document {segment.ids[document]!r}"
        raise InvalidInputError(msg)
    features, weights = _checked(features, weights, segment.layout.n_features[tap], ndim=2)
    out = np.zeros((*features.shape, last - first), np.float32)
    offset = segment.layout.feature_offsets[tap]
    begin = int(segment.cell_pointers[document]) * CELL
    lists, lowest_level = segment.features.lists, segment.layout.weakest[tap] + STEP / 2
    _add_contributions(*lists, offset, lowest_level, features, weights, begin + first, begin + last, out)
    return out


def _checked(
    features: npt.NDArray[Any], weights: npt.NDArray[Any], n_features: npt.ArrayLike, ndim: int
) -> tuple[npt.NDArray[np.int32], Float32]:
    if features.ndim != ndim or features.shape != weights.shape:
        msg = f"features {features.shape} and weights {weights.shape} must have one shape of {ndim} axes"
        raise InvalidInputError(msg)
    if not ((features >= -1) & (features < n_features)).all():
        msg = f"feature {features.max()} or {features.min()} is not in -1..{np.max(n_features) - 1}"
        raise InvalidInputError(msg)
    if not np.isfinite(weights).all():
        msg = "a weight of a query row is not finite; was the host loaded in a precision it supports?"
        raise InvalidInputError(msg)
    return np.ascontiguousarray(features, np.int32), np.ascontiguousarray(weights, np.float32)


@njit(cache=True, nogil=True)
def _powers(weights, lowest_levels):  # type: ignore[no-untyped-def]
    """Return exp(weight * z) for the z of each level, float32 (R, F, N_LEVELS), given each row's level 0."""
    powers = np.empty((*weights.shape, N_LEVELS), np.float32)
    highest = np.exp(MAX_SCORE)
    for r in range(weights.shape[0]):
        for f in range(weights.shape[1]):
            value, factor = np.exp(weights[r, f] * lowest_levels[r]), np.exp(weights[r, f] * STEP)
            for level in range(N_LEVELS):
                powers[r, f, level] = min(value, highest)
                value *= factor
    return powers


@njit(cache=True, nogil=True)
def _add_masses(  # type: ignore[no-untyped-def]
    data,
    begins,
    counts,
    block_cells,
    columns,
    powers,
    cells,
    out,
    column,
    first_block,
    last_block,
    first_row,
    last_row,
):
    """Write the extra masses of some rows in the live ``cells`` of some blocks to ``out[:, column:]``.

    A list is read once in a block, however many rows want it.
    """
    # exp of the score so far, per place: the first ones of all cells, then the second ones, and so on.
    # Whatever the bits of a sound list, a place is below the next power of two.
    size = 1
    while size < block_cells[first_block] * CELL:
        size *= 2
    values = aligned_in_kernel(size)
    values[:] = 1
    masses = aligned_in_kernel(block_cells[first_block])
    read = np.empty(counts.shape[1], np.int64)  # where the postings of each list begin that was read
    for b in range(first_block, last_block):
        base = b * _BLOCK_CELLS
        first, last = np.searchsorted(cells, base), np.searchsorted(cells, base + _BLOCK_CELLS)
        if first == last:
            continue
        postings = np.empty(_n_postings(counts[b], columns[first_row:last_row], read), np.uint32)
        n = 0
        for r in range(first_row, last_row):
            for f in range(columns.shape[1]):
                column_in = columns[r, f]
                if column_in < 0 or counts[b, column_in] == 0:
                    continue
                count = counts[b, column_in]
                if read[column_in] < 0:
                    read[column_in] = n
                    n += count
                    own = postings[n - count : n]
                    unpack(data, begins[b, column_in], count, block_cells[b] * CELL, own)
                factors = powers[r, f]
                for posting in postings[read[column_in] : read[column_in] + count]:
                    values[place_of(posting)] *= factors[level_of(posting)]
            _take_masses(values, masses[: block_cells[b]])
            for i in range(first, last):
                out[r // LANES, column + i, r % LANES] = masses[cells[i] - base]


@njit(cache=True, nogil=True)
def _n_postings(counts, columns, marks):  # type: ignore[no-untyped-def]
    """Return how many postings the lists of a block have together that some rows want; all marks get -1."""
    n = 0
    marks[:] = 0
    for column in columns.flat:
        if column >= 0 and marks[column] == 0:
            marks[column] = 1
            n += counts[column]
    marks[:] = -1
    return n


@njit(cache=True, nogil=True)
def _take_masses(values, masses):  # type: ignore[no-untyped-def]
    """Write each cell's sum of values less 1 to ``masses``, and set the values to 1 again.

    A value beyond exp(MAX_SCORE), even one that is no number, counts as that.
    """
    highest, one = np.float32(np.exp(MAX_SCORE)), np.float32(1)
    n = len(masses)
    masses[:] = 0
    for i in range(CELL):
        line = values[i * n : (i + 1) * n]
        for c in range(n):  # so that it compiles to vector instructions
            masses[c] += (line[c] if line[c] < highest else highest) - one
            line[c] = one


@njit(cache=True, nogil=True)
def _add_counts(data, begins, counts, block_cells, offset, features, weights, cells, out):  # type: ignore[no-untyped-def]
    """Write the weighted counts of ``cells`` to ``out``."""
    block_counts = np.empty(_BLOCK_CELLS, np.float32)
    found = np.empty(BLOCK, np.uint32)
    wanted = 0
    for b in range(len(block_cells)):
        block_counts[:] = 0
        n_cells = block_cells[b]
        for f in range(len(features)):
            if features[f] < 0:
                continue
            feature = offset + features[f]
            count = counts[b, feature]
            unpack(data, begins[b, feature], count, n_cells * CELL, found)
            for posting in found[:count]:
                block_counts[place_of(posting) % n_cells] += weights[f]
        while wanted < len(cells) and cells[wanted] < (b + 1) * _BLOCK_CELLS:
            out[wanted] = block_counts[cells[wanted] - b * _BLOCK_CELLS]
            wanted += 1


@njit(cache=True, nogil=True)
def _add_contributions(  # type: ignore[no-untyped-def]
    data, begins, counts, block_cells, offset, lowest_level, features, weights, first, last, out
):
    """Write the contributions of positions ``first:last`` to ``out``, which is zero before."""
    found = np.empty(BLOCK, np.uint32)
    for b in range(first // BLOCK, -(-last // BLOCK)):
        n_cells = block_cells[b]
        for r in range(features.shape[0]):
            for f in range(features.shape[1]):
                if features[r, f] < 0:
                    continue
                feature = offset + features[r, f]
                count = counts[b, feature]
                unpack(data, begins[b, feature], count, n_cells * CELL, found)
                for posting in found[:count]:
                    place, level = place_of(posting), level_of(posting)
                    p = b * BLOCK + place % n_cells * CELL + place // n_cells - first
                    if 0 <= p < last - first:
                        out[r, f, p] = weights[r, f] * np.float32(lowest_level + level * STEP)
