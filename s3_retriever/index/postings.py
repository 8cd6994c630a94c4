"""Kernels for postings of features and of terms: quantise, invert, restore, count.

Single-threaded, without the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.index.layout import CELL, MAX_CODE, STEP


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written to; Numba compiles read-only and writable arrays apart."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


@njit(cache=True, nogil=True)
def quantize(features, weights, features_out, codes_out, row, slot):  # type: ignore[no-untyped-def]
    """Write one tap's rows into the buffers of a block, at ``(row, slot)``.

    Args:
        features: uint16 (n, k).
        weights: float32 (n, k); what is not positive is no posting.
        features_out: uint16 (rows, slots), written.
        codes_out: uint8 (rows, slots), written; a posting's code is never below 1, so that none vanishes.
        row: First row to write.
        slot: First slot to write.
    """
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            code = 0
            if weights[i, j] > 0:
                code = max(1, int(min(weights[i, j] / STEP + 0.5, MAX_CODE)))
            features_out[row + i, slot + j] = features[i, j]
            codes_out[row + i, slot + j] = code


@njit(cache=True, nogil=True)
def invert(features, codes, slot_bases, n_features):  # type: ignore[no-untyped-def]
    """Group a block's postings by feature (a counting sort, so positions ascend within each).

    Args:
        features: uint16 (rows, slots).
        codes: uint8 (rows, slots), 0 for none.
        slot_bases: int64 (slots,), the first feature of each slot's tap, taps side by side.
        n_features: Features of all taps.

    Returns:
        pointers int64 (n_features + 1,), positions uint16 (P,), codes uint8 (P,).
    """
    pointers = np.zeros(n_features + 1, np.int64)
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            if codes[i, j]:
                pointers[slot_bases[j] + features[i, j] + 1] += 1
    pointers = np.cumsum(pointers)
    cursor = pointers.copy()
    positions_out = np.empty(pointers[-1], np.uint16)
    codes_out = np.empty(pointers[-1], np.uint8)
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            if codes[i, j]:
                feature = slot_bases[j] + features[i, j]
                positions_out[cursor[feature]] = i
                codes_out[cursor[feature]] = codes[i, j]
                cursor[feature] += 1
    return pointers, positions_out, codes_out


@njit(cache=True, nogil=True)
def restore(positions, codes, pointers, feature_offsets, slot_offsets, rows):  # type: ignore[no-untyped-def]
    """Undo :func:`invert` for one block, up to the order of slots within a tap.

    Args:
        positions: uint16 (P,), of the whole segment.
        codes: uint8 (P,).
        pointers: int64 (n_features + 1,), of the block.
        feature_offsets: int64 (T + 1,).
        slot_offsets: int64 (T + 1,).
        rows: Positions in a block.

    Returns:
        features uint16 (rows, slots), codes uint8 (rows, slots) with 0 for none.
    """
    features_out = np.zeros((rows, slot_offsets[-1]), np.uint16)
    codes_out = np.zeros((rows, slot_offsets[-1]), np.uint8)
    for tap in range(len(slot_offsets) - 1):
        cursor = np.full(rows, slot_offsets[tap])
        for feature in range(feature_offsets[tap], feature_offsets[tap + 1]):
            for j in range(pointers[feature], pointers[feature + 1]):
                row = positions[j]
                if cursor[row] < slot_offsets[tap + 1]:  # always, unless a file was forged
                    features_out[row, cursor[row]] = feature - feature_offsets[tap]
                    codes_out[row, cursor[row]] = codes[j]
                    cursor[row] += 1
    return features_out, codes_out


@njit(cache=True, nogil=True)
def add_frequencies(positions, pointers, chosen, counts):  # type: ignore[no-untyped-def]
    """Count one block's postings in the chosen cells.

    Args:
        positions: uint16 (P,), of the whole segment.
        pointers: int64 (n_features + 1,), of the block.
        chosen: bool (BLOCK // CELL,).
        counts: int64 (n_features,), added to.
    """
    for feature in range(len(pointers) - 1):
        for j in range(pointers[feature], pointers[feature + 1]):
            counts[feature] += chosen[positions[j] // CELL]


@njit(cache=True, nogil=True)
def invert_terms(numbers, cells, ranks, n_cells):  # type: ignore[no-untyped-def]
    """Group occurrences of terms by term and write their gaps (a counting sort); see ``index/terms.py``.

    Args:
        numbers: uint32 (N,), the number of each occurrence's term.
        cells: uint32 (N,), its cell; ascending for each term.
        ranks: uint32 (V,), the place of each term's number in the result.
        n_cells: Cells of the segment.

    Returns:
        The gaps, uint8; int64 (V + 1,) pointers to those of each term; int64 (n_cells,), terms in each cell.
    """
    pointers = np.zeros(len(ranks) + 1, np.int64)
    lengths = np.zeros(n_cells, np.int64)
    last = np.zeros(len(ranks), np.int64)
    for i in range(len(cells)):
        term = ranks[numbers[i]]
        gap = cells[i] - last[term]
        last[term] = cells[i]
        lengths[cells[i]] += 1
        pointers[term + 1] += 1
        while gap >= 128:
            gap >>= 7
            pointers[term + 1] += 1
    pointers = np.cumsum(pointers)
    cursor = pointers.copy()
    gaps = np.empty(pointers[-1], np.uint8)
    last.fill(0)
    for i in range(len(cells)):
        term = ranks[numbers[i]]
        gap = cells[i] - last[term]
        last[term] = cells[i]
        while gap >= 128:
            gaps[cursor[term]] = gap & 127 | 128
            cursor[term] += 1
            gap >>= 7
        gaps[cursor[term]] = gap
        cursor[term] += 1
    return gaps, pointers, lengths


@njit(cache=True, nogil=True)
def restore_terms(gaps, pointers):  # type: ignore[no-untyped-def]
    """Undo :func:`invert_terms` for terms side by side.

    An array and no generator: numba 0.68.1 cannot use a generator that another process has cached.

    Args:
        gaps: uint8, of the whole segment.
        pointers: int64 (V + 1,), where the gaps of each of the terms begin and end.

    Returns:
        uint32 (N,), the number of each occurrence's term, from 0; int64 (N,), its cell.
    """
    numbers = np.empty(pointers[-1] - pointers[0], np.uint32)
    cells = np.empty(len(numbers), np.int64)
    n = 0
    for term in range(len(pointers) - 1):
        cell, gap, shift = 0, 0, 0
        for i in range(pointers[term], pointers[term + 1]):
            byte = gaps[i]
            gap |= (byte & 127) << shift
            if byte >= 128:
                shift = min(shift + 7, 56)
                continue
            cell += gap
            gap, shift = 0, 0
            numbers[n] = term
            cells[n] = cell
            n += 1
    return numbers[:n], cells[:n]
