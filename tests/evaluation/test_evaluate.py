"""The evaluation as a whole, with the tiny host: what it finds means nothing, how it is recorded does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from killed_run import Fragile, Killed
from village_set import DOCUMENTS, write_jsonl

from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError, MissingDependencyError
from s3_retriever.evaluation import load_sets
from s3_retriever.evaluation.evaluate import EvaluateConfig, Evaluation, run_evaluation
from s3_retriever.evaluation.methods import FullContext, System, WindowSystem, make_systems
from s3_retriever.evaluation.records import ANSWERS, BUILDS, RESULTS, Records, Result
from s3_retriever.evaluation.runner import part_of
from s3_retriever.host import Host

NAMES = ("hybrid", "bm25", "letters", "letters+bm25")
MEASURED = ("seconds", "ms", "peak_bytes")


class Letters:
    """An embedding model that counts letters."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        counts = [[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        vectors = np.array(counts, np.float32) + 1e-3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_question(self, text: str) -> npt.NDArray[np.float32]:
        vector: npt.NDArray[np.float32] = self.embed([text])[0]
        return vector


@pytest.fixture
def systems(tiny_artifact: Artifact, wide_host: Host) -> list[System]:
    ours = make_systems(NAMES[:2], tiny_artifact, (), wide_host)
    windows = [WindowSystem(size, NAMES[2:], Letters()) for size in (8, 16)]
    return [*ours, *windows, FullContext(40)]


@pytest.fixture
def evaluate(
    data: Path, tmp_path: Path, systems: list[System], tiny_artifact: Artifact, wide_host: Host
) -> Callable[..., Evaluation]:
    """Runs the evaluation into a folder."""
    tiny_artifact.save(tmp_path / "artifact")
    config = EvaluateConfig(
        methods=(*NAMES, "full-context"), budgets=(16, 32), artifact=str(tmp_path / "artifact")
    )

    def run(out: str, these: Sequence[System] | None = None, **changes: Any) -> Evaluation:
        return run_evaluation(
            data, tmp_path / out, replace(config, **changes), host=wide_host, systems=these or systems
        )

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file without what is measured with a clock."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in MEASURED} for line in found]


@pytest.mark.long
def test_every_method_is_asked_everything_once(
    evaluate: Callable[..., Evaluation], tmp_path: Path, data: Path, wide_host: Host
) -> None:
    evaluation = evaluate("out", answers=True)
    results = Records(tmp_path / "out" / RESULTS, Result).all()
    windows = [("letters", 8), ("letters+bm25", 8), ("letters", 16), ("letters+bm25", 16)]
    expected = {
        (f"q{number}", method, window, budget)
        for number in range(3)
        for method, window in (("hybrid", 0), ("bm25", 0), *windows)
        for budget in (16, 32)
    } | {(f"q{number}", "full-context", 0, 40) for number in range(3)}
    assert {(r.question, r.method, r.window, r.budget) for r in results} == expected
    assert len(results) == len(expected)
    for result in results:
        if result.method != "full-context":  # cut to the token in the document, not in the passage
            assert sum(len(DOCUMENTS[id_][a:b]) for id_, a, b in result.spans) > 0
        assert set(result.metrics) == {"recall", "precision", "iou"}
    (village,) = load_sets(data)
    assert evaluation.reference == "letters+bm25"
    (at_32,) = [c for c in evaluation.comparisons if (c.measure, c.budget) == ("recall", 32)]
    assert at_32.n_questions == {"village": 3}
    for row in at_32.rows:
        own = [
            r.metrics["recall"]
            for r in results
            if (r.method, r.window, r.budget) == (row.method.name, row.method.window, 32)
        ]
        assert row.macro == row.sets["village"] == pytest.approx(np.mean(own))
        assert (row.difference is None) == (row.method.name == "letters+bm25")
        if row.difference is not None:
            assert row.tally is not None and sum(row.tally) == 3
            assert row.difference.low <= row.difference.value <= row.difference.high
    # The best window is shown, and only that one.
    assert [row.method.name for row in at_32.rows] == list(NAMES)
    assert {cost.n_tokens for cost in evaluation.costs} == {
        sum(wide_host.count_tokens(document.text) for document in village.documents)
    }
    assert not lines(tmp_path / "out" / BUILDS)[-1]["nbytes"]  # the full context has no index
    assert not (tmp_path / "out" / ANSWERS).exists()  # no answers are known
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["comparisons"]) == len(evaluation.comparisons)


