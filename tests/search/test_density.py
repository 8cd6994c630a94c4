"""Densities against plain numpy, and what must not change them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.errors import InvalidInputError
from s3_retriever.search.cells import CELL
from s3_retriever.search.density import Scale, average, coactivation, mass_ratios, token_weights

SIGMAS = [0.5, 1.0, 4.0, 12.0, math.inf]
corpora = st.lists(st.integers(0, 40), min_size=1, max_size=6)


def borders(sizes: list[int]) -> np.ndarray:
    """int64 (D + 1,): first cell of each document, and the number of cells."""
    return np.cumsum([0, *sizes])


def ones(n: int) -> np.ndarray:
    return np.ones(n, np.float32)


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


@settings(max_examples=40, deadline=None)
@given(sizes=corpora, sigma=st.sampled_from(SIGMAS), seed=st.integers(0, 99))
def test_average_equals_a_gaussian_cut_at_the_documents_borders(
    sizes: list[int], sigma: float, seed: int
) -> None:
    cells = borders(sizes)
    row = np.random.default_rng(seed).normal(size=cells[-1])
    np.testing.assert_allclose(average(row, cells, sigma), plain_average(row, cells, sigma), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(sizes=corpora, sigma=st.sampled_from(SIGMAS), rows=st.integers(0, 20), seed=st.integers(0, 99))
def test_coactivation_sums_logarithms_of_averaged_ratios(
    sizes: list[int], sigma: float, rows: int, seed: int
) -> None:
    cells, scale = borders(sizes), Scale(sigma, 10.0)
    ratios = np.random.default_rng(seed).exponential(5, (rows, cells[-1])).astype(np.float32) ** 2
    weights = np.random.default_rng(seed + 1).uniform(0, 2, rows).astype(np.float32)
    expected = np.zeros(cells[-1])
    for weight, row in zip(weights, ratios, strict=True):
        expected += weight * np.log1p(plain_average(row, cells, sigma) / scale.saturation)
    np.testing.assert_allclose(coactivation(ratios, weights, cells, scale), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_long_documents_have_no_seams(sigma: float) -> None:
    cells = borders([1500, 700])
    ratios = np.random.default_rng(1).exponential(2, (3, 2200)).astype(np.float32)
    expected = sum(np.log1p(plain_average(row, cells, sigma) / 10) for row in ratios)
    np.testing.assert_allclose(coactivation(ratios, ones(3), cells, Scale(sigma)), expected, rtol=1e-4)
    np.testing.assert_allclose(average(ratios[0], cells, sigma), plain_average(ratios[0], cells, sigma), 1e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_document_does_not_feel_its_neighbours(sigma: float) -> None:
    rng = np.random.default_rng(2)
    parts = [rng.exponential(3, (5, size)).astype(np.float32) for size in (7, 30, 1)]
    scale = Scale(sigma)
    weights = rng.uniform(0, 2, 5).astype(np.float32)
    forward = coactivation(np.hstack(parts), weights, borders([7, 30, 1]), scale)
    backward = coactivation(np.hstack(parts[::-1]), weights, borders([1, 30, 7]), scale)
    for part, here, there in zip(
        parts, np.split(forward, [7, 37]), np.split(backward, [1, 31])[::-1], strict=True
    ):
        alone = coactivation(part, weights, borders([part.shape[1]]), scale)
        assert here.tobytes() == there.tobytes() == alone.tobytes()


def test_extreme_ratios_stay_finite() -> None:
    ratios = np.full((64, 3), 1e9, np.float32)
    assert np.isfinite(coactivation(ratios, ones(64), borders([3]), Scale(1.0))).all()


def test_mass_ratios_are_those_of_a_softmax_over_all_tokens() -> None:
    rng = np.random.default_rng(3)
    cell_tokens = np.array([CELL, 5, CELL, 1], np.int32)
    scores = rng.normal(size=(6, cell_tokens.sum())) * (rng.random((6, cell_tokens.sum())) < 0.3)
    starts = np.cumsum([0, *cell_tokens[:-1]])
    extra = np.add.reduceat(np.exp(scores) - 1, starts, axis=1).astype(np.float32)
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    share = np.add.reduceat(softmax, starts, axis=1)
    expected = share / (CELL / cell_tokens.sum())
    np.testing.assert_allclose(mass_ratios(extra, cell_tokens), expected, rtol=1e-4)


def test_without_any_match_a_full_cell_has_ratio_1() -> None:
    ratios = mass_ratios(np.zeros((2, 2), np.float32), np.array([CELL, CELL // 2], np.int32))
    np.testing.assert_allclose(ratios, [[1, 0.5]] * 2)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.integers(0, 5))
def test_rare_tokens_count_more_and_common_ones_not_at_all(frequencies: list[int], more: int) -> None:
    n_cells = max(frequencies) + more
    weights = token_weights(np.array(frequencies), n_cells)
    rarity = [math.log((n_cells + 1) / (count + 0.5)) for count in frequencies]
    relative = np.array(rarity) / np.mean(rarity)
    clear = abs(relative - 0.25) > 1e-5
    expected = np.where(relative < 0.25, 0, np.sqrt(relative))
    np.testing.assert_allclose(weights[clear], expected[clear], rtol=1e-5)
    assert weights.max() >= 1 - 1e-5


@pytest.mark.parametrize(("rows", "cells"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_score_gives_zeros(rows: int, cells: int) -> None:
    ratios = mass_ratios(np.zeros((rows, cells), np.float32), np.full(cells, CELL, np.int32))
    for sigma in SIGMAS:
        density = coactivation(ratios, ones(rows), borders([cells]), Scale(sigma))
        np.testing.assert_array_equal(density, np.zeros(cells))


@pytest.mark.parametrize(
    ("sigma", "saturation"), [(0, 1), (-1, 1), (math.nan, 1), (1, 0), (1, math.inf), (1, math.nan)]
)
def test_scales_that_mean_nothing_are_refused(sigma: float, saturation: float) -> None:
    with pytest.raises(InvalidInputError, match="positive"):
        Scale(sigma, saturation)
