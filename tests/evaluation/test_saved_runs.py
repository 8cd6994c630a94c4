"""Results of other retrievers, from files, and parts of the questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from village_set import DOCUMENTS, QUESTIONS, write_jsonl

from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.evaluate import EvaluateConfig, run_evaluation
from s3_retriever.evaluation.records import RESULTS, Records, Result
from s3_retriever.host import Host

SPANS = {
    f"q{i}": [{"doc_id": doc_id, "start": 0, "end": 60}] for i, (doc_id, _) in enumerate(QUESTIONS.values())
}


def write_run(folder: Path, spans: dict[str, list[dict[str, Any]]]) -> str:
    write_jsonl(folder / "village.jsonl", [{"query_id": id_, "spans": found} for id_, found in spans.items()])
    return f"run:{folder}"


@pytest.mark.long
def test_a_run_of_search_scores_as_the_retriever_itself(
    data: Path, tmp_path: Path, tiny_artifact: Artifact, wide_host: Host
) -> None:
    tiny_artifact.save(tmp_path / "artifact")
    wide_host.model.save_pretrained(tmp_path / "host")
    wide_host.tokenizer.save_pretrained(tmp_path / "host")
    made = {"artifact": str(tmp_path / "artifact"), "host": str(tmp_path / "host")}
    options = [part for name, value in made.items() for part in (f"--{name}", value)]
    corpus, queries = (str(data / "village" / name) for name in ("corpus.jsonl", "queries.jsonl"))
    index, run = str(tmp_path / "index"), tmp_path / "run"
    run.mkdir()
    assert main(["index", corpus, "--out", index, *options]) == 0
    asked = ["--queries", queries, "--token-budget", "32", "--out", str(run / "village.jsonl")]
    assert main(["search", index, *asked, "--host", made["host"]]) == 0
    compared = [str(data), "--methods", "hybrid", f"run:{run}", "--budgets", "16", "32", *options]
    assert main(["evaluate", *compared, "--out", str(tmp_path / "out")]) == 0
    found = {(r.question, r.method, r.budget): r for r in Records(tmp_path / "out" / RESULTS, Result).all()}
    for question in ("q0", "q1", "q2"):
        assert found[question, f"run:{run}", 32].spans == found[question, "hybrid", 32].spans
        assert found[question, f"run:{run}", 32].metrics == found[question, "hybrid", 32].metrics
        cut = found[question, f"run:{run}", 16]
        assert 0 < cut.tokens <= 16
        assert cut.spans[0][:2] == found[question, "hybrid", 32].spans[0][:2]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert {cost["method"][0] for cost in summary["costs"]} == {"hybrid"}  # a run tells nothing of its time


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ({"q0": SPANS["q0"]}, "no line for question 'q1' of 'village' .2 are missing"),
        (
            SPANS | {"q1": [{"doc_id": "bakery", "start": 5, "end": 9999}]},
            "line 2: .*9999.* does not lie within",
        ),
        (
            SPANS | {"q2": [{"doc_id": "moon", "start": 0, "end": 5}]},
            "line 3: expected .*'village', not .*moon",
        ),
        (SPANS | {"q0": [{"doc_id": "comet"}]}, "line 1: expected"),
        (SPANS | {"q0": [{"doc_id": "comet", "start": 0.5, "end": 9}]}, "line 1: expected"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(
    spans: dict[str, Any],
    message: str,
    data: Path,
    tmp_path: Path,
    tiny_artifact: Artifact,
    wide_host: Host,
) -> None:
    tiny_artifact.save(tmp_path / "artifact")
    method = write_run(tmp_path / "run", spans)
    config = EvaluateConfig(methods=(method,), artifact=str(tmp_path / "artifact"))
    with pytest.raises(InvalidInputError, match=message):
        run_evaluation(data, tmp_path / "out", config, host=wide_host)
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_missing_run_says_how_to_make_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--methods", f"run:{tmp_path / 'nothing'}", "--out", str(tmp_path / "out")]
    assert main(["evaluate", str(data), *options]) == 2
    assert "search INDEX --queries village/queries.jsonl --out village.jsonl" in capsys.readouterr().err


@pytest.mark.long
def test_a_changed_run_is_not_mixed_with_old_records(
    data: Path, tmp_path: Path, tiny_artifact: Artifact, wide_host: Host
) -> None:
    tiny_artifact.save(tmp_path / "artifact")
    method = write_run(tmp_path / "run", SPANS)
    config = EvaluateConfig(methods=(method,), budgets=(32,), artifact=str(tmp_path / "artifact"))
    run_evaluation(data, tmp_path / "out", config, host=wide_host)
    write_run(tmp_path / "run", {id_: [] for id_ in SPANS})
    with pytest.raises(InvalidInputError, match="runs"):
        run_evaluation(data, tmp_path / "out", config, host=wide_host)


@pytest.mark.long
def test_parts_share_the_questions(data: Path, tmp_path: Path) -> None:
    method = write_run(tmp_path / "run", SPANS)
    asked = []
    for part in ("1/2", "2/2"):
        out = tmp_path / part.replace("/", "-")
        options = ["--methods", method, "--budgets", "32", "--part", part, "--out", str(out)]
        assert main(["evaluate", str(data), *options]) == 0
        asked.append([json.loads(line)["question"] for line in (out / RESULTS).read_text().splitlines()])
    assert asked == [["q0", "q2"], ["q1"]]
    assert sum(map(len, asked)) == len(DOCUMENTS)


@pytest.mark.parametrize("part", ["2", "a/b", "1/", "-1/2"])
def test_a_part_that_cannot_be_read_says_how_to_write_it(
    part: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", str(data), f"--part={part}", "--out", str(tmp_path / "out")])
    assert f"must be K/N, such as 1/2, not '{part}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "message"),
    [((0, 2), r"not \(0, 2\)"), ((3, 2), r"not \(3, 2\)"), ((4, 4), "4/4 of 'village' holds none of its 3")],
)
def test_a_part_that_is_none_is_refused(
    part: tuple[int, int], message: str, data: Path, tmp_path: Path, wide_host: Host
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        run_evaluation(data, tmp_path / "out", EvaluateConfig(part=part), host=wide_host)
