"""How sure a difference is: paired bootstrap over questions, stratified by set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError

RESAMPLES = 10_000
_CONFIDENCE = 0.95
_CHUNK = 1_000_000  # numbers drawn at a time
_SAME = 1e-9
"""Measures that differ by less are the same but for rounding."""

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


class Tally(NamedTuple):
    """On how many questions a method is better than another, as good, and worse."""

    wins: int
    ties: int
    losses: int


def bootstrap(strata: Sequence[Floats], *, seed: int = 0, resamples: int = RESAMPLES) -> list[Interval]:
    """Return intervals of macro averages: the mean over strata of the mean over each one's questions.

    Questions are drawn with replacement within each stratum, the same ones for every column, and the
    interval is that of the percentiles of the resampled averages (Efron and Tibshirani, "An Introduction to
    the Bootstrap", 1993, chapter 13). With the differences of two methods as values it is paired.

    Args:
        strata: One per set: float64 (questions, columns), at least one question each.
        seed: Of the draws.
        resamples: How many averages are drawn.

    Returns:
        One interval per column.

    Raises:
        InvalidInputError: A stratum is empty, or there is none.
    """
    if not strata or not all(len(values) for values in strata):
        msg = "a bootstrap needs at least one question in every set"
        raise InvalidInputError(msg)
    rng = np.random.default_rng(seed)
    drawn = np.mean([_resampled_means(values, rng, resamples) for values in strata], axis=0)
    means = np.mean([values.mean(axis=0) for values in strata], axis=0)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return [Interval(*map(float, column)) for column in zip(means, low, high, strict=True)]


def tally(differences: npt.ArrayLike) -> Tally:
    """Count the questions on which a difference is above, at and below zero."""
    values = np.asarray(differences, np.float64)
    wins, losses = int((values > _SAME).sum()), int((values < -_SAME).sum())
    return Tally(wins, values.size - wins - losses, losses)


def _resampled_means(values: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return (resamples, columns) means of as many rows as there are, drawn with replacement."""
    n = len(values)
    step = max(1, _CHUNK // n)
    parts = []
    for first in range(0, resamples, step):
        times = rng.multinomial(n, np.full(n, 1 / n), size=min(step, resamples - first))
        parts.append(times @ values / n)
    return np.concatenate(parts)
