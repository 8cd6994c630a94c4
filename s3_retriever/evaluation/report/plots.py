"""Line plots as coordinates, which the report's template draws in SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.errors import InvalidInputError

WIDTH = 360
"""Of every picture, in pixels."""

_HEIGHT = 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 12, 40
_STEPS = (1, 2, 2.5, 5, 10)
_TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """The line of one method.

    Attributes:
        name: For the legend.
        style: Number of its colour and dashes: the same name has the same one in every plot of a report.
        points: Pixels, from the left.
    """

    name: str
    style: int
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """The ``points`` attribute of an SVG polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Plot:
    """A plot; :data:`WIDTH` pixels wide.

    Attributes:
        title: What it shows.
        x_label: Of the x axis, with unit.
        y_label: Of the y axis, with unit.
        x_ticks: Pixel and text.
        y_ticks: Pixel and text.
        box: Left, top, right and bottom of the area, in pixels.
        height: Of the whole, in pixels.
        curves: One per method.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    box: tuple[int, int, int, int]
    height: int
    curves: tuple[Curve, ...]


def draw(
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[Point]],
    styles: Mapping[str, int],
    *,
    log_x: bool = False,
    y_from_zero: bool = True,
) -> Plot:
    """Place the points of some series.

    Args:
        title: What the plot shows.
        x_label: Of the x axis, with unit.
        y_label: Of the y axis, with unit.
        series: Points (x, y) by name, in any order.
        styles: Number of the style by name.
        log_x: Whether equal ratios of x are equally far apart; the ticks are then the x that occur.
        y_from_zero: Whether the y axis begins at 0.

    Raises:
        InvalidInputError: There is no point.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        msg = f"there is nothing to plot of {title!r}"
        raise InvalidInputError(msg)
    xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
    y_values = ticks(0.0 if y_from_zero else min(ys), max(ys))
    x_values = xs if log_x else ticks(0.0, xs[-1])
    scale: Callable[[float], float] = math.log if log_x else float
    across = _axis(scale(x_values[0]), scale(x_values[-1]), _LEFT, WIDTH - _RIGHT)
    up = _axis(y_values[0], y_values[-1], _HEIGHT - _BOTTOM, _TOP)
    return Plot(
        title=title,
        x_label=x_label,
        y_label=y_label,
        x_ticks=tuple((across(scale(x)), short(x)) for x in x_values),
        y_ticks=tuple((up(y), short(y)) for y in y_values),
        box=(_LEFT, _TOP, WIDTH - _RIGHT, _HEIGHT - _BOTTOM),
        height=_HEIGHT,
        curves=tuple(
            Curve(name, styles[name], tuple((across(scale(x)), up(y)) for x, y in sorted(line)))
            for name, line in series.items()
            if line
        ),
    )


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers, equally far apart, from at most ``low`` to at least ``high``."""
    rough = (high - low) / _TICKS or abs(high) / _TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _axis(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    width = high - low
    return lambda value: start + (end - start) * ((value - low) / width if width else 0.5)


def short(value: float) -> str:
    """Return a number in a few characters, such as 20K."""
    for limit, suffix in ((1e6, "M"), (1e4, "K")):
        if value >= limit:
            return f"{value * (1e-6 if suffix == 'M' else 1e-3):.4g}{suffix}"
    return f"{value:.4g}"
