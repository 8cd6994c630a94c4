"""Names for places in a host: which key heads are read, and which query heads ask them."""

from __future__ import annotations

from dataclasses import dataclass

from s3_retriever.checks import check_settings, whole


@dataclass(frozen=True, order=True)
class Tap:
    """A key head that is read during the scan; both numbers are 0-based.

    Raises:
        InvalidInputError: A number is no whole number, 0 or more.
    """

    layer: int
    head: int

    def __post_init__(self) -> None:
        check_settings(self, layer=whole(), head=whole())

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True, order=True)
class QueryHead:
    """A query head (0-based). It attends to the key head ``head // (query heads per key head)``.

    Raises:
        InvalidInputError: A number is no whole number, 0 or more.
    """

    layer: int
    head: int

    def __post_init__(self) -> None:
        check_settings(self, layer=whole(), head=whole())

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"
