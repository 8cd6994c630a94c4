"""Heat maps of shares as coordinates, which a report's template draws in SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.evaluation.report.plots import WIDTH, Frame, short

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 38
_ROW = 20

# From none to all: colours that those who cannot tell red from green can tell apart too.
_STOPS = ((0.0, (179, 88, 6)), (0.5, (247, 224, 190)), (0.9, (178, 199, 224)), (1.0, (33, 102, 172)))
_DARK = 140  # luminance below which text is white


@dataclass(frozen=True)
class Tile:
    """A share.

    Attributes:
        x: Left edge, in pixels.
        y: Top edge, in pixels.
        text: The share in percent.
        fill: Colour.
        ink: Colour of the text.
        title: What the share is of.
    """

    x: float
    y: float
    text: str
    fill: str
    ink: str
    title: str


@dataclass(frozen=True)
class HeatMap(Frame):
    """A heat map; its ticks are at the middle of columns and rows.

    Attributes:
        tiles: Where there is a share.
        column: Width of a column, in pixels.
        row: Height of a row, in pixels.
    """

    tiles: tuple[Tile, ...]
    column: float
    row: float


def draw_heat_map(
    title: str,
    x_label: str,
    y_label: str,
    shares: Mapping[tuple[float, float], tuple[int, int]],
) -> HeatMap:
    """Place shares by length (x) and depth (y, from the top).

    Args:
        title: What the map shows.
        x_label: Of the x axis, with unit.
        y_label: Of the y axis, with unit.
        shares: By length and depth in [0, 1]: how many of how many, at least one.
    """
    lengths, depths = (sorted({key[i] for key in shares}) for i in (0, 1))
    right, bottom = WIDTH - _RIGHT, _TOP + _ROW * len(depths)
    column = (right - _LEFT) / max(len(lengths), 1)
    tiles = []
    for (length, depth), (found, asked) in shares.items():
        share = found / asked
        fill, ink = _colours(share)
        tiles.append(
            Tile(
                _LEFT + column * lengths.index(length),
                _TOP + _ROW * depths.index(depth),
                percent(share),
                fill,
                ink,
                f"{found} of {asked} at {percent(depth)} % of {length:,.0f}",
            )
        )
    return HeatMap(
        title,
        x_label,
        y_label,
        tuple((_LEFT + column * (i + 0.5), short(length)) for i, length in enumerate(lengths)),
        tuple((_TOP + _ROW * (i + 0.5), percent(depth)) for i, depth in enumerate(depths)),
        (_LEFT, _TOP, right, bottom),
        bottom + _BOTTOM,
        tuple(tiles),
        column,
        _ROW,
    )


def percent(share: float) -> str:
    """Return a share in whole percent; all but all is not 100, and more than none not 0."""
    rounded = round(100 * share)
    return str(min(max(rounded, 1), 99) if 0 < share < 1 else rounded)


def _colours(share: float) -> tuple[str, str]:
    """Return the colour of a share and that of text on it."""
    stops: Sequence[tuple[float, tuple[int, int, int]]] = _STOPS
    i = next(i for i in range(1, len(stops)) if share <= stops[i][0])
    (low, dark), (high, bright) = stops[i - 1], stops[i]
    part = (share - low) / (high - low)
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(dark, bright, strict=True))
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return f"#{red:02x}{green:02x}{blue:02x}", "#fff" if luminance < _DARK else "#1b1f24"
