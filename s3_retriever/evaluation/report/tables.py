"""A run's comparisons and costs as tables on the terminal and as text for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from s3_retriever.evaluation.measures import TITLES
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.summary import Comparison, Cost, Row

_MB = 1e6
_MINOR = ("precision", "iou", "mrr", "hit")  # in the report and in the JSON only


def show(comparisons: Sequence[Comparison], costs: Sequence[Cost], reference: str, console: Console) -> None:
    """Write the comparisons by the leading measures, and the costs; those by length once more together."""
    for measure, budget in dict.fromkeys((one.measure, one.budget) for one in comparisons if one.length):
        if measure not in _MINOR:
            same = [one for one in comparisons if (one.measure, one.budget) == (measure, budget)]
            console.print(_by_length(same))
    for one in comparisons:
        if one.measure not in _MINOR:
            console.print(_comparison(one, reference))
    console.print(_costs(costs))


def new_table(title: str, first: str, *others: str) -> Table:
    """Return an empty table with these columns, all but the first one of numbers."""
    table = Table(title=title, title_justify="left")
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, justify="right")
    return table


def cells(comparison: Comparison) -> list[tuple[Method, list[str]]]:
    """Return each method and its texts, in the order of :func:`columns`."""
    return [(row.method, _cells(row, _compared(comparison))) for row in comparison.rows]


def cost_cells(cost: Cost) -> list[str]:
    """Return a cost's texts, in the order of :data:`COST_COLUMNS`."""
    return [
        cost.set,
        f"{cost.n_tokens:,}",
        f"{cost.build_seconds:.1f}",
        "" if cost.bytes_per_token is None else f"{cost.bytes_per_token:.1f}",
        "" if cost.peak_bytes is None else f"{cost.peak_bytes / _MB:,.0f}",
        f"{cost.median_ms:.1f}",
        f"{cost.p90_ms:.1f}",
    ]


COST_COLUMNS = ("set", "tokens", "build s", "bytes/token", "peak MB", "median ms", "90 % ms")


def columns(comparison: Comparison) -> list[str]:
    """Return the headings: macro average, difference and its interval, sets with their questions."""
    sets = [f"{name} ({n})" for name, n in comparison.n_questions.items()]
    differences = ["difference [95 %]", "better/same/worse"] if _compared(comparison) else []
    return ["macro", *differences, *sets]


def length_cells(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    """Return each method and its macro averages by length of context, "-" where it was not asked.

    Args:
        comparisons: By one measure at one budget, one per length.
    """
    names = dict.fromkeys(row.method.name for one in comparisons for row in one.rows)
    found = [{row.method.name: f"{row.macro:.3f}" for row in one.rows} for one in comparisons]
    return [(name, [macros.get(name, "-") for macros in found]) for name in names]


def title(comparison: Comparison) -> str:
    """Return what a comparison shows."""
    name = TITLES[comparison.measure]
    contexts = "" if comparison.length is None else f", contexts of {comparison.length:,}"
    return f"{name[0].upper()}{name[1:]} within {comparison.budget:,} tokens{contexts}"


def _by_length(comparisons: Sequence[Comparison]) -> Table:
    heading = f"{title(replace(comparisons[0], length=None))} by length of the context, mean of the sets"
    table = new_table(heading, "method", *(f"{one.length:,}" for one in comparisons))
    for name, texts in length_cells(comparisons):
        table.add_row(name, *texts)
    return table


def _comparison(one: Comparison, reference: str) -> Table:
    heading = f"{title(one)}; differences from {reference}" if _compared(one) else title(one)
    table = new_table(heading, "method", *columns(one))
    for method, texts in cells(one):
        table.add_row(str(method), *texts)
    return table


def _compared(comparison: Comparison) -> bool:
    """Whether any row has a difference: the reference was asked at this budget, and others too."""
    return any(row.difference is not None for row in comparison.rows)


def _cells(row: Row, compared: bool) -> list[str]:
    sets = [f"{mean:.3f}" for mean in row.sets.values()]
    differences = ["", ""] if compared else []
    if row.difference is not None and row.tally is not None:
        value, low, high = row.difference
        differences = [f"{value:+.3f} [{low:+.3f}, {high:+.3f}]", "/".join(map(str, row.tally))]
    return [f"{row.macro:.3f}", *differences, *sets]


def _costs(costs: Sequence[Cost]) -> Table:
    table = new_table("Costs", "method", *COST_COLUMNS)
    for cost in costs:
        table.add_row(str(cost.method), *cost_cells(cost))
    return table
