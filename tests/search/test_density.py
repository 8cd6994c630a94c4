"""Averages and weights against plain NumPy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_density import CORPORA, SIGMAS, borders, plain_average

from s3_retriever.errors import InvalidInputError
from s3_retriever.search.density import (
    MOST_TOKENS,
    Scale,
    average,
    bm25_density,
    fluency,
    token_weights,
    widening,
)


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
    weights = token_weights(np.arange(len(frequencies), dtype=np.int32), [np.array(frequencies)], n_cells)
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


def test_documents_whose_cells_hold_little_text_are_looked_at_wider() -> None:
    cells = borders([10, 10, 10, 10, 0])
    characters = np.array([10 * 100, 10 * 48, 10 * 24, 10 * 5, 0])  # English has 96 or more in a cell
    assert widening(characters, cells) == pytest.approx([1, 2, 4, 4, 1])
    assert widening(np.array([10 * 70]), borders([10])) == pytest.approx([math.sqrt(2)])
    assert widening(np.zeros(0, np.int64), borders([])).tolist() == []


@settings(max_examples=40, deadline=None)
@given(sizes=CORPORA, seed=st.integers(0, 99))
def test_each_document_is_averaged_at_its_own_width_whatever_is_beside_it(
    sizes: list[int], seed: int
) -> None:
    random, cells = np.random.default_rng(seed), borders(sizes)
    scores, wider = random.exponential(1, cells[-1]), random.choice([1.0, 2.0, 4.0], len(sizes))
    found = bm25_density(scores, cells, {0.5: 1.0, 2.0: 0.5}, wider.astype(np.float32))
    for i, (first, last) in enumerate(pairwise(cells)):
        own, alone = scores[first:last], borders([last - first])
        expected = sum(
            weight * plain_average(own, alone, sigma * wider[i]) for sigma, weight in ((0.5, 1), (2, 0.5))
        )
        np.testing.assert_allclose(found[first:last], expected, atol=1e-5)


def test_a_question_in_pieces_of_words_counts_by_its_words() -> None:
    assert fluency(45, 10) == fluency(30, 10) == 1
    assert fluency(15, 10) == 0.5
    assert fluency(0, 0) == 0


def test_a_long_question_is_asked_by_its_rarest_tokens() -> None:
    frequencies = np.random.default_rng(0).permutation(np.arange(1, 2001))
    ids = np.arange(2000, dtype=np.int32)
    weights = token_weights(ids, [frequencies], 100_000)
    assert np.count_nonzero(weights) == MOST_TOKENS
    assert set(frequencies[weights > 0].tolist()) == set(range(1, MOST_TOKENS + 1))
    short = token_weights(ids[:MOST_TOKENS], [frequencies], 100_000)
    assert np.count_nonzero(short) == MOST_TOKENS


def test_parts_of_a_corpus_weigh_tokens_as_the_whole_does() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 50, size) for size in (40, 0, 25)]
    whole = sum(np.pad(part, (0, 60 - len(part))) for part in parts)
    ids = rng.integers(0, 60, 30).astype(np.int32)
    np.testing.assert_array_equal(token_weights(ids, parts, 500), token_weights(ids, [whole], 500))
