"""A run's comparisons and costs as tables, for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from s3_retriever.evaluation.metrics import TITLES
from s3_retriever.evaluation.readability import FAULTS, Readability
from s3_retriever.evaluation.summary import Comparison, Cost, Evaluation, Row
from s3_retriever.terminal import printable

_T = TypeVar("_T")

_MB = 1e6
_MINOR = ("precision", "iou", "mrr", "hit")  # in the report and in the JSON only


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Attributes:
        title: What it shows.
        columns: Headings.
        rows: As many texts each as there are columns, the first of which is a name.
        note: How the cells are to be read.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    @classmethod
    def of(cls, title: str, records: Iterable[_T], columns: Mapping[str, Callable[[_T], str]]) -> TextTable:
        """Tabulate records, given for each heading what makes a cell of a record."""
        rows = (tuple(cell(one) for cell in columns.values()) for one in records)
        return cls(title, tuple(columns), tuple(rows))

    def show(self, console: Console) -> None:
        """Write it, all columns but the first one as numbers."""
        table = Table(
            title=_cell(self.title), title_justify="left", caption=self.note or None, caption_justify="left"
        )
        table.add_column(_cell(self.columns[0]), no_wrap=True)
        for column in self.columns[1:]:
            table.add_column(_cell(column), justify="right")
        for row in self.rows:
            table.add_row(*map(_cell, row))
        console.print(table)


def _cell(text: str) -> Text:
    """Return a text as it is: names of sets and methods are neither markup nor control characters."""
    return Text(printable(text))


def show(evaluation: Evaluation, console: Console) -> None:
    """Write the comparisons by the leading measures, how passages read, and the costs.

    Comparisons by length are written once more together.
    """
    comparisons, reference = evaluation.comparisons, evaluation.reference
    leading = [one for one in comparisons if one.measure not in _MINOR]
    compared = (comparison_table(one, reference) for one in leading)
    read = readability_tables(evaluation.readability)
    for table in (*length_tables(leading), *compared, *read, cost_table(evaluation.costs)):
        table.show(console)


def comparison_table(one: Comparison, reference: str = "") -> TextTable:
    """Tabulate a comparison: macro average, difference and its interval, sets with their questions.

    Args:
        one: The comparison.
        reference: Name of the method that differences are from, for the title.
    """
    compared = any(row.difference is not None for row in one.rows)
    return TextTable(
        f"{_title(one)}; differences from {reference}" if compared and reference else _title(one),
        (
            "method",
            "macro",
            *(("difference [95 %]", "better/same/worse") if compared else ()),
            *(f"{name} ({n})" for name, n in one.n_questions.items()),
        ),
        tuple(
            (
                str(row.method),
                f"{row.macro:.3f}",
                *(_difference(row) if compared else ()),
                *(f"{mean:.3f}" for mean in row.sets.values()),
            )
            for row in one.rows
        ),
    )


def length_tables(comparisons: Iterable[Comparison]) -> list[TextTable]:
    """Tabulate macro averages by length of context, "-" where a method was not asked.

    A table for each measure and budget of those comparisons that have a length.
    """

    def measure_and_budget(one: Comparison) -> tuple[int, int]:
        return list(TITLES).index(one.measure), one.budget

    tables = []
    with_length = sorted((one for one in comparisons if one.length), key=measure_and_budget)
    for _, group in groupby(with_length, measure_and_budget):
        same = list(group)
        names = dict.fromkeys(row.method.name for one in same for row in one.rows)
        found = [{row.method.name: f"{row.macro:.3f}" for row in one.rows} for one in same]
        tables.append(
            TextTable(
                f"{_title(replace(same[0], length=None))} by length of the context, mean of the sets",
                ("method", *(f"{one.length:,}" for one in same)),
                tuple((name, *(macros.get(name, "-") for macros in found)) for name in names),
            )
        )
    return tables


def readability_tables(rows: Sequence[Readability]) -> list[TextTable]:
    """Tabulate how passages read, if any were found: shares, and distinct passages per question."""
    if not rows:
        return []
    columns: dict[str, Callable[[Readability], str]] = {
        "method": lambda one: str(one.method),
        "short": lambda one: f"{one.short:.1%}",
        "begins inside": lambda one: f"{one.begins_inside:.1%}",
        "ends inside": lambda one: f"{one.ends_inside:.1%}",
        "splits a character": lambda one: f"{one.splits_character:.1%}",
        "furniture": lambda one: f"{one.furniture:.1%}",
        "passages": lambda one: f"{one.passages:.1f}",
    }
    table = TextTable.of(f"Readability within {rows[0].budget:,} tokens", rows, columns)
    note = "; ".join(f"{what.replace('_', ' ')}: {text}" for what, text in FAULTS.items())
    return [replace(table, note=note)]


def cost_table(costs: Iterable[Cost], of: str = "set") -> TextTable:
    """Tabulate costs; ``of`` says of what the second column names are."""
    columns: dict[str, Callable[[Cost], str]] = {
        "method": lambda one: str(one.method),
        of: lambda one: one.set,
        "tokens": lambda one: f"{one.n_tokens:,}",
        "build s": lambda one: f"{one.build_seconds:.1f}",
        "bytes/token": lambda one: "" if one.bytes_per_token is None else f"{one.bytes_per_token:.1f}",
        "peak MB": lambda one: "" if one.peak_bytes is None else f"{one.peak_bytes / _MB:,.0f}",
        "median ms": lambda one: f"{one.median_ms:.1f}",
        "90 % ms": lambda one: f"{one.p90_ms:.1f}",
    }
    return TextTable.of("Costs", costs, columns)


def _title(comparison: Comparison) -> str:
    name = TITLES[comparison.measure]
    contexts = "" if comparison.length is None else f", contexts of {comparison.length:,}"
    return f"{name[0].upper()}{name[1:]} within {comparison.budget:,} tokens{contexts}"


def _difference(row: Row) -> tuple[str, str]:
    if row.difference is None or row.tally is None:
        return "", ""
    value, low, high = row.difference
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]", "/".join(map(str, row.tally))
