"""The comparison by length of context, and the answers that another environment adds to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from village_set import DOCUMENTS, QUESTIONS, write_jsonl

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.contexts import CONTEXTS, PRESS_ANSWERS, read_contexts
from s3_retriever.evaluation.evaluate import EvaluateConfig, Evaluation, run_evaluation
from s3_retriever.evaluation.methods import FullContext, WindowSystem
from s3_retriever.evaluation.reader import Reader, ReadingTask, prompt_around
from s3_retriever.evaluation.records import ANSWERS, RESULTS, Answer, Records, Result
from s3_retriever.evaluation.rivals.infiniretri import InfiniRetri, InfiniRetriConfig
from s3_retriever.host import Host

pytestmark = pytest.mark.long

NAMES = ("window-bm25", "infiniretri", "full-context")
SYSTEMS = [WindowSystem(32, NAMES[:1]), InfiniRetri(InfiniRetriConfig(64)), FullContext(450)]
CONFIG = EvaluateConfig(
    methods=NAMES, reference=NAMES[0], budgets=(64,), lengths=(300, 600), read_up_to=300, answers=True
)


Compare = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The village twice, of which the town has no answers."""
    folder = tmp_path_factory.mktemp("data")
    corpus = [{"_id": id_, "text": text} for id_, text in DOCUMENTS.items()]
    for name in ("town", "village"):
        write_jsonl(folder / name / "corpus.jsonl", corpus)
        queries = []
        for question, (doc_id, answer) in QUESTIONS.items():
            start = DOCUMENTS[doc_id].index(answer)
            gold = [{"doc_id": doc_id, "start": start, "end": start + len(answer)}]
            answers = [answer] if name == "village" else []
            queries.append(
                {"_id": f"q{len(queries)}", "text": question, "answers": answers, "evidence": gold}
            )
        write_jsonl(folder / name / "queries.jsonl", queries)
    return folder


