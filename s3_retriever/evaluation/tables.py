"""A run's comparisons and costs as tables on the terminal and as text for the report."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from s3_retriever.evaluation.measures import TITLES
from s3_retriever.evaluation.report import new_table
from s3_retriever.evaluation.summary import Comparison, Cost, Row

_MB = 1e6
_MINOR = ("precision", "iou", "mrr", "hit")  # in the report and in the JSON only


def show(comparisons: Sequence[Comparison], costs: Sequence[Cost], reference: str, console: Console) -> None:
    """Write the comparisons by the leading measures, and the costs."""
    for one in comparisons:
        if one.measure not in _MINOR:
            console.print(_comparison(one, reference))
    console.print(_costs(costs))


def cells(row: Row) -> list[str]:
    """Return a row's texts: each set, macro average, difference and its interval, wins/ties/losses."""
    texts = [f"{mean:.3f}" for mean in (*row.sets.values(), row.macro)]
    if row.difference is None or row.tally is None:
        return [*texts, "", ""]
    value, low, high = row.difference
    return [*texts, f"{value:+.3f} [{low:+.3f}, {high:+.3f}]", "/".join(map(str, row.tally))]


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
    """Return the headings of :func:`cells`."""
    sets = [f"{name} ({n})" for name, n in comparison.n_questions.items()]
    return [*sets, "macro", "difference [95 %]", "better/same/worse"]


def title(comparison: Comparison) -> str:
    """Return what a comparison shows."""
    name = TITLES[comparison.measure]
    return f"{name[0].upper()}{name[1:]} within {comparison.budget:,} tokens"


def _comparison(one: Comparison, reference: str) -> Table:
    heading = f"{title(one)}; differences from {reference}, with 95 % intervals"
    table = new_table(heading, "method", *columns(one))
    for row in one.rows:
        table.add_row(str(row.method), *cells(row))
    return table


def _costs(costs: Sequence[Cost]) -> Table:
    table = new_table("Costs", "method", *COST_COLUMNS)
    for cost in costs:
        table.add_row(str(cost.method), *cost_cells(cost))
    return table
