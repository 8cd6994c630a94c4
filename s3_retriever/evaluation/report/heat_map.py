"""Shares by length and depth as a coloured table, which a report's template writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from s3_retriever.evaluation.report.plots import short

# From none to all: colours that those who cannot tell red from green can tell apart too.
_STOPS = (0.0, 0.5, 0.9, 1.0)
_COLOURS = np.array([(179, 88, 6), (247, 224, 190), (178, 199, 224), (33, 102, 172)])
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue
_DARK = 140  # luminance below which text is white


@dataclass(frozen=True)
class Tile:
    """A share.

    Attributes:
        text: The share in percent.
        fill: Colour.
        ink: Colour of the text.
        title: What the share is of.
    """

    text: str
    fill: str
    ink: str
    title: str


@dataclass(frozen=True)
class HeatMap:
    """A table of tiles.

    Attributes:
        title: What it shows.
        lengths: Headings of the columns.
        rows: A depth in percent each, and its tiles; None where there is no share.
    """

    title: str
    lengths: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Tile | None, ...]], ...]


def draw_heat_map(title: str, shares: Mapping[tuple[float, float], tuple[int, int]]) -> HeatMap:
    """Arrange shares by length (columns) and depth (rows).

    Args:
        title: What the map shows.
        shares: By length and depth in [0, 1]: how many of how many, at least one.
    """
    lengths, depths = (sorted({key[i] for key in shares}) for i in (0, 1))

    def tile(length: float, depth: float) -> Tile | None:
        if (length, depth) not in shares:
            return None
        found, asked = shares[length, depth]
        said = f"{found} of {asked} at {percent(depth)} % of {length:,.0f}"
        return Tile(percent(found / asked), *_colours(found / asked), said)

    rows = ((percent(depth), tuple(tile(length, depth) for length in lengths)) for depth in depths)
    return HeatMap(title, tuple(map(short, lengths)), tuple(rows))


def percent(share: float) -> str:
    """Return a share in whole percent. Only all is 100, and only none is 0."""
    rounded = round(100 * share)
    return str(min(max(rounded, 1), 99) if 0 < share < 1 else rounded)


def _colours(share: float) -> tuple[str, str]:
    """Return the colour of a share and that of text on it."""
    rgb = [round(float(np.interp(share, _STOPS, channel))) for channel in _COLOURS.T]
    return "#{:02x}{:02x}{:02x}".format(*rgb), "#fff" if np.dot(_LUMINANCE, rgb) < _DARK else "#1b1f24"
