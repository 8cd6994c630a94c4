from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever import Host
from s3_retriever.documents import Document
from s3_retriever.encode import Artifact
from s3_retriever.evaluation import load_sets, overlap
from s3_retriever.evaluation.__main__ import main
from s3_retriever.evaluation.benchmark.memory import measure_memory
from s3_retriever.evaluation.benchmark.report import ratios
from s3_retriever.evaluation.benchmark.run import Results
from s3_retriever.evaluation.benchmark.speed import (
    limited,
    measure_disk_size,
    measure_latency,
    measure_throughput,
    repeated,
    repeated_corpus,
)
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.runner import BUDGETS
from s3_retriever.evaluation.summary import Comparison, Row


def results(rows: dict[str, float], *baselines: str) -> Results:
    """Recall alone, the same at every budget."""
    comparisons = tuple(
        Comparison(
            "recall",
            budget,
            {"a": 1},
            tuple(Row(Method(name), {"a": macro}, macro, None, None) for name, macro in rows.items()),
        )
        for budget in BUDGETS
    )
    return Results(comparisons, baselines, (), (), (), ())


def test_ratios_are_over_the_best_baseline_by_macro() -> None:
    found = ratios(results({"ours": 0.75, "uneven": 0.55, "even": 0.6}, "uneven", "even"))
    assert [(ratio.method, ratio.budget, ratio.baseline) for ratio in found] == [
        ("ours", budget, "even") for budget in BUDGETS
    ]
    assert all(ratio.value == pytest.approx(1.25) for ratio in found)


@pytest.mark.host
def test_the_benchmark_prints_tables_and_json(
    data: Path, tmp_path: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    arguments = [str(data), "--artifact", "fast", "--skip-minilm", "--skip-speed", "--json", str(out)]
    assert main(arguments) == 0
    tables = capsys.readouterr().out
    assert all(f"Evidence recall within {budget:,} tokens" in tables for budget in BUDGETS)
    results = json.loads(out.read_text(encoding="utf-8"))
    first = results["comparisons"][0]
    assert (first["measure"], first["budget"]) == ("recall", 256)
    recalls = {row["method"][0]: row["sets"]["village"] for row in first["rows"]}
    # The whole corpus fits the budget.
    names = ["fast s3", "fast hybrid", "fast paper", "bm25", "window-bm25 (64)", "window-bm25 (256)"]
    assert [recalls[name] for name in names] == [1] * 6
    assert {ratio["method"] for ratio in results["ratios"]} == set(names[:4])
    assert {ratio["value"] for ratio in results["ratios"]} == {1}
    assert results["latencies"] == results["throughputs"] == results["memory"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: nowhere holds no evaluation sets"),
        (["DATA", "--sets", "town"], "holds no set 'town'"),
        (["DATA", "--questions", "0"], "questions must be a whole number, 1 or more, or None, not 0"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.replace("DATA", str(data)) for argument in arguments] + ["--artifact", "fast"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_benchmark_needs_evidence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = {"_id": "q9", "text": "Who?", "answers": ["Ruth"]}
    with (data / "village" / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(question) + "\n")
    assert main([str(data), "--artifact", "fast"]) == 2
    assert "village has questions without evidence" in capsys.readouterr().err


def test_repeated_documents_have_their_own_ids(tiny_host: Host) -> None:
    documents = [Document("a", "one two three"), Document("b", "four five")]
    tokens = [tiny_host.count_tokens(document.text) for document in documents]
    copies = list(limited(repeated(documents), sum(tokens) + 1, tiny_host))
    assert [copy.id for copy in copies] == ["a#0", "b#0", "a#1"]
    assert copies[2].text == "one two three"


@pytest.mark.host
def test_speed_and_size_are_measured(data: Path, host: Host) -> None:
    (village,) = load_sets(data)
    artifact = Artifact.load("fast")
    throughput = measure_throughput(village.documents, host, artifact, None)
    assert throughput.n_tokens == sum(host.count_tokens(document.text) for document in village.documents)
    assert throughput.minilm is None
    assert 0 < throughput.index_share < 1
    assert min(throughput.scan, throughput.whole_host) > 0

    large = repeated_corpus(village.documents, 500, host, artifact)
    assert 500 <= large.n_tokens < 500 + throughput.n_tokens
    latency = measure_latency(large, ["When was the lighthouse built?"] * 2, "repeated")
    assert (latency.n_questions, latency.n_tokens) == (2, large.n_tokens)
    assert 0 < latency.median_ms <= latency.p90_ms
    copies = [large.document(id_) for id_ in large.document_ids[:: len(village.documents)]]
    assert len({copy.text for copy in copies}) == 1

    size = measure_disk_size(large, "repeated")
    assert large.nbytes <= size.index_bytes < 2 * large.nbytes + 50_000


@pytest.mark.host
def test_a_repeated_corpus_answers_like_the_original(data: Path, host: Host) -> None:
    (village,) = load_sets(data)
    artifact = Artifact.load("fast")
    large = repeated_corpus(village.documents, 500, host, artifact)
    for question in village.questions:
        spans = large.retrieve(question.text, 64)
        found = [Region(span.doc_id.partition("#")[0], span.start, span.end) for span in spans]
        assert overlap(found, question.evidence).recall == 1


@pytest.mark.slow
@pytest.mark.host
def test_memory_is_measured_in_a_fresh_process(data: Path) -> None:
    (scan,) = measure_memory(data, "fast", sizes=[300])
    assert scan.n_tokens >= 300
    assert 0 < scan.index_bytes < scan.peak_bytes
