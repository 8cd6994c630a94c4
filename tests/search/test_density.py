"""Averages and weights against plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_density import CORPORA, SIGMAS, borders, plain_average

from s3_retriever.errors import InvalidInputError
from s3_retriever.search.density import Scale, average, token_weights


@settings(max_examples=40, deadline=None)
@given(sizes=CORPORA, sigma=st.sampled_from(SIGMAS), seed=st.integers(0, 99))
def test_average_equals_a_gaussian_cut_at_the_documents_borders(
    sizes: list[int], sigma: float, seed: int
) -> None:
    cells = borders(sizes)
    row = np.random.default_rng(seed).normal(size=cells[-1])
    np.testing.assert_allclose(average(row, cells, sigma), plain_average(row, cells, sigma), atol=1e-5)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_averages_of_long_documents_have_no_seams(sigma: float) -> None:
    cells, row = borders([1500, 700]), np.random.default_rng(1).exponential(2, 2200).astype(np.float32)
    np.testing.assert_allclose(average(row, cells, sigma), plain_average(row, cells, sigma), 1e-4)


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


@pytest.mark.parametrize(
    ("sigma", "saturation"), [(0, 1), (-1, 1), (math.nan, 1), (1, 0), (1, math.inf), (1, math.nan)]
)
def test_scales_that_mean_nothing_are_refused(sigma: float, saturation: float) -> None:
    with pytest.raises(InvalidInputError, match="a number above 0"):
        Scale(sigma, saturation)
