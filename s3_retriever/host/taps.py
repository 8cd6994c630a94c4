"""Names for places in a host: which key heads are read, and which query heads ask them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Tap:
    """A key head that is read during the scan; both numbers are 0-based."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True, order=True)
class QueryHead:
    """A query head (0-based). It attends to the key head ``head // (query heads per key head)``."""

    layer: int
    head: int
