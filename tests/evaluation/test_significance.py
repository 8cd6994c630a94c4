from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.summary import Interval, bootstrap, tally

SHARES = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, (n, 2), elements=st.floats(0, 1)))


@pytest.mark.long
@given(strata=st.lists(SHARES, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_an_interval_is_around_the_macro_average(strata: list[np.ndarray]) -> None:
    first, second = bootstrap(strata, resamples=200)
    means = [values[:, 0].mean() for values in strata]
    assert first.value == pytest.approx(np.mean(means))
    for interval, column in ((first, 0), (second, 1)):
        low = np.mean([values[:, column].min() for values in strata])
        high = np.mean([values[:, column].max() for values in strata])
        assert low - 1e-9 <= interval.low <= interval.high <= high + 1e-9
    assert bootstrap(strata, resamples=200) == [first, second]  # the seed is fixed
    same = bootstrap([values - values for values in strata], resamples=200)
    assert same == [Interval(0, 0, 0), Interval(0, 0, 0)]


@pytest.mark.long
def test_the_interval_is_that_of_the_mean() -> None:
    # The standard error of a mean of 400 values of deviation 1 is 1/20; two sets halve its square.
    rng = np.random.default_rng(1)
    strata = [rng.standard_normal((400, 1)) for _ in range(2)]
    (interval,) = bootstrap(strata)
    half = 1.96 * np.sqrt(sum(values.var() / 400 for values in strata)) / 2
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.05)


def test_every_set_counts_alike() -> None:
    small, large = np.ones((2, 1)), np.zeros((98, 1))
    assert bootstrap([small, large]) == [Interval(0.5, 0.5, 0.5)]


@pytest.mark.parametrize("strata", [[], [np.ones((2, 1)), np.ones((0, 1))]])
def test_without_questions_there_is_no_interval(strata: list[np.ndarray]) -> None:
    with pytest.raises(InvalidInputError, match="at least one question in every set"):
        bootstrap(strata)


def test_rounding_is_no_win() -> None:
    assert tally([0.5, 1e-12, -1e-12, 0, -0.1]) == (1, 3, 1)
