"""An analysis as pictures, drawn by matplotlib (the extra ``plots``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.analysis.results import QUANTITIES, SIDES, Analysis
from s3_retriever.checks import check_plots

_COLORS = {"keys": "tab:blue", "values": "tab:orange"}
_LABELS = {"fvu": "fraction of variance unexplained", "output_error": "error of the attention's output"}
_DPI = 90


def draw(analysis: Analysis, folder: Path) -> None:
    """Write ``errors.png`` (error against k) and ``perplexity.png`` (of all pairs) into a folder.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OSError: The folder cannot be written.
    """
    check_plots()
    from matplotlib.figure import Figure  # not pyplot, which keeps figures in global state

    _errors(analysis, Figure).savefig(folder / "errors.png", dpi=_DPI)
    _perplexity(analysis, Figure).savefig(folder / "perplexity.png", dpi=_DPI)


def _errors(analysis: Analysis, figure: Callable[..., Any]) -> Any:
    picture = figure(figsize=(9, 3.6), layout="constrained")
    for axes, quantity in zip(picture.subplots(1, len(QUANTITIES)), QUANTITIES, strict=True):
        for side in SIDES:
            for layer in analysis.layers:
                axes.plot(
                    analysis.budgets,
                    analysis.curve(side, quantity, layer),
                    color=_COLORS[side],
                    alpha=0.3,
                    linewidth=1,
                )
            curve = analysis.curve(side, quantity)
            axes.plot(
                analysis.budgets,
                curve,
                color=_COLORS[side],
                marker="o",
                label=f"{side}, mean (thin: a layer)",
            )
            elbow = analysis.elbow(side, quantity)
            if elbow:
                height = curve[analysis.budgets.index(elbow.k)]
                axes.plot(elbow.k, height, "o", markersize=12, fillstyle="none", color=_COLORS[side])
        axes.set_xticks(analysis.budgets)
        axes.set(xlabel="features per vector, k (circle: elbow)", ylabel=_LABELS[quantity], ylim=(0, None))
        axes.legend()
    return picture


def _perplexity(analysis: Analysis, figure: Callable[..., Any]) -> Any:
    choices = (None, *analysis.budgets)
    names = ["as is", *map(str, analysis.budgets)]
    rises = np.array([[100 * analysis.rise(keys, values) for values in choices] for keys in choices])
    picture = figure(figsize=(5.2, 4.2), layout="constrained")
    axes = picture.subplots()
    shades = np.log1p(np.maximum(rises, 0))  # the least budgets would take all the shades otherwise
    axes.imshow(shades, cmap="Oranges")
    for row, column in np.ndindex(*rises.shape):
        rise = rises[row, column]
        dark = shades[row, column] > 0.7 * shades.max()
        axes.text(
            column,
            row,
            f"{rise:+.0f}" if rise >= 99.95 else f"{rise:+.1f}",
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="k of values", ylabel="k of keys", title="rise of perplexity, %")
    return picture
