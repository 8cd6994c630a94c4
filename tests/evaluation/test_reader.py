from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from village_set import DOCUMENTS, QUESTIONS, write_jsonl

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.evaluate import EvaluateConfig, run_evaluation
from s3_retriever.evaluation.methods import FullContext, WindowSystem
from s3_retriever.evaluation.reader import Reader, ReadingTask
from s3_retriever.evaluation.records import ANSWERS, Answer, Records
from s3_retriever.host import Host


@pytest.mark.host
def test_the_host_answers_from_the_passage(host: Host) -> None:
    reader = Reader(host)
    asked = ReadingTask("What is the capital of Veldonia?", ["The capital of Veldonia is Marenstadt."])
    (reading,) = reader.answer([asked])
    assert "Marenstadt" in reading.text
    assert reading.shown == host.count_tokens(asked.passages[0])
    (again,) = reader.answer([asked])
    assert again == reading


@pytest.mark.long
def test_what_is_beyond_the_window_is_cut(tiny_host: Host, wide_host: Host) -> None:
    # The prompt of a tiny tokenizer takes most of a window of 256.
    passages = ["one two three four five six seven eight nine ten. " * 30]
    whole = wide_host.count_tokens(passages[0])
    (wide,) = Reader(wide_host).answer([ReadingTask("How many?", passages)])
    assert 0 < wide.shown < whole
    with pytest.raises(InvalidInputError, match="leaves no room in the host's window"):
        Reader(tiny_host).answer([ReadingTask("How many? " * 40, passages)])


@pytest.mark.long
def test_a_common_beginning_is_read_once_and_changes_nothing(
    wide_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(wide_host)
    asked = [ReadingTask(question, ["rye bread is baked at four. " * 9]) for question in QUESTIONS]
    apart = [reader.answer([one])[0] for one in asked]
    monkeypatch.setattr("s3_retriever.evaluation.reader._MIN_SHARED", 16)
    assert reader.answer(asked) == apart


@pytest.fixture
def answered(tmp_path: Path, wide_host: Host) -> Callable[[], list[Answer]]:
    write_jsonl(
        tmp_path / "data" / "corpus.jsonl", [{"_id": id_, "text": text} for id_, text in DOCUMENTS.items()]
    )
    questions = [
        {"_id": f"{n}", "text": question, "answers": [answer]}
        for n, (question, (_, answer)) in enumerate([*QUESTIONS.items()] * 4)
    ]
    write_jsonl(tmp_path / "data" / "queries.jsonl", questions)
    config = EvaluateConfig(methods=("window-bm25", "full-context"), budgets=(16, 24), answers=True)

    def run() -> list[Answer]:
        systems = [WindowSystem(8, ["window-bm25"]), FullContext(48)]
        out = tmp_path / "out"
        run_evaluation(tmp_path / "data", out, config, host=wide_host, systems=systems)
        return Records(out / ANSWERS, Answer).all()

    return run


@pytest.mark.long
def test_answers_are_recorded_and_resumed(answered: Callable[[], list[Answer]], tmp_path: Path) -> None:
    answers = answered()
    asked = {(answer.method, answer.budget) for answer in answers}
    assert asked == {("window-bm25", 24), ("full-context", 48)}
    assert len(answers) == 24
    assert all(answer.kept == 1 for answer in answers if answer.method == "window-bm25")
    # 48 of the corpus' tokens
    assert all(0 < answer.kept < 0.5 for answer in answers if answer.method == "full-context")
    path = tmp_path / "out" / ANSWERS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:11]), encoding="utf-8")  # in the middle of a batch
    assert answered() == answers
    assert path.read_text(encoding="utf-8").splitlines(keepends=True) == lines
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    f1 = [one for one in summary["comparisons"] if one["measure"] == "f1"]
    assert [len(one["rows"]) for one in f1] == [2]  # the full context beside the other, budgets aside
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "the host&#39;s window of 1,024 tokens held" in report
