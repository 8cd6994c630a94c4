"""Results as tables for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from s3_retriever.evaluation.benchmark.memory import ScanMemory
from s3_retriever.evaluation.benchmark.run import Results
from s3_retriever.evaluation.benchmark.speed import DiskSize, Latency, Throughput
from s3_retriever.evaluation.report.tables import TextTable, comparison_table

_MB = 1e6


@dataclass(frozen=True)
class Ratio:
    """A method's macro recall over that of the best baseline at the same budget.

    Attributes:
        method: Its name.
        budget: Tokens.
        baseline: Name of the best baseline, its window size included.
        value: The quotient.
    """

    method: str
    budget: int
    baseline: str
    value: float


def ratios(results: Results) -> list[Ratio]:
    """Compare every method with the baseline that is best at a budget."""
    found = []
    for one in results.comparisons:
        if one.measure == "recall":
            macros = {row.method.name: row.macro for row in one.rows}
            best = max(results.baselines, key=macros.__getitem__)
            found += [
                Ratio(name, one.budget, best, macro / macros[best] if macros[best] else 0.0)
                for name, macro in macros.items()
                if name not in results.baselines
            ]
    return found


def to_json(results: Results) -> dict[str, Any]:
    """Return all results, the ratios included, as JSON values."""
    values = asdict(results)
    for entry, throughput in zip(values["throughputs"], results.throughputs, strict=True):
        entry["speedup"] = throughput.speedup
    values["ratios"] = [asdict(ratio) for ratio in ratios(results)]
    return values


def show(results: Results, console: Console) -> None:
    """Write the results as tables."""
    tables = [comparison_table(one) for one in results.comparisons if one.measure == "recall"]
    tables += [_ratio_table(ratios(results)), _size_table(results.sizes)]
    if results.throughputs:
        tables += [_throughput_table(results.throughputs), _latency_table(results.latencies)]
    if results.memory:
        tables.append(_memory_table(results.memory))
    for table in tables:
        table.show(console)


def _ratio_table(found: Sequence[Ratio]) -> TextTable:
    best = {ratio.budget: ratio.baseline for ratio in found}
    return TextTable(
        "Macro recall over that of the best baseline at its best window",
        ("method", *(f"{budget} tokens: {name}" for budget, name in best.items())),
        tuple(
            (method, *(f"{ratio.value:.3f}" for ratio in found if ratio.method == method))
            for method in dict.fromkeys(ratio.method for ratio in found)
        ),
    )


def _size_table(sizes: Sequence[DiskSize]) -> TextTable:
    columns: dict[str, Callable[[DiskSize], str]] = {
        "artifact": lambda one: one.artifact,
        "corpus": lambda one: one.corpus,
        "tokens": lambda one: f"{one.n_tokens:,}",
        "bytes/token": lambda one: f"{one.index_bytes / one.n_tokens:.1f}",
        "artifact MB": lambda one: f"{one.artifact_bytes / _MB:.2f}",
    }
    return TextTable.of("Index on disk, documents' text excluded", sizes, columns)


def _throughput_table(throughputs: Sequence[Throughput]) -> TextTable:
    columns: dict[str, Callable[[Throughput], str]] = {
        "artifact": lambda one: one.artifact,
        "dtype": lambda one: one.dtype,
        "tokens": lambda one: f"{one.n_tokens:,}",
        "scan": lambda one: f"{one.scan:,.0f}",
        "whole host": lambda one: f"{one.whole_host:,.0f}",
        "scan / whole host": lambda one: f"{one.speedup:.2f}",
        "MiniLM": lambda one: "" if one.minilm is None else f"{one.minilm:,.0f}",
        "features + index": lambda one: f"{one.index_share:.1%}",
    }
    title = "Tokens per second, and the part of the scan that is not the host"
    return TextTable.of(title, throughputs, columns)


def _latency_table(latencies: Sequence[Latency]) -> TextTable:
    columns: dict[str, Callable[[Latency], str]] = {
        "artifact": lambda one: one.artifact,
        "corpus": lambda one: one.corpus,
        "tokens": lambda one: f"{one.n_tokens:,}",
        "questions": lambda one: str(one.n_questions),
        "median ms": lambda one: f"{one.median_ms:.1f}",
        "90 % ms": lambda one: f"{one.p90_ms:.1f}",
    }
    return TextTable.of("Latency of a hybrid query, the host's pass included", latencies, columns)


def _memory_table(scans: Sequence[ScanMemory]) -> TextTable:
    """Tabulate scans; each artifact's growth is over its first scan."""
    first = {scan.artifact: scan for scan in reversed(scans)}
    rows = []
    for scan in scans:
        base = first[scan.artifact]
        growths = (scan.peak_bytes - base.peak_bytes, scan.index_bytes - base.index_bytes)
        numbers = (scan.peak_bytes, scan.index_bytes, *growths)
        rows.append((scan.artifact, f"{scan.n_tokens:,}", *(f"{number / _MB:.1f}" for number in numbers)))
    return TextTable(
        "Memory of a scan (RSS of a process of its own)",
        ("artifact", "tokens", "peak MB", "index MB", "growth of peak", "growth of index"),
        tuple(rows),
    )
