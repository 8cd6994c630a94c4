"""A run's needles as tables on the terminal and as a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.needles.scores import Haystack, LengthScore, NeedleScores
from s3_retriever.evaluation.records import Build, Result
from s3_retriever.evaluation.report.failures import WORST, worst
from s3_retriever.evaluation.report.heat_map import HeatMap, draw_heat_map
from s3_retriever.evaluation.report.html import write_page
from s3_retriever.evaluation.report.tables import TextTable, cost_table
from s3_retriever.evaluation.summary import costs

_TEMPLATE = "needles.html"
_ONE = "Percent of the needles found, its 95 % interval (Wilson), and how many at the depth with the fewest."
_SEVERAL = (
    "Percent of the needles found; of the questions with all needles found, its 95 % interval (Wilson)."
)


def needle_tables(scores: NeedleScores, budget: int) -> list[TextTable]:
    """Return a table per number of needles: methods down, lengths across."""
    tables = []
    for n in sorted({one.n_needles for one in scores.lengths}):
        rows: defaultdict[Method, dict[int, LengthScore]] = defaultdict(dict)
        for one in scores.lengths:
            if one.n_needles == n:
                rows[one.method][one.length] = one
        lengths = sorted({length for row in rows.values() for length in row})
        asked = max(one.asked for row in rows.values() for one in row.values())
        title = f"{'One needle' if n == 1 else f'{n} needles'} within {budget:,} tokens"
        tables.append(
            TextTable(
                f"{title}: {asked} questions per length",
                ("method", *(f"{length:,}" for length in lengths)),
                tuple(
                    (str(method), *(_cell(row[n], scores) if n in row else "" for n in lengths))
                    for method, row in rows.items()
                ),
                _ONE if n == 1 else _SEVERAL,
            )
        )
    return tables


def show(scores: NeedleScores, budget: int, console: Console) -> None:
    """Write the tables."""
    for table in needle_tables(scores, budget):
        table.show(console)


def write_needle_report(
    path: Path,
    haystacks: Sequence[Haystack],
    scores: NeedleScores,
    results: Sequence[Result],
    builds: Sequence[Build],
    settings: Mapping[str, Any],
    budget: int,
) -> None:
    """Write the page: heat maps, tables, costs, and what the first method missed.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OSError: The file cannot be written.
    """
    sets = [one.set for one in haystacks]
    lengths = {one.set.name: f"{one.length:,}" for one in haystacks}
    first = scores.lengths[0].method
    failures = sorted(
        (failure for one in sets for failure in worst(one, results, first, None, budget)),
        key=lambda failure: failure.value,
    )
    write_page(
        path,
        _TEMPLATE,
        settings=settings,
        lengths=[f"{length:,}" for length in sorted({one.length for one in haystacks})],
        n_questions=sum(len(one.questions) for one in sets),
        budget=f"{budget:,}",
        maps=heat_maps(scores),
        tables=needle_tables(scores, budget),
        costs=cost_table(costs(builds, results, lengths), "length"),
        failing=str(first),
        failures=failures[:WORST],
    )


def heat_maps(scores: NeedleScores) -> list[HeatMap]:
    """Return a heat map per method, of questions with one needle."""
    shares: defaultdict[Method, dict[tuple[float, float], tuple[int, int]]] = defaultdict(dict)
    for one in scores.depths:
        shares[one.method][one.length, one.depth] = (one.found, one.asked)
    return [draw_heat_map(str(method), found) for method, found in shares.items()]


def _cell(one: LengthScore, scores: NeedleScores) -> str:
    low, high = one.interval
    interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
    if one.n_needles > 1:
        return f"{100 * one.share:.1f}; {100 * one.share_complete:.1f} {interval}"
    depths = [d for d in scores.depths if (d.method, d.length) == (one.method, one.length)]
    least = min(depths, key=lambda depth: depth.found / depth.asked)
    return f"{100 * one.share:.1f} {interval} {least.found}/{least.asked}"
