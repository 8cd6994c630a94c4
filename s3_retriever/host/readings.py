"""Where queries, keys and values of a decoder are: in which channels of which modules' outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Channels = npt.NDArray[np.int64]
"""Numbers of channels, int64 (heads, width)."""

NormOver = Literal["head", "heads_first", "projection"]
"""A norm of heads is called on (rows, n, heads, d), on (rows, heads, n, d), or on (rows, n, heads * d)."""


@dataclass(frozen=True, eq=False)
class Normed:
    """A norm, and what it is called on.

    Attributes:
        path: Of the norm, from the decoder.
        turn: How often it was called before in a pass.
        over: See :data:`NormOver`.
        channels: Of the projection's output, in the order in which the norm gets them.
    """

    path: str
    turn: int
    over: NormOver
    channels: Channels


@dataclass(frozen=True, eq=False)
class Part:
    """Some channels of heads, and where they are computed.

    Attributes:
        path: Of the projection, from the decoder.
        turn: How often it was called before in a pass.
        channels: Of the projection's output or, where there is a norm, of what that gives, its heads side by
            side.
        norm: Applied to the projection's output.
    """

    path: str
    turn: int
    channels: Channels
    norm: Normed | None = None

    def __str__(self) -> str:
        turn = f", turn {self.turn}" if self.turn else ""
        return f"{self.path}{turn}" if self.norm is None else f"{self.norm.path}({self.path}{turn})"


@dataclass(frozen=True, eq=False)
class Heads:
    """Queries, keys or values of a layer.

    Attributes:
        parts: One after the other, they make a head's width.
        factors: What each channel is multiplied by, float32 (heads, width); None for one factor that all
            share, which would only be another temperature.
        clip: Bound of each number, or None.
    """

    parts: tuple[Part, ...]
    factors: npt.NDArray[np.float32] | None = None
    clip: float | None = None

    @property
    def n_heads(self) -> int:
        """How many heads there are."""
        return len(self.parts[0].channels)

    @property
    def width(self) -> int:
        """Width of a head."""
        return sum(part.channels.shape[1] for part in self.parts)

    def __str__(self) -> str:
        parts = " + ".join(f"{part}[{part.channels.shape[1]}]" for part in self.parts)
        return f"{self.n_heads} x {parts if len(self.parts) > 1 else f'{self.width} of {self.parts[0]}'}"

    def calls(self) -> Iterator[tuple[str, int]]:
        """Yield the calls of projections, each a path and a turn."""
        for part in self.parts:
            yield part.path, part.turn

    def of(self, heads: npt.NDArray[np.int64]) -> Heads:
        """Return some of the heads."""
        parts = tuple(Part(one.path, one.turn, one.channels[heads], one.norm) for one in self.parts)
        return Heads(parts, None if self.factors is None else self.factors[heads], self.clip)


@dataclass(frozen=True, eq=False)
class LayerHeads:
    """What is read of a layer that attends.

    Attributes:
        attention: Path of the module that attends, from the decoder.
        queries: The query heads.
        keys: The key heads.
        values: The value heads, as many as there are key heads; None where they are not known.
        asks: Of each query head, the key head that it attends to.
    """

    attention: str
    queries: Heads
    keys: Heads
    values: Heads | None
    asks: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Places:
    """What is read of a decoder.

    Attributes:
        layers: Paths of the layers, in the order of their calls; one that is called twice is there twice.
        heads: Of the layers that attend, by number.
        left_out: Why nothing is read of the other layers, by number.
        source: How this is known: "discovered" or "declared".
    """

    layers: tuple[str, ...]
    heads: dict[int, LayerHeads]
    left_out: dict[int, str]
    source: Literal["discovered", "declared"]
