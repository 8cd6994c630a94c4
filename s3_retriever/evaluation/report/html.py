"""One self-contained page about a run, with tables, plots and failures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from s3_retriever.checks import check_library, pip_install
from s3_retriever.disk import new_file
from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.metrics import TITLES
from s3_retriever.evaluation.report.failures import BadPassage, Failure
from s3_retriever.evaluation.report.plots import WIDTH, Plot, draw
from s3_retriever.evaluation.report.tables import (
    comparison_table,
    cost_table,
    length_tables,
    readability_tables,
)
from s3_retriever.evaluation.summary import Comparison, Cost, Evaluation

_FOLDER, _TEMPLATE = files("s3_retriever.evaluation.report"), "evaluation.html"
_MB = 1e6
_MOST_LINES = 13  # of a plot that can be read
_BY_BUDGET, _BY_LENGTH = ("recall", "answer_hit"), ("recall", "f1")


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        sets: What was asked.
        settings: Of the run.
        evaluation: What was measured.
        failures: Of one method, by set.
        failing: That method's name.
        notes: What the reader has to know about the run.
        bad_passages: Of the same method, the worst examples.
    """

    sets: Sequence[EvaluationSet]
    settings: Mapping[str, Any]
    evaluation: Evaluation
    failures: Mapping[str, Sequence[Failure]]
    failing: str
    notes: Sequence[str]
    bad_passages: Sequence[BadPassage] = ()


def check_jinja() -> None:
    """Refuse to begin a run whose page cannot be made.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    check_library("reports", "Jinja2", "jinja2", pip_install("report"))


def write_html(path: Path, report: Report) -> None:
    """Write the page about a run of ``evaluate``.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OSError: The file cannot be written.
    """
    write_page(
        path,
        _TEMPLATE,
        report=report,
        settings=report.settings,
        plots=plots(report.evaluation),
        sections=[
            (TITLES[measure], [*length_tables(same), *map(comparison_table, same)])
            for measure, same in _by_measure(report.evaluation.comparisons).items()
        ],
        costs=cost_table(report.evaluation.costs),
        readability=readability_tables(report.evaluation.readability),
    )


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page from a template of this package.

    Args:
        path: The page.
        template: File name of the template.
        values: What it needs.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OSError: The file cannot be written.
    """
    check_jinja()
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: _FOLDER.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(values, width=WIDTH)
    with new_file(path) as file:
        file.write(page.encode("utf-8", "replace").decode("utf-8"))  # a document may hold half a surrogate


def plots(evaluation: Evaluation) -> list[Plot]:
    """Return plots of quality by budget or length, and of memory and latency by corpus length.

    Those without points are left out. There are none at all where there are too many methods to tell apart.
    """
    styles: dict[str, int] = {}
    for comparison in evaluation.comparisons:
        for row in comparison.rows:
            styles.setdefault(row.method.name, len(styles))
    if len(styles) > _MOST_LINES:
        return []
    drawn = []
    for measure, comparisons in _by_measure(evaluation.comparisons).items():
        by_length = comparisons[0].length is not None
        if measure not in (_BY_LENGTH if by_length else _BY_BUDGET) or len(comparisons) < 2:
            continue
        name, x_label = TITLES[measure], "tokens of the context" if by_length else "token budget"
        heading = f"{name[0].upper()}{name[1:]} by {'length of the context' if by_length else x_label}"
        for budget in sorted({one.budget for one in comparisons}) if by_length else [0]:
            lines: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
            for comparison in comparisons:
                for row in comparison.rows if budget in (0, comparison.budget) else ():
                    lines[row.method.name].append((comparison.length or comparison.budget, row.macro))
            within = f" within {budget:,} tokens" if budget else ""
            drawn.append(
                draw(
                    f"{heading}{within}, mean of the sets",
                    x_label,
                    name,
                    lines,
                    styles,
                    log_x=True,
                    y_from_zero=by_length,
                )
            )
    memory, latency = _by_size(evaluation.costs)
    for heading, unit, found in (
        ("Memory added while building, by corpus length", "MB", memory),
        ("Median time of a question, by corpus length", "ms", latency),
    ):
        if any(found.values()):
            drawn.append(draw(heading, "tokens of the corpus", unit, found, styles))
    return drawn


def _by_size(costs: Sequence[Cost]) -> tuple[dict[str, list[tuple[float, float]]], ...]:
    """Return memory and latency by method; of several windows, the last one's, which are the largest."""
    latest = {(cost.method.name, cost.set): cost for cost in costs}
    memory: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    latency: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for (name, _), cost in latest.items():
        latency[name].append((cost.n_tokens, cost.median_ms))
        if cost.peak_bytes is not None:
            memory[name].append((cost.n_tokens, cost.peak_bytes / _MB))
    return memory, latency


def _by_measure(comparisons: Sequence[Comparison]) -> dict[str, list[Comparison]]:
    return {name: same for name in TITLES if (same := [one for one in comparisons if one.measure == name])}
