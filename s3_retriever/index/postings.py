"""Kernels for postings of features and of terms: quantise, invert, restore, count.

Single-threaded, without the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.index.layout import CELL, N_LEVELS, STEP
from s3_retriever.index.packed import lay_out, level_of, pack, place_of, unpack

Int64 = npt.NDArray[np.int64]

_MOST_IDS = 1 << 22  # of tokens; no vocabulary has as many, and what a damaged file says must not fill memory


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written to; Numba compiles read-only and writable arrays apart."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def smallest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return whole numbers, none negative, in the smallest unsigned type that holds them all."""
    return values.astype(np.min_scalar_type(values.max(initial=0)))


@njit(cache=True, nogil=True)
def quantize(features, weights, weakest, features_out, codes_out, row, slot):  # type: ignore[no-untyped-def]
    """Write one tap's rows into the buffers of a block, at ``(row, slot)``.

    Args:
        features: uint16 (n, k).
        weights: float32 (n, k).
        weakest: What is below is no posting.
        features_out: uint16 (rows, slots), written.
        codes_out: uint8 (rows, slots), written: a posting's level and 1, or 0.
        row: First row to write.
        slot: First slot to write.
    """
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            code = 0
            if weights[i, j] >= weakest:
                code = 1 + int(min((weights[i, j] - weakest) / STEP, N_LEVELS - 1))
            features_out[row + i, slot + j] = features[i, j]
            codes_out[row + i, slot + j] = code


@njit(cache=True, nogil=True)
def invert(features, codes, slot_bases, n_features):  # type: ignore[no-untyped-def]
    """Group a block's postings by feature (a counting sort by places) and write each list as bits.

    Args:
        features: uint16 (rows, slots), whole cells.
        codes: uint8 (rows, slots), a level and 1, or 0 for none.
        slot_bases: int64 (slots,), the first feature of each slot's tap, taps side by side.
        n_features: Features of all taps.

    Returns:
        Postings of each list, int32 (n_features,); the lists, uint8.
    """
    rows, slots = features.shape
    cells = rows // CELL
    counts = np.zeros((1, n_features), np.int32)
    for i in range(rows):
        for j in range(slots):
            if codes[i, j]:
                counts[0, slot_bases[j] + features[i, j]] += 1
    ends = np.cumsum(counts[0])
    cursor = ends - counts[0]
    places = np.empty(ends[-1], np.int32)
    levels = np.empty(ends[-1], np.uint8)
    for slot in range(CELL):
        for cell in range(cells):
            row = cell * CELL + slot
            for j in range(slots):
                if codes[row, j]:
                    feature = slot_bases[j] + features[row, j]
                    places[cursor[feature]] = slot * cells + cell
                    levels[cursor[feature]] = codes[row, j] - 1
                    cursor[feature] += 1
    begins = np.empty((1, n_features), np.int64)
    data = np.zeros(lay_out(counts, np.full(1, rows), begins), np.uint8)
    for feature in range(n_features):
        some = slice(ends[feature] - counts[0, feature], ends[feature])
        pack(places[some], levels[some], rows, data, begins[0, feature])
    return counts[0], data


@njit(cache=True, nogil=True)
def restore(data, begins, counts, cells, block, feature_offsets, slot_offsets):  # type: ignore[no-untyped-def]
    """Undo :func:`invert` for one block, up to the order of slots within a tap.

    Args:
        data: As in ``Lists``, and so are the next three.
        begins: int64 (B, F).
        counts: int32 (B, F).
        cells: int64 (B,).
        block: Its number.
        feature_offsets: int64 (T + 1,).
        slot_offsets: int64 (T + 1,).

    Returns:
        features uint16 (rows, slots), codes uint8 (rows, slots): a level and 1, or 0 for none.
    """
    n_cells = cells[block]
    rows = n_cells * CELL
    features_out = np.zeros((rows, slot_offsets[-1]), np.uint16)
    codes_out = np.zeros((rows, slot_offsets[-1]), np.uint8)
    found = np.empty(rows, np.uint32)
    for tap in range(len(slot_offsets) - 1):
        cursor = np.full(rows, slot_offsets[tap])
        for feature in range(feature_offsets[tap], feature_offsets[tap + 1]):
            count = counts[block, feature]
            unpack(data, begins[block, feature], count, rows, found)
            for posting in found[:count]:
                row = place_of(posting) % n_cells * CELL + place_of(posting) // n_cells
                # Always, unless a file was forged:
                if row < rows and cursor[row] < slot_offsets[tap + 1]:
                    features_out[row, cursor[row]] = feature - feature_offsets[tap]
                    codes_out[row, cursor[row]] = level_of(posting) + 1
                    cursor[row] += 1
    return features_out, codes_out


