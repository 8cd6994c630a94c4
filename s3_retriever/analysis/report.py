"""An analysis for people: Markdown, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.analysis.results import QUANTITIES, SIDES, Analysis, Elbow, Quantity, Side
from s3_retriever.checks import check_plots

_TITLES: dict[Quantity, str] = {
    "fvu": "Fraction of variance unexplained",
    "output_error": "Error of the attention's output",
}


def to_markdown(analysis: Analysis) -> str:
    """Return tables of all measurements, and the conclusions in sentences."""
    host, settings = analysis.host, analysis.settings
    parts = [
        f"# STA analysis of {host['name']}",
        f"Layers {_listed(analysis.layers)} of {host['n_layers']}, {host['n_key_heads']} key heads each; "
        f"plain Top-k SAEs of {settings['n_features']} features, {settings['steps']} steps of "
        f"{settings['batch_size']} vectors, trained on {settings['tokens']:,} tokens for each k, measured on "
        f"{settings['held_out_tokens']:,} others in rows of {settings['row_tokens']}; host in "
        f"{settings['dtype']}; {analysis.seconds:,.0f} s.",
    ]
    for quantity in QUANTITIES:
        parts += [f"## {_TITLES[quantity]}", _curves(analysis, quantity)]
    parts += ["## Perplexity, all these layers replaced", _perplexities(analysis)]
    parts += ["## What follows", "\n".join(f"- {line}" for line in conclusions(analysis))]
    return "\n\n".join(parts) + "\n"


def conclusions(analysis: Analysis) -> list[str]:
    """Return the conclusions as sentences: elbows, asymmetry of keys and values, dual budget."""
    lines = []
    for quantity in QUANTITIES:
        keys, values = (_elbow(analysis.elbow(side, quantity)) for side in SIDES)
        lines.append(f"{_TITLES[quantity]}: elbow of keys {keys}, of values {values}.")
        lines.append(f"{_TITLES[quantity]}: {_matched(analysis, quantity)}")
    n = len(analysis.budgets)
    fvu, output, perplexity = analysis.harder_values().values()
    lines.append(
        f"Of {n} budgets, values come out worse than keys at {fvu} by variance unexplained, at {output} by "
        f"the attention's output, at {perplexity} by perplexity."
    )
    dual = analysis.dual_budget()
    if dual is None:
        lines.append(f"No pair of these budgets keeps perplexity within {analysis.tolerance:.1%}.")
    else:
        rise = analysis.rise(dual.k_keys, dual.k_values)
        lines.append(
            f"Dual budget that keeps perplexity within {analysis.tolerance:.1%}: k = {dual.k_keys} for keys, "
            f"{dual.k_values} for values ({rise:+.2%})."
        )
    return lines


def _matched(analysis: Analysis, quantity: Quantity) -> str:
    """Say at which budget values have the error of keys at their elbow, or else at their middle budget."""
    elbow = analysis.elbow("keys", quantity)
    k = elbow.k if elbow else analysis.budgets[len(analysis.budgets) // 2]
    error = analysis.curve("keys", quantity)[analysis.budgets.index(k)]
    needed = analysis.budget_like("values", quantity, error)
    need = f"more than {analysis.budgets[-1]}" if needed is None else f"k = {needed}"
    return f"for what keys have at k = {k} ({error:.3f}), values need {need}."


def _curves(analysis: Analysis, quantity: Quantity) -> str:
    rows = []
    for layer in (*analysis.layers, None):
        for side in SIDES:
            curve = analysis.curve(side, quantity, layer)
            elbow = _elbow(analysis.elbow(side, quantity, layer))
            name = "mean" if layer is None else str(layer)
            rows.append([name, side, *(f"{error:.3f}" for error in curve), elbow])
    keys, values = (analysis.curve(side, quantity) for side in SIDES)
    ratios = [f"{v / k:.2f}" if k else "" for k, v in zip(keys, values, strict=True)]
    rows.append(["mean", "values / keys", *ratios, ""])
    return _table(["layer", "", *(f"k = {k}" for k in analysis.budgets), "elbow (strength)"], rows)


def _perplexities(analysis: Analysis) -> str:
    choices = (None, *analysis.budgets)
    rows = [
        [_budget("keys", k_keys), *(_perplexity(analysis, k_keys, k_values) for k_values in choices)]
        for k_keys in choices
    ]
    return _table(["", *(_budget("values", k) for k in choices)], rows)


def _perplexity(analysis: Analysis, k_keys: int | None, k_values: int | None) -> str:
    value = f"{analysis.perplexity(k_keys, k_values):.2f}"
    if k_keys is None and k_values is None:
        return value
    return f"{value} ({analysis.rise(k_keys, k_values):+.1%})"


def _budget(side: Side, k: int | None) -> str:
    return f"{side} as they are" if k is None else f"{side} k = {k}"


def _elbow(elbow: Elbow | None) -> str:
    return "none" if elbow is None else f"{elbow.k} ({elbow.strength:.2f})"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    marks = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


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
    _draw_perplexity(analysis, Figure).savefig(folder / "perplexity.png", dpi=_DPI)


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


def _draw_perplexity(analysis: Analysis, figure: Callable[..., Any]) -> Any:
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
