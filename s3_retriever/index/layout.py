"""The shape that all segments of one index share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from s3_retriever.checks import check_settings, each, instance, whole
from s3_retriever.errors import InvalidInputError
from s3_retriever.locks import cached_property

CELL = 32
"""Tokens per cell; densities live on cells, and every document begins a new one."""

BLOCK = 65_536
"""Positions per block: a float32 each fits a core's L2 cache."""

N_LEVELS = 16
"""Levels of a stored weight."""

STEP = 0.05
"""From one level's weight to the next. A token's key has length 1."""

_WEAKEST = 0.42  # of what each of k equal weights would be: weaker ones are left out


@dataclass(frozen=True)
class Layout:
    """Taps of an index and the size of their feature spaces; one entry per tap in every field.

    Attributes:
        taps: Names ``"layer.head"``, unique.
        n_features: Number of feature ids, 1 to 65,536.
        k: Features kept per token, at least 1.

    Raises:
        InvalidInputError: A field has the wrong length or a value outside its range.
    """

    taps: tuple[str, ...]
    n_features: tuple[int, ...]
    k: tuple[int, ...]

    def __post_init__(self) -> None:
        texts = each(instance(str, "a name"))
        check_settings(self, taps=texts, n_features=each(whole(1, 65_536)), k=each(whole(1, 65_536)))
        if not self.taps or len(set(self.taps)) != len(self.taps):
            msg = f"taps must be unique names, at least one, not {self.taps!r}"
            raise InvalidInputError(msg)
        for name in ("n_features", "k"):
            if len(getattr(self, name)) != len(self.taps):
                msg = f"{name} has {len(getattr(self, name))} entries for {len(self.taps)} taps"
                raise InvalidInputError(msg)

    @cached_property
    def feature_offsets(self) -> tuple[int, ...]:
        """First column of each tap when feature ids of all taps are laid side by side; T+1 entries."""
        return tuple(accumulate(self.n_features, initial=0))

    @cached_property
    def slot_offsets(self) -> tuple[int, ...]:
        """First slot of each tap when the k slots of all taps are laid side by side; T+1 entries."""
        return tuple(accumulate(self.k, initial=0))

    @cached_property
    def weakest(self) -> tuple[float, ...]:
        """Weight below which a tap's postings are left out; one entry per tap.

        Level i stands for the weights from ``weakest + i * STEP`` to the next level, and means their middle.
        The last level stands for all that are greater too.
        """
        return tuple(_WEAKEST / math.sqrt(k) for k in self.k)