@njit(cache=True, nogil=True)
def add_frequencies(data, begins, counts, cells, block, chosen, totals):  # type: ignore[no-untyped-def]
    """Count one block's postings in the chosen cells.

    Args:
        data: As in ``Lists``, and so are the next three.
        begins: int64 (B, F).
        counts: int32 (B, F).
        cells: int64 (B,).
        block: Its number.
        chosen: bool (cells of the block,).
        totals: int64 (F,), added to.
    """
    n_cells = cells[block]
    size = n_cells * CELL
    found = np.empty(size, np.uint32)
    for feature in range(counts.shape[1]):
        count = counts[block, feature]
        unpack(data, begins[block, feature], count, size, found)
        for posting in found[:count]:
            totals[feature] += chosen[place_of(posting) % n_cells]


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
def _next_gap(gaps, at, end):  # type: ignore[no-untyped-def]
    """Return the gap that begins at a byte, and the byte behind it; -1 if it does not end before ``end``."""
    gap, shift = 0, 0
    while at < end:
        byte = gaps[at]
        at += 1
        gap |= (byte & 127) << shift
        if byte < 128:
            return gap, at
        shift = min(shift + 7, 56)
    return -1, at


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
        cell = 0
        gap, at = _next_gap(gaps, pointers[term], pointers[term + 1])
        while gap >= 0:
            cell += gap
            numbers[n] = term
            cells[n] = cell
            n += 1
            gap, at = _next_gap(gaps, at, pointers[term + 1])
    return numbers[:n], cells[:n]


@njit(cache=True, nogil=True)
def count_term(gaps, pointers, n_cells, before):  # type: ignore[no-untyped-def]
    """Return the cells of a term, each once, and how often each has it.

    Args:
        gaps: uint8, of the whole segment.
        pointers: int64 (2,), where those of the term begin and end.
        n_cells: Cells of the segment.
        before: int64 (n_cells + 1,), how many cells before each one count, and all that do: the others are
            left out, and cells are numbered without them. Empty: all count.

    Returns:
        int64 (n,), ascending; int32 (n,); whether all cells are there.
    """
    size = pointers[1] - pointers[0]
    cells, counts = np.empty(size, np.int64), np.empty(size, np.int32)
    n, counted = 0, False
    cell, last = 0, -1
    gap, at = _next_gap(gaps, pointers[0], pointers[1])
    while gap >= 0:
        cell += gap
        gap, at = _next_gap(gaps, at, pointers[1])
        if not 0 <= cell < n_cells:
            return cells[:0], counts[:0], False
        if cell != last:
            counted = len(before) == 0 or before[cell + 1] > before[cell]
            if counted:
                cells[n] = before[cell] if len(before) else cell
                counts[n] = 1
                n += 1
            last = cell
        elif counted:
            counts[n - 1] += 1
    return cells[:n], counts[:n], True


@njit(cache=True, nogil=True)
def term_place(text, offsets, key):  # type: ignore[no-untyped-def]
    """Return how many of the terms, which ascend, are less than a key; whether the next one is the key.

    Args:
        text: uint8, the terms one after the other.
        offsets: int64 (V + 1,), where each begins and ends.
        key: uint8.
    """
    low, high = 0, len(offsets) - 1
    while low < high:
        middle = (low + high) // 2
        begin, length = offsets[middle], offsets[middle + 1] - offsets[middle]
        i = 0
        while i < length and i < len(key) and text[begin + i] == key[i]:
            i += 1
        if i == length and i == len(key):
            return middle, True
        if i == length or (i < len(key) and text[begin + i] < key[i]):
            low = middle + 1
        else:
            high = middle
    return low, False


def cells_of_tokens(token_ids: npt.NDArray[Any], pointers: Int64, documents: Int64) -> Int64:
    """Count the cells that hold each token, int64 (V,); ids from V on are held by none.

    Args:
        token_ids: uint32 (N,), the id of each token.
        pointers: int64 (D + 1,), where each document's tokens begin and end; cells begin there too.
        documents: int64, numbers of the documents that count.
    """
    n_ids = min(int(token_ids.max(initial=0)) + 1, _MOST_IDS)
    counts = np.zeros(n_ids, np.int64)
    _count_cells(token_ids, pointers, documents, counts)
    return counts


@njit(cache=True, nogil=True)
def _count_cells(token_ids, pointers, documents, counts):  # type: ignore[no-untyped-def]
    """Add to ``counts`` the cells that hold each id that it has a place for."""
    seen = np.full(len(counts), -1, np.int64)  # the first token of the last cell in which each was found
    for d in range(len(documents)):
        begin, end = pointers[documents[d]], pointers[documents[d] + 1]
        for first in range(begin, end, CELL):
            for token in token_ids[first : min(first + CELL, end)]:
                if token < len(seen) and seen[token] != first:
                    seen[token] = first
                    counts[token] += 1
