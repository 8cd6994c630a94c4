"""What an analysis measured, and the elbows and budgets that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from s3_retriever.errors import InvalidInputError

Side = Literal["keys", "values"]
Quantity = Literal["fvu", "output_error"]
SIDES: tuple[Side, Side] = ("keys", "values")
QUANTITIES: tuple[Quantity, Quantity] = ("fvu", "output_error")


class Elbow(NamedTuple):
    """The bend of a falling curve of error against budget.

    Attributes:
        k: The budget at which it lies, one of those measured.
        strength: How far the curve lies below its chord there, both axes scaled to [0, 1]: 0 for a straight
            line, towards 1 for a curve that falls at once and stays level.
    """

    k: int
    strength: float


@dataclass(frozen=True)
class Measure:
    """How well k features a head represent one layer's keys or values, on text held out.

    Attributes:
        layer: The layer.
        side: Its keys, or its values.
        k: Features per vector.
        fvu_per_head: Fraction of variance unexplained of each key head.
        output_error: sum |o - o_hat|^2 / sum |o|^2 of the layer's attention, with only this side of the layer
            replaced.
    """

    layer: int
    side: Side
    k: int
    fvu_per_head: tuple[float, ...]
    output_error: float

    @property
    def fvu(self) -> float:
        """Mean over heads."""
        return float(np.mean(self.fvu_per_head))


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of the host on text held out, all analysed layers replaced at once.

    Attributes:
        k_keys: Features per key; None where keys are left as they are.
        k_values: Features per value; None where values are left as they are.
        value: exp(mean negative log-likelihood).
    """

    k_keys: int | None
    k_values: int | None
    value: float


@dataclass(frozen=True)
class Analysis:
    """Results.

    Attributes:
        host: The host's identity.
        settings: How it was made, JSON-able.
        layers: Layers analysed, rising.
        budgets: Each k, rising.
        tolerance: By which share perplexity may rise.
        measures: One per layer, side and k.
        perplexities: Of all pairs of budgets, each also None.
        seconds: What it took.
    """

    host: Mapping[str, str | int]
    settings: Mapping[str, Any]
    layers: tuple[int, ...]
    budgets: tuple[int, ...]
    tolerance: float
    measures: tuple[Measure, ...]
    perplexities: tuple[Perplexity, ...]
    seconds: float

    def curve(self, side: Side, quantity: Quantity, layer: int | None = None) -> tuple[float, ...]:
        """Return an error at each budget, of a layer or the mean over layers."""
        layers = self.layers if layer is None else (layer,)
        found = [
            [getattr(one, quantity) for one in self.measures if (one.layer, one.side, one.k) == (at, side, k)]
            for k in self.budgets
            for at in layers
        ]
        means = np.array(found).reshape(len(self.budgets), len(layers)).mean(axis=1)
        return tuple(means.tolist())

    def elbow(self, side: Side, quantity: Quantity, layer: int | None = None) -> Elbow | None:
        """Return the elbow of a curve: the "semantic elbow" of arXiv 2512.10547."""
        return find_elbow(self.budgets, self.curve(side, quantity, layer))

    def perplexity(self, k_keys: int | None, k_values: int | None) -> float:
        """Return the perplexity at a pair of budgets, None for what is not replaced."""
        (found,) = (p.value for p in self.perplexities if (p.k_keys, p.k_values) == (k_keys, k_values))
        return found

    def rise(self, k_keys: int | None, k_values: int | None) -> float:
        """Return by which share the perplexity at a pair of budgets is above the host's own."""
        return self.perplexity(k_keys, k_values) / self.perplexity(None, None) - 1

    def dual_budget(self) -> Perplexity | None:
        """Return the pair of least k_keys + k_values that keeps perplexity within the tolerance, if any.

        Of several as small, the one with the lowest perplexity. Both sides cost the same per feature.
        """
        within = [one for one in self._pairs() if self.rise(one.k_keys, one.k_values) <= self.tolerance]
        return min(within, key=lambda one: ((one.k_keys or 0) + (one.k_values or 0), one.value), default=None)

    def budget_like(self, side: Side, quantity: Quantity, error: float) -> int | None:
        """Return the least budget at which a mean curve is at most ``error``, or None."""
        curve = self.curve(side, quantity)
        return next((k for k, value in zip(self.budgets, curve, strict=True) if value <= error), None)

    def harder_values(self) -> dict[str, int]:
        """Return at how many of the budgets values come out worse than keys, by each measure.

        By perplexity, keys replaced alone are compared with values replaced alone.
        """
        counts: dict[str, int] = {}
        for quantity in QUANTITIES:
            pairs = zip(self.curve("values", quantity), self.curve("keys", quantity), strict=True)
            counts[quantity] = sum(value > key for value, key in pairs)
        counts["perplexity"] = sum(self.perplexity(None, k) > self.perplexity(k, None) for k in self.budgets)
        return counts

    def to_json(self) -> dict[str, Any]:
        """Return everything, with what follows from it, as JSON values."""
        values = asdict(self)
        for entry, one in zip(values["measures"], self.measures, strict=True):
            entry["fvu"] = one.fvu
        values["elbows"] = [
            {
                "side": side,
                "quantity": quantity,
                "layer": layer,
                **(found._asdict() if found else {"k": None}),
            }
            for quantity in QUANTITIES
            for side in SIDES
            for layer in (*self.layers, None)
            for found in [self.elbow(side, quantity, layer)]
        ]
        dual = self.dual_budget()
        values["dual_budget"] = None if dual is None else asdict(dual)
        values["budgets_at_which_values_are_harder"] = self.harder_values()
        return values

    def _pairs(self) -> Iterator[Perplexity]:
        return (one for one in self.perplexities if one.k_keys is not None and one.k_values is not None)


def find_elbow(budgets: Sequence[int], errors: Sequence[float]) -> Elbow | None:
    """Return the point furthest below the chord from the first to the last (Kneedle, Satopaa et al. 2011).

    With few points no smoothing is needed. The elbow depends on the range of budgets: even a power law, which
    has no scale, has an elbow on any range.

    Args:
        budgets: Values of k, rising; not their logarithms, as each further feature costs the same.
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
