"""Kernels that write postings: quantise, invert, restore, count. Single-threaded, no GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

from s3_retriever.index.layout import CELL, MAX_CODE


@njit(cache=True, nogil=True)
def quantize(features, weights, step, features_out, codes_out, row, slot):  # type: ignore[no-untyped-def]
    """Write one tap's rows into the buffers of a block, at ``(row, slot)``.

    Args:
        features: uint16 (n, k).
        weights: float32 (n, k); what is not positive is no posting.
        step: The weight of one code unit.
        features_out: uint16 (rows, slots), written.
        codes_out: uint8 (rows, slots), written; a posting's code is never below 1, so that none vanishes.
        row: First row to write.
        slot: First slot to write.
    """
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            code = 0
            if weights[i, j] > 0:
                code = max(1, int(min(weights[i, j] / step + 0.5, MAX_CODE)))
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
