from __future__ import annotations

import io
import json

from rich.console import Console

from s3_retriever.evaluation.benchmark.memory import ScanMemory
from s3_retriever.evaluation.benchmark.report import show, to_json
from s3_retriever.evaluation.benchmark.run import Results
from s3_retriever.evaluation.benchmark.speed import DiskSize, Latency, Throughput
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.runner import BUDGETS
from s3_retriever.evaluation.summary import Comparison, Row


def row(name: str, recall: float) -> Row:
    return Row(Method(name), {"a": recall}, recall, None, None)


RESULTS = Results(
    comparisons=tuple(
        Comparison(measure, budget, {"a": 7}, (row("fast s3", 0.75), row("window-bm25 (64)", 0.5)))
        for measure in ("recall", "precision")
        for budget in BUDGETS
    ),
    baselines=("window-bm25 (64)",),
    sizes=(DiskSize("fast", "a", 2_000, 150_000, 1_200_000),),
    latencies=(Latency("fast", "a", 2_000, 50, 21.25, 30.5),),
    throughputs=(Throughput("fast", "bfloat16", 40_000, 9_000.0, 3_000.0, None, 0.125),),
    memory=(
        ScanMemory("fast", 100_000, 800_000_000, 9_000_000),
        ScanMemory("fast", 1_000_000, 870_000_000, 90_000_000),
    ),
)


def test_tables_show_what_was_measured() -> None:
    out = io.StringIO()
    show(RESULTS, Console(file=out, width=150))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().splitlines()]
    assert ["fast s3", "0.750", "0.750"] in rows
    assert ["fast s3", "1.500", "1.500", "1.500"] in rows
    assert ["fast", "a", "2,000", "75.0", "1.20"] in rows
    assert ["fast", "bfloat16", "40,000", "9,000", "3,000", "3.00", "", "12.5%"] in rows
    assert ["fast", "a", "2,000", "50", "21.2", "30.5"] in rows
    assert ["fast", "1,000,000", "870.0", "90.0", "70.0", "81.0"] in rows


def test_json_holds_the_same() -> None:
    values = json.loads(json.dumps(to_json(RESULTS)))
    assert [one["budget"] for one in values["comparisons"] if one["measure"] == "recall"] == [*BUDGETS]
    assert values["comparisons"][0]["rows"][0]["macro"] == 0.75
    assert values["ratios"][0] == {
        "method": "fast s3",
        "budget": 256,
        "baseline": "window-bm25 (64)",
        "value": 1.5,
    }
    assert values["throughputs"][0]["speedup"] == 3
