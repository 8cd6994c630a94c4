"""Coactivation against plain NumPy, and what must not change it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_density import CORPORA, SIGMAS, borders, plain_coactivation, tokens_of

from s3_retriever.index.layout import CELL
from s3_retriever.search.coactivation import coactivation, grouped
from s3_retriever.search.density import Scale
from s3_retriever.search.workers import Workers


def ones(shape: tuple[int, int]) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    sizes=CORPORA,
    sigmas=st.lists(st.sampled_from(SIGMAS), min_size=1, max_size=5),
    rows=st.integers(0, 40),
    seed=st.integers(0, 99),
)
def test_coactivation_sums_logarithms_of_averaged_ratios(
    sizes: list[int], sigmas: list[float], rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    cells, scales = borders(sizes), [Scale(sigma, rng.uniform(1, 20)) for sigma in sigmas]
    tokens = tokens_of(cells, rng)
    extra = rng.exponential(5, (rows, cells[-1])).astype(np.float32) ** 2
    weights = rng.uniform(0, 2, (rows, len(scales))).astype(np.float32)
    weights[:, rng.random(len(scales)) < 0.2] = 0
    weights[:, rng.random(len(scales)) < 0.4] = weights[:, -1:]  # one logarithm serves those
    expected = plain_coactivation(extra, weights, tokens, cells, scales)
    density = coactivation(grouped(extra), weights, tokens, cells, scales)
    np.testing.assert_allclose(density, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("sigma", SIGMAS)
def test_long_documents_have_no_seams(sigma: float) -> None:
    """Neither between tiles nor between the shares of threads."""
    rng = np.random.default_rng(1)
    cells, scales = borders([1500, 700]), [Scale(sigma)]
    tokens, extra = tokens_of(cells, rng), rng.exponential(60, (3, 2200)).astype(np.float32)
    alone = coactivation(grouped(extra), ones((3, 1)), tokens, cells, scales)
    expected = plain_coactivation(extra, ones((3, 1)), tokens, cells, scales)
    np.testing.assert_allclose(alone, expected, rtol=1e-4)
    shared = coactivation(grouped(extra), ones((3, 1)), tokens, cells, scales, Workers(3))
    assert shared.tobytes() == alone.tobytes()


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_document_does_not_feel_its_neighbours(sigma: float) -> None:
    """All it feels is the sum over the corpus, which the other order leaves as it is."""
    rng = np.random.default_rng(2)
    sizes = (7, 30, 1, 100)
    parts = [rng.integers(1, 500, (5, size)).astype(np.float32) for size in sizes]
    tokens = [np.full(size, CELL, np.int32) for size in sizes]
    weights = rng.uniform(0, 2, (5, 1)).astype(np.float32)

    def densities(order: list[int]) -> dict[int, bytes]:
        extra, own = np.hstack([parts[i] for i in order]), np.hstack([tokens[i] for i in order])
        cells = borders([sizes[i] for i in order])
        density = coactivation(grouped(extra), weights, own, cells, [Scale(sigma)])
        return {i: density[cells[n] : cells[n + 1]].tobytes() for n, i in enumerate(order)}

    assert densities([0, 1, 2, 3]) == densities([3, 2, 0, 1])


def test_a_row_does_not_feel_the_other_groups() -> None:
    """Which lanes rows lie in changes the order of a sum, and what each adds to it not at all."""
    rng = np.random.default_rng(4)
    cells, scales = borders([90]), [Scale(4.0)]
    tokens, extra = tokens_of(cells, rng), rng.exponential(60, (40, 90)).astype(np.float32)
    one = np.zeros((40, 1), np.float32)
    one[37] = 1
    alone = coactivation(grouped(extra[37:38]), ones((1, 1)), tokens, cells, scales)
    np.testing.assert_array_equal(coactivation(grouped(extra), one, tokens, cells, scales), alone)


@pytest.mark.parametrize("n_scales", [1, 30])
def test_extreme_masses_stay_finite(n_scales: int) -> None:
    extra, tokens = grouped(np.zeros((64, 3000), np.float32)), np.full(3000, CELL, np.int32)
    extra[:, 0], extra[:, 1] = 1e12, -CELL
    scales = [Scale(1.0, 1e-3)] * n_scales
    density = coactivation(extra, ones((64, n_scales)), tokens, borders([3000]), scales)
    assert np.isfinite(density).all()
    assert density[0] > 64 * n_scales * 9  # ten thousand, which all of the 64 rows reach there, has 9.2


def test_without_any_match_a_full_cell_has_ratio_1() -> None:
    tokens = np.array([CELL, CELL // 2], np.int32)
    for sigma in SIGMAS:
        density = coactivation(
            grouped(np.zeros((2, 2), np.float32)), ones((2, 1)), tokens, borders([1, 1]), [Scale(sigma)]
        )
        np.testing.assert_allclose(density, 2 * np.log1p(np.array([1, 0.5]) / 10), rtol=1e-5)


@pytest.mark.parametrize(("rows", "cells"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_score_gives_zeros(rows: int, cells: int) -> None:
    masses, tokens = grouped(np.zeros((rows, cells), np.float32)), np.full(cells, CELL, np.int32)
    for sigma in SIGMAS:
        density = coactivation(masses, ones((rows, 1)), tokens, borders([cells]), [Scale(sigma)])
        np.testing.assert_array_equal(density, np.zeros(cells))
