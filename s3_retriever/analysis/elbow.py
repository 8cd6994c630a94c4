"""Where a curve of error against budget bends: from there on, more costs more than it gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from s3_retriever.errors import InvalidInputError


class Elbow(NamedTuple):
    """The bend of a falling curve.

    Attributes:
        k: The budget at which it lies, one of those measured.
        strength: How far the curve lies below its chord there, both axes scaled to [0, 1]: 0 for a straight
            line, towards 1 for a curve that falls at once and stays level.
    """

    k: int
    strength: float


def find_elbow(budgets: Sequence[int], errors: Sequence[float]) -> Elbow | None:
    """Return the point furthest below the chord from the first to the last (Kneedle, Satopaa et al. 2011).

    With few points no smoothing is needed. The elbow depends on the range of budgets: even a power law,
    which has no scale of its own, has one on any range.

    Args:
        budgets: k, rising; not their logarithms, as each feature more costs the same.
        errors: The error at each.

    Returns:
        None where the curve does not fall, or nowhere lies below its chord.

    Raises:
        InvalidInputError: The lengths differ, or the budgets do not rise.
    """
    k, error = np.asarray(budgets, np.float64), np.asarray(errors, np.float64)
    if k.shape != error.shape or k.ndim != 1 or (np.diff(k) <= 0).any():
        msg = f"an elbow needs rising budgets and an error for each, not {list(budgets)} and {list(errors)}"
        raise InvalidInputError(msg)
    if len(k) < 3 or not error[-1] < error[0]:
        return None
    along = (k - k[0]) / (k[-1] - k[0])
    height = (error - error[-1]) / (error[0] - error[-1])
    below = 1 - along - height
    best = int(below.argmax())
    # A straight line lies below its chord by rounding only.
    return Elbow(int(k[best]), float(below[best])) if below[best] > 1e-9 else None