@pytest.fixture(scope="module")
def finished(
    data_folder: Path, tmp_path_factory: pytest.TempPathFactory, wide_host: Host
) -> tuple[Path, Evaluation]:
    """A folder with a comparison, and what was found."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_evaluation(data_folder, folder, CONFIG, host=wide_host, systems=SYSTEMS)


@pytest.fixture
def out(finished: tuple[Path, Evaluation], tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(finished[0], tmp_path / "out")


@pytest.fixture
def go_on(data_folder: Path, out: Path, wide_host: Host) -> Compare:
    """Runs the same comparison again."""

    def run(**changes: Any) -> Evaluation:
        changed = replace(CONFIG, **changes)
        return run_evaluation(data_folder, out, changed, host=wide_host, systems=SYSTEMS)

    return run


def methods(evaluation: Evaluation, measure: str, length: int) -> list[str]:
    (one,) = [c for c in evaluation.comparisons if (c.measure, c.length) == (measure, length)]
    assert one.budget == 64
    return [row.method.name for row in one.rows]


def test_methods_are_compared_at_each_length(
    finished: tuple[Path, Evaluation], out: Path, go_on: Compare
) -> None:
    _, evaluation = finished
    assert methods(evaluation, "recall", 300) == ["window-bm25", "full-context", "infiniretri"]
    assert methods(evaluation, "recall", 600) == [
        "window-bm25",
        "full-context",
    ]  # too long to read per question
    (at_300,) = [c for c in evaluation.comparisons if (c.measure, c.length) == ("recall", 300)]
    assert at_300.n_questions == {"town": 3, "village": 3}  # pools of a set count as one
    full = next(row for row in at_300.rows if row.method.name == "full-context")
    assert full.macro == 1
    costs = {(cost.method.name, cost.set) for cost in evaluation.costs}
    assert ("window-bm25", "pools of 600") in costs and ("infiniretri", "pools of 600") not in costs
    results = Records(out / RESULTS, Result).all()
    assert all(one.tokens <= 66 for one in results if one.method != "full-context")
    page = (out / "report.html").read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert captions[0] == "Evidence recall by length of the context within 64 tokens, mean of the sets"
    later = go_on(read_up_to=600)  # goes on with the same records
    assert methods(later, "recall", 600) == ["window-bm25", "full-context", "infiniretri"]


def test_what_fits_the_window_is_handed_on(out: Path, wide_host: Host) -> None:
    contexts = read_contexts(out / CONTEXTS)
    assert {context.set.partition("#")[0] for context in contexts} == {
        "village@300"
    }  # of 600, too little fits
    assert {asking.id for context in contexts for asking in context.questions} == {"q0", "q1", "q2"}
    for context in contexts:
        assert (context.budget, context.new_tokens) == (64, 24)
        for asking, question in ((a, list(QUESTIONS)[int(a.id[1])]) for a in context.questions):
            assert asking.text.endswith(question)
            assert QUESTIONS[question][1] in context.text
            around = context.before, asking.text + asking.turn
            assert around == prompt_around(wide_host.tokenizer, question)
    (out / CONTEXTS).write_text("{}\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"contexts\.jsonl, line 1 is no context"):
        read_contexts(out / CONTEXTS)
    with pytest.raises(InvalidInputError, match="run 's3-retriever evaluate --lengths --answers' first"):
        read_contexts(out / "elsewhere" / CONTEXTS)


def test_answers_of_presses_are_shown_when_complete(
    finished: tuple[Path, Evaluation], out: Path, go_on: Compare
) -> None:
    assert methods(finished[1], "f1", 300) == ["window-bm25", "infiniretri", "full-context"]
    answers = [
        Answer(context.set, asking.id, "kvpress keydiff", 0, 64, "so", 0.5, {"exact_match": 0.0, "f1": 1.0})
        for context in read_contexts(out / CONTEXTS)
        for asking in context.questions
    ]
    write_jsonl(out / PRESS_ANSWERS, [asdict(answer) for answer in answers[:-1]])
    assert "kvpress keydiff" not in methods(go_on(), "f1", 300)
    with (out / PRESS_ANSWERS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(answers[-1])) + "\n")
    evaluation = go_on()
    assert methods(evaluation, "f1", 300)[-1] == "kvpress keydiff"
    assert "kvpress keydiff" not in methods(evaluation, "f1", 600)
    (at_300,) = [c for c in evaluation.comparisons if (c.measure, c.length) == ("f1", 300)]
    assert at_300.rows[-1].macro == 1
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "F1 by length of the context within 64 tokens, mean of the sets" in page
    assert "window held 100% at 300, " in page
    assert '<th scope="row">kvpress keydiff</th><td>1.000</td><td>-</td></tr>' in page


def test_a_length_that_is_not_finished_is_left_out(out: Path, go_on: Compare) -> None:
    records = (out / ANSWERS).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in records if "@600" not in line]
    (out / ANSWERS).write_text(
        "".join([*kept, *(set(records) - set(kept))][: len(kept) + 1]), encoding="utf-8"
    )
    evaluation = go_on(answers=False)
    assert {one.length for one in evaluation.comparisons if one.measure == "f1"} == {300}
    assert {one.length for one in evaluation.comparisons if one.measure == "recall"} == {300, 600}


@pytest.mark.parametrize("changes", [{"ablations": True}, {"tokens": 100}])
def test_lengths_go_with_whole_sets_only(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="lengths cannot go together with"):
        EvaluateConfig(lengths=(100,), **changes)


def test_the_prompt_is_what_stands_around_the_text(wide_host: Host) -> None:
    before, after = prompt_around(wide_host.tokenizer, "Who bakes?")
    reader = Reader(wide_host)
    whole = wide_host.encode(f"{before}Ruth bakes.{after}").ids
    prompt = reader._prompt(ReadingTask("Who bakes?", ["Ruth bakes."]))
    assert prompt.ids == list(whole)
