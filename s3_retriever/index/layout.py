"""The shape that all segments of one index share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from s3_retriever.errors import InvalidInputError

CELL = 32
"""Tokens per cell; densities live on cells, and every document begins a new one."""

BLOCK = 65_536
"""Positions per block: what a ``uint16`` can number, and a float32 each fits a core's L2 cache."""

MAX_CODE = 255
"""A stored code c in 1..MAX_CODE means the weight ``c / MAX_CODE * weight_scale``; 0 is no posting."""


@dataclass(frozen=True)
class Layout:
    """Taps of an index and the size of their feature spaces; one entry per tap in every field.

    Attributes:
        taps: Names ``"layer.head"``, unique.
        n_features: Number of feature ids, 1 to 65,536.
        k: Features kept per token, at least 1.
        weight_scales: The largest weight that is stored without clipping; positive.

    Raises:
        InvalidInputError: A field has the wrong length or a value outside its range.
    """

    taps: tuple[str, ...]
    n_features: tuple[int, ...]
    k: tuple[int, ...]
    weight_scales: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.taps or len(set(self.taps)) != len(self.taps):
            msg = f"taps must be unique names, at least one, not {self.taps!r}"
            raise InvalidInputError(msg)
        for name, low, high in (("n_features", 1, 65_536), ("k", 1, 65_536), ("weight_scales", 0, math.inf)):
            values = getattr(self, name)
            if len(values) != len(self.taps):
                msg = f"{name} has {len(values)} entries for {len(self.taps)} taps"
                raise InvalidInputError(msg)
            for value in values:
                if not low <= value <= high or not 0 < value < math.inf:
                    msg = f"{name} must lie in {low}..{high} and be positive and finite, not {value!r}"
                    raise InvalidInputError(msg)

    @cached_property
    def feature_offsets(self) -> tuple[int, ...]:
        """First column of each tap when feature ids of all taps are laid side by side; T+1 entries."""
        return tuple(accumulate(self.n_features, initial=0))

    @cached_property
    def slot_offsets(self) -> tuple[int, ...]:
        """First slot of each tap when the k slots of all taps are laid side by side; T+1 entries."""
        return tuple(accumulate(self.k, initial=0))

    def step(self, tap: int) -> float:
        """Return the weight that one unit of a stored code stands for."""
        return self.weight_scales[tap] / MAX_CODE
