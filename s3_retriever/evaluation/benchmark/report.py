"""Results as tables for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from s3_retriever.evaluation.benchmark.memory import ScanMemory
from s3_retriever.evaluation.benchmark.recall import Ratio, SystemScore, ratios
from s3_retriever.evaluation.benchmark.run import Results
from s3_retriever.evaluation.report.tables import new_table
from s3_retriever.evaluation.runner import BUDGETS

_MB = 1e6


def to_json(results: Results) -> dict[str, Any]:
    """Return all results, the macro means and the ratios included, as JSON values."""
    values = asdict(results)
    for entry, score in zip(values["scores"], results.scores, strict=True):
        entry["macro_recall"] = {budget: score.macro(budget) for budget in BUDGETS}
    for entry, throughput in zip(values["throughputs"], results.throughputs, strict=True):
        entry["speedup"] = throughput.speedup
    values["ratios"] = [asdict(ratio) for ratio in ratios(results.scores)]
    return values


def show(results: Results, console: Console) -> None:
    """Write the results as tables."""
    for budget in BUDGETS:
        console.print(_recall_table(results.scores, budget))
    console.print(_ratio_table(ratios(results.scores)))
    sizes = new_table(
        "Index on disk, documents' text excluded",
        "artifact",
        "corpus",
        "tokens",
        "bytes/token",
        "artifact MB",
    )
    for size in results.sizes:
        per_token = f"{size.index_bytes / size.n_tokens:.1f}"
        mega = f"{size.artifact_bytes / _MB:.2f}"
        sizes.add_row(size.artifact, size.corpus, f"{size.n_tokens:,}", per_token, mega)
    console.print(sizes)
    if results.throughputs:
        console.print(_throughput_table(results))
        console.print(_latency_table(results))
    if results.memory:
        console.print(_memory_table(results.memory))


def _recall_table(scores: Sequence[SystemScore], budget: int) -> Table:
    sets = list(scores[0].sets)
    table = new_table(f"Evidence recall within {budget} tokens", "system", *sets, "macro")
    for score in scores:
        recalls = [f"{score.sets[name][budget].recall:.3f}" for name in sets]
        table.add_row(score.name, *recalls, f"{score.macro(budget):.3f}")
    return table


def _ratio_table(found: Sequence[Ratio]) -> Table:
    title = "Macro recall over that of the best baseline at its best window"
    best = {ratio.budget: ratio.baseline for ratio in found}
    table = new_table(title, "system", *(f"{budget} tokens: {name}" for budget, name in best.items()))
    for system in dict.fromkeys(ratio.system for ratio in found):
        table.add_row(system, *(f"{ratio.value:.3f}" for ratio in found if ratio.system == system))
    return table


def _throughput_table(results: Results) -> Table:
    columns = (
        "artifact",
        "dtype",
        "tokens",
        "scan",
        "whole host",
        "scan / whole host",
        "MiniLM",
        "features + index",
    )
    table = new_table("Tokens per second, and the part of the scan that is not the host", *columns)
    for one in results.throughputs:
        minilm = "" if one.minilm is None else f"{one.minilm:,.0f}"
        speeds = (f"{one.scan:,.0f}", f"{one.whole_host:,.0f}", f"{one.speedup:.2f}", minilm)
        table.add_row(one.artifact, one.dtype, f"{one.n_tokens:,}", *speeds, f"{one.index_share:.1%}")
    return table


def _latency_table(results: Results) -> Table:
    columns = ("artifact", "corpus", "tokens", "questions", "median ms", "90 % ms")
    table = new_table("Latency of a hybrid query, the host's pass included", *columns)
    for one in results.latencies:
        counts = (f"{one.n_tokens:,}", str(one.n_questions))
        table.add_row(one.artifact, one.corpus, *counts, f"{one.median_ms:.1f}", f"{one.p90_ms:.1f}")
    return table


def _memory_table(scans: Sequence[ScanMemory]) -> Table:
    """Tabulate scans; each artifact's growth is over its first scan."""
    columns = ("artifact", "tokens", "peak MB", "index MB", "growth of peak", "growth of index")
    table = new_table("Memory of a scan (RSS of a process of its own)", *columns)
    first: dict[str, ScanMemory] = {}
    for scan in scans:
        base = first.setdefault(scan.artifact, scan)
        growths = (scan.peak_bytes - base.peak_bytes, scan.index_bytes - base.index_bytes)
        numbers = (scan.peak_bytes, scan.index_bytes, *growths)
        table.add_row(scan.artifact, f"{scan.n_tokens:,}", *(f"{number / _MB:.1f}" for number in numbers))
    return table