@pytest.mark.long
def test_a_killed_run_goes_on_where_it_was(
    evaluate: Callable[..., Evaluation], systems: list[System], tmp_path: Path
) -> None:
    whole = evaluate("whole")
    with pytest.raises(Killed):
        evaluate("killed", [systems[0], Fragile(systems[1], 9), *systems[2:]])
    records = tmp_path / "killed" / RESULTS
    content = records.read_bytes()
    kept = content.count(b"\n")
    records.write_bytes(content + content[: len(content) // 3].rpartition(b"\n")[2])  # half a line
    resumed = evaluate("killed")
    assert lines(records) == lines(tmp_path / "whole" / RESULTS)
    assert lines(tmp_path / "killed" / BUILDS) == lines(tmp_path / "whole" / BUILDS)
    assert records.read_bytes().startswith(content)
    assert kept < len(lines(records))
    assert resumed.comparisons == whole.comparisons
    before = records.read_bytes()
    assert evaluate("killed").comparisons == whole.comparisons  # nothing is left to do
    assert records.read_bytes() == before


def test_an_unknown_reference_is_refused(evaluate: Callable[..., Evaluation], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="the reference 'bm25' is none of the methods full-context"):
        evaluate("out", [FullContext(40)], reference="bm25")
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_other_settings_and_other_files_are_refused(
    evaluate: Callable[..., Evaluation], tmp_path: Path
) -> None:
    evaluate("out")
    with pytest.raises(InvalidInputError, match=r"other settings \(budgets: \[16, 32\] there, \[16\] now\)"):
        evaluate("out", budgets=(16,))
    (tmp_path / "out" / RESULTS).write_text('{"set": "village"}\n', encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"results\.jsonl, line 1 is no record of a run"):
        evaluate("out")
    (tmp_path / "out" / "settings.json").unlink()
    with pytest.raises(InvalidInputError, match=r"'builds\.jsonl', which is no part of a run of evaluate"):
        evaluate("out")


@pytest.mark.long
def test_judged_documents_and_answers_are_measured(tmp_path: Path, wide_host: Host) -> None:
    folder = tmp_path / "beir" / "tiny"
    corpus = [{"_id": id_, "title": f"The {id_}", "text": text} for id_, text in DOCUMENTS.items()]
    write_jsonl(folder / "corpus.jsonl", corpus)
    queries = [{"_id": "1", "text": "rye bread"}, {"_id": "2", "text": "of another split"}]
    write_jsonl(folder / "queries.jsonl", queries)
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n2\tcomet\t1\n", encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n1\tbakery\t2\n1\tcomet\t0\n1\tmissing\t1\n", encoding="utf-8"
    )
    own = tmp_path / "own"
    write_jsonl(own / "corpus.jsonl", corpus)
    asked = [{"_id": "1", "text": "rye bread", "answers": ["at four"]}]
    write_jsonl(own / "queries.jsonl", [*asked, {"_id": "2", "text": "oil", "answers": ["in Samarkand"]}])
    systems = [WindowSystem(64, ["window-bm25"])]
    config = EvaluateConfig(methods=("window-bm25",), budgets=(8, 64))

    (question,) = load_sets(folder)[0].questions
    assert question.relevant == {"bakery": 2, "comet": 0, "missing": 1}
    assert load_sets(folder)[0].documents[0].text.startswith("The lighthouse\nThe lighthouse of Farholm")
    judged = run_evaluation(tmp_path / "beir", tmp_path / "out1", config, host=wide_host, systems=systems)
    found = {(c.measure, c.budget): c.rows[0].macro for c in judged.comparisons}
    # The best document is first, a relevant one is not there: 2 / (2 + 1 / log2(3))
    assert found == {
        ("ndcg", 8192): pytest.approx(2 / (2 + 1 / np.log2(3))),
        ("mrr", 8192): 1,
        ("hit", 8192): 1,
    }
    said: list[str] = []
    answered = run_evaluation(
        own, tmp_path / "out2", config, host=wide_host, systems=systems, say=said.append
    )
    sentence = "In own, the answers of 1 of the questions (2) stand in no document"
    assert sum(line.startswith(sentence) for line in said) == 1
    assert sentence in (tmp_path / "out2" / "report.html").read_text(encoding="utf-8")
    found = {(c.measure, c.budget): c.rows[0].macro for c in answered.comparisons}
    assert found == {("answer_hit", 8): 0, ("answer_hit", 64): 1}


def test_a_part_keeps_the_documents_that_its_questions_need(data: Path, wide_host: Host) -> None:
    (village,) = load_sets(data)
    part = part_of(village, 2, 1, wide_host)
    assert [question.id for question in part.questions] == ["q0", "q2"]
    assert [document.id for document in part.documents] == ["lighthouse", "comet"]
    assert part_of(village, None, None, wide_host) == village
    assert part_of(village, 99, 10**6, wide_host) == village


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("s3", "s3")}, "methods must be a list, each value once, not"),
        ({"budgets": ()}, "budgets must be a list of at least 1"),
        ({"budgets": (256, 0)}, r"budgets must be a list, each a whole number, 1 or more, not \(256, 0\)"),
        ({"questions": 0}, "questions must be a whole number, 1 or more, or None, not 0"),
        ({"reference": "best"}, "reference must be one of 's3', 'hybrid'"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        EvaluateConfig(**changes)


def test_a_host_too_small_for_the_full_context_is_refused(tiny_artifact: Artifact, tiny_host: Host) -> None:
    with pytest.raises(InvalidInputError, match="window of more than 256 tokens, not 256"):
        make_systems(["full-context"], tiny_artifact, (), tiny_host)


@pytest.mark.long
def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "out"), "--methods", "s3", "s3"]) == 2
    assert "methods must be a list, each value once" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "holds no evaluation sets" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_jinja_nothing_is_begun(
    evaluate: Callable[..., Evaluation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(
        MissingDependencyError, match=r'^reports need Jinja2: pip install "s3-retriever\[report\]"$'
    ):
        evaluate("out")
    assert not (tmp_path / "out").exists()


@pytest.mark.host
def test_the_command_measures_and_reports(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["evaluate", str(data), "--out", str(out), "--methods", "hybrid", "window-bm25", "--quick"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Evidence recall within 512 tokens; differences from window-bm25" in printed
    assert (out / "report.html").is_file()
