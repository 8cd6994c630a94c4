"""An analysis as Markdown, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from s3_retriever.analysis.elbow import Elbow
from s3_retriever.analysis.results import QUANTITIES, SIDES, Analysis, Quantity, Side

_TITLES: dict[Quantity, str] = {
    "fvu": "Fraction of variance unexplained",
    "output_error": "Error of the attention's output",
}


def to_markdown(analysis: Analysis) -> str:
    """Return tables of all that was measured, and in sentences what follows."""
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
    """Return what follows, a sentence each: elbows, asymmetry, dual budget."""
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
    """Say which budget brings values to where keys are at their elbow, or else at their middle budget."""
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
