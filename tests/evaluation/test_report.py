from __future__ import annotations

import io
import json

from rich.console import Console

from s3_retriever.evaluation import Overlap
from s3_retriever.evaluation.benchmark.memory import ScanMemory
from s3_retriever.evaluation.benchmark.recall import SystemScore
from s3_retriever.evaluation.benchmark.report import show, to_json
from s3_retriever.evaluation.benchmark.run import Results
from s3_retriever.evaluation.benchmark.speed import DiskSize, Latency, Throughput
from s3_retriever.evaluation.runner import BUDGETS

RESULTS = Results(
    scores=(
        SystemScore("fast s3", False, {"a": dict.fromkeys(BUDGETS, Overlap(0.75, 0.5, 0.4))}),
        SystemScore("BM25", True, {"a": dict.fromkeys(BUDGETS, Overlap(0.5, 0.5, 0.4))}),
    ),
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
    assert values["scores"][0]["macro_recall"] == {str(budget): 0.75 for budget in BUDGETS}
    assert values["ratios"][0] == {"system": "fast s3", "budget": 256, "baseline": "BM25", "value": 1.5}
    assert values["throughputs"][0]["speedup"] == 3
