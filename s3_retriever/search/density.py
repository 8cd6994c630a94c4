"""What densities are made with: widths, averages along documents, the weights of a question's tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_settings, number
from s3_retriever.compiled import njit
from s3_retriever.index.layout import CELL

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

TILE = 64
"""Cells averaged at a time: all buffers of a tile and a group of rows stay in the first-level cache."""

TRUNCATE = 3.0
"""Standard deviations at which a Gaussian is cut."""

_LEAST_RARITY = 0.25  # of a question's token, over the mean

MOST_TOKENS = 256
"""Tokens of a question that are looked up: the rarest ones of a longer one, such as a stack trace."""


CHARACTERS = 3.0
"""Of a token, of which texts in the language that widths and weights were chosen for, English, have more."""

_WIDEST = 4.0  # times that a width may be widened


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
        if self.sigma != math.inf:
            check_settings(self, sigma=number(above=0))
        check_settings(self, saturation=number(above=0))


def token_weights(ids: npt.NDArray[np.int32], token_cells: Iterable[Int64], n_cells: int) -> Float32:
    """Return how much each token of a question counts, float32 (n,): the root of its rarity over the mean's.

    Rarity is the inverse document frequency over cells (Spärck Jones 1972). The softmax over the corpus knows
    how rare the keys are that a token looks for. It does not know how rare the token itself is. The root
    dampens it: in a small corpus, a rare word may say nothing. Tokens with less than a quarter of the mean
    rarity ("the", "of") get weight 0 and are not looked up. Of others, the :data:`MOST_TOKENS` rarest are, so
    that a question takes bounded time however long it is.

    Args:
        ids: int32 (n,), of the tokens.
        token_cells: Of each part of the corpus, int64 (V,): cells that hold each token; ids from V on have
            none.
        n_cells: Cells of the corpus.
    """
    frequencies = np.zeros(len(ids), np.int64)
    for held in token_cells:
        known = ids < len(held)
        frequencies[known] += held[ids[known]]
    rarity = np.log((n_cells + 1) / (frequencies + 0.5))
    relative = rarity / rarity.mean()
    weights: Float32 = np.sqrt(relative).astype(np.float32)
    weights[relative < _LEAST_RARITY] = 0
    weights[np.argsort(-weights, kind="stable")[MOST_TOKENS:]] = 0
    return weights


def widening(document_characters: Int64, document_cells: Int64) -> Float32:
    """Return how many times wider each document is to be looked at, float32 (D,): 1 for English.

    A sentence has as many tokens more as the host cuts its words finer, as it does in languages that it
    hardly knows: then a cell holds less text, and a passage more cells. Powers of the root of 2, from 1 to 4.

    Args:
        document_characters: int64 (D,).
        document_cells: int64 (D + 1,), first cell of each document, and the number of cells.
    """
    expected = CHARACTERS * CELL * np.diff(document_cells)
    times = np.clip(expected / np.maximum(document_characters, 1), 1, _WIDEST)
    return np.exp2(np.round(2 * np.log2(times)) / 2).astype(np.float32)


def fluency(n_characters: int, n_tokens: int) -> float:
    """Return how much of a word a question's tokens are on average, in [0, 1]: 1 for English.

    S3 adds up tokens and BM25 words, so a word of many tokens would count many times beside BM25.
    """
    return min(1.0, n_characters / (CHARACTERS * max(n_tokens, 1)))


def average(values: npt.NDArray[np.floating], document_cells: Int64, sigma: float) -> Float32:
    """Average a number per cell along each document, float32 (C,).

    Near the ends of a document the window is cut and its weights scaled up, so a constant stays constant.

    Args:
        values: (C,).
        document_cells: int64 (D + 1,), first cell of each document, and the number of cells.
        sigma: Standard deviation of the Gaussian window in cells; ``inf`` means the whole document.
    """
    row = np.ascontiguousarray(values, np.float32)
    out = np.zeros_like(row)
    _add_averages(row, document_cells, np.ones(len(document_cells) - 1, np.bool_), sigma, 1.0, out)
    return out


def _add_averages(
    row: Float32,
    document_cells: Int64,
    documents: npt.NDArray[np.bool_],
    sigma: float,
    weight: float,
    out: Float32,
) -> None:
    """Add the averages of some documents, bool (D,), times a weight to ``out``, float32 (C,)."""
    if math.isinf(sigma):
        means = np.where(documents, _document_means(row, document_cells), np.float32(0))
        out += np.float32(weight) * np.repeat(means, np.diff(document_cells))
    else:
        _add_tiles(row, tiles_of(document_cells, documents), gaussian(sigma), np.float32(weight), out)


def bm25_density(
    scores: npt.NDArray[np.float64],
    document_cells: Int64,
    widths: Mapping[float, float],
    wider: Float32 | None = None,
    documents: npt.NDArray[np.bool_] | None = None,
) -> Float32:
    """Average BM25 scores per cell at several widths and sum them, float32 (C,).

    Args:
        scores: float64 (C,).
        document_cells: int64 (D + 1,).
        widths: Weight of each width (sigma in cells).
        wider: float32 (D,), how many times wider each document is looked at; None: none is.
        documents: bool (D,), those that are averaged; the others get 0. None: all are.
    """
    row = np.ascontiguousarray(scores, np.float32)
    density = np.zeros_like(row)
    times = np.ones(len(document_cells) - 1, np.float32) if wider is None else wider
    chosen = np.ones(len(times), np.bool_) if documents is None else documents
    for one in np.unique(times[chosen]).tolist():
        for sigma, weight in widths.items():
            if weight:
                _add_averages(row, document_cells, chosen & (times == one), one * sigma, weight, density)
    return density


def paper_density(counts: Float32, document_cells: Int64) -> Float32:
    """Smooth counts of shared features over about 64 tokens, as the published method does."""
    return average(counts, document_cells, 1.0)


def _document_means(row: Float32, document_cells: Int64) -> Float32:
    """Return the mean over each document, float32 (D,); 0 for documents without cells."""
    counts = np.diff(document_cells)
    means = np.zeros(len(counts), np.float32)
    filled = counts > 0
    if filled.any():
        means[filled] = np.add.reduceat(row, document_cells[:-1][filled]) / counts[filled].astype(np.float32)
    return means


def tiles_of(document_cells: Int64, documents: npt.NDArray[np.bool_] | None = None) -> Int64:
    """Cut documents into tiles; int64 (n, 4): first and last cell of the tile, then of its document.

    Args:
        document_cells: int64 (D + 1,), first cell of each document, and the number of cells.
        documents: bool (D,), those that are cut; None: all are.
    """
    begins, ends = document_cells[:-1], document_cells[1:]
    if documents is not None:
        begins, ends = begins[documents], ends[documents]
    counts = -(-(ends - begins) // TILE)
    document = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = begins[document] + within * TILE
    last = np.minimum(first + TILE, ends[document])
    return np.stack([first, last, begins[document], ends[document]], axis=1)


@lru_cache(maxsize=32)
def gaussian(sigma: float) -> Float32:
    """Return the weights of a Gaussian window, float32 (2 * radius + 1,), their sum 1."""
    radius = max(1, int(TRUNCATE * sigma + 0.5))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    unit: Float32 = (kernel / kernel.sum()).astype(np.float32)
    return unit


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def weights_before(kernel: Float32) -> npt.NDArray[np.float64]:
    """Return the weight before each place of a kernel, and all of it, float64 (len(kernel) + 1,)."""
    before = np.zeros(len(kernel) + 1, np.float64)
    for j in range(len(kernel)):
        before[j + 1] = before[j] + kernel[j]
    return before


@njit(cache=True, nogil=True)
def tile_norms(tile: Int64, before: npt.NDArray[np.float64], out: Float32) -> None:
    """Write 1 / (the kernel's weight inside the document) for each cell of a tile.

    Args:
        tile: As of :func:`tiles_of`.
        before: What :func:`weights_before` gives for the kernel.
        out: float32 (cells of the tile,).
    """
    first, last, begin, end = tile
    radius = len(before) // 2 - 1
    out[: last - first] = 1 / (before[-1] - before[0])
    low, high = min(last, begin + radius), max(first, end - radius)  # between them the kernel is all inside
    for c in range(first, last):
        if c < low or c >= high:
            inside = before[min(radius, end - 1 - c) + radius + 1] - before[max(radius - (c - begin), 0)]
            out[c - first] = 1 / inside


@njit(cache=True, nogil=True)
def _add_tiles(row: Float32, tiles: Int64, kernel: Float32, weight: np.float32, out: Float32) -> None:
    """Add the averages of some tiles times a weight to ``out``; where all is 0, there is nothing to add."""
    sums = np.empty(TILE, np.float32)
    norms = np.empty(TILE, np.float32)
    radius, before = len(kernel) // 2, weights_before(kernel)
    for t in range(len(tiles)):
        first, last, begin, end = tiles[t]
        if not row[max(begin, first - radius) : min(end, last + radius)].any():
            continue
        tile_norms(tiles[t], before, norms)
        _average_tile(row, tiles[t], kernel, sums)
        for c in range(last - first):
            out[first + c] += weight * (sums[c] * norms[c])
