"""Densities row by row and cell by cell, in plain NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from s3_retriever.index.layout import CELL
from s3_retriever.search.density import Scale

SIGMAS = [0.5, 1.0, 4.0, 12.0, math.inf]
CORPORA = st.lists(st.integers(0, 40), min_size=1, max_size=6)


def borders(sizes: list[int]) -> np.ndarray:
    """int64 (D + 1,): first cell of each document, and the number of cells."""
    return np.cumsum([0, *sizes])


def plain_average(row: np.ndarray, cells: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of +-3 sigma inside each document, or its mean, cell by cell."""
    radius = max(1, int(3 * sigma + 0.5)) if math.isfinite(sigma) else 0
    means = np.zeros(len(row))
    for begin, end in itertools.pairwise(cells):
        for c in range(begin, end):
            if math.isinf(sigma):
                means[c] = row[begin:end].mean()
                continue
            window = np.arange(max(begin, c - radius), min(end, c + radius + 1))
            means[c] = np.average(row[window], weights=np.exp(-0.5 * ((window - c) / sigma) ** 2))
    return means


def plain_coactivation(
    extra: np.ndarray, weights: np.ndarray, tokens: np.ndarray, cells: np.ndarray, scales: list[Scale]
) -> np.ndarray:
    """Row by row and scale by scale, from the softmax over all tokens."""
    n_tokens = max(tokens.sum(), 1)
    density = np.zeros(len(tokens))
    for row, of_scales in zip(extra.astype(float), weights, strict=True):
        ratios = (row + tokens) / (row.sum() + n_tokens) / (CELL / n_tokens)
        for scale, weight in zip(scales, of_scales, strict=True):
            density += weight * np.log1p(plain_average(ratios, cells, scale.sigma) / scale.saturation)
    return density


def tokens_of(cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int32 (C,): full cells, but for the last one of each document."""
    tokens = np.full(cells[-1], CELL, np.int32)
    tokens[cells[1:][np.diff(cells) > 0] - 1] = rng.integers(1, CELL + 1, (np.diff(cells) > 0).sum())
    return tokens
