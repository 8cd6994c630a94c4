"""Real presses on a tiny host: what they answer means nothing, how much they keep and what is written does.

``kvpress`` wants an older ``transformers`` than ours may be, so ``make kvpress-test`` runs this file in an
environment of its own, and ``make test`` does not collect it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever.evaluation.contexts import CONTEXTS, PRESS_ANSWERS
from s3_retriever.evaluation.reader import Reader, ReadingTask, prompt_around
from s3_retriever.evaluation.records import Answer, Records
from s3_retriever.evaluation.rivals.presses import DEFAULT, PRESSES, main
from s3_retriever.host import Host

TEXT = " ".join(f"House {n} was painted in {1800 + n} by its keeper." for n in range(24))
QUESTIONS = {"a": "When was house 3 painted?", "b": "Who painted house 4?"}


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    """A folder with one context."""
    tokenizer = Host.load(tiny_folder).tokenizer
    around = {id_: prompt_around(tokenizer, question) for id_, question in QUESTIONS.items()}
    asked = [
        {"id": id_, "text": after.removesuffix("\nAnswer:"), "turn": "\nAnswer:", "answers": ["1803"]}
        for id_, (_, after) in around.items()
    ]
    context = {
        "set": "houses@700#1",
        "host": str(tiny_folder),
        "budget": 100,
        "new_tokens": 8,
        "before": around["a"][0],
        "text": TEXT,
        "questions": asked,
    }
    (tmp_path / CONTEXTS).write_text(json.dumps(context) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", PRESSES)
def test_as_much_is_kept_as_a_retriever_may_return(folder: Path, tiny_folder: Path, name: str) -> None:
    assert main([str(folder), "--presses", name]) == 0
    answers = Records(folder / PRESS_ANSWERS, Answer).all()
    assert [answer.question for answer in answers] == ["a", "b"]
    context = json.loads((folder / CONTEXTS).read_text(encoding="utf-8"))
    host = Host.load(tiny_folder)
    for answer, asking in zip(answers, context["questions"], strict=True):
        assert (answer.set, answer.method, answer.budget) == ("houses@700#1", f"kvpress {name}", 100)
        assert set(answer.metrics) == {"exact_match", "f1"}
        beginning = context["before"] + TEXT + (asking["text"] if PRESSES[name].asked else "")
        n_all, n_text = host.count_tokens(beginning), host.count_tokens(TEXT)
        kept = n_all if name == "none" else n_all - n_text + 100
        if name != "pyramidkv":  # which gives every layer its own share
            assert answer.kept == pytest.approx(kept / n_all, abs=5e-5)


def test_without_compression_the_answer_is_that_of_the_full_context(folder: Path, tiny_folder: Path) -> None:
    assert main([str(folder), "--presses", "none"]) == 0
    reader = Reader(Host.load(tiny_folder))
    for answer in Records(folder / PRESS_ANSWERS, Answer).all():
        (whole,) = reader.answer([ReadingTask(QUESTIONS[answer.question], [TEXT])])
        assert whole.text.startswith(answer.text)  # it may be longer: 24 tokens instead of 8


def test_what_is_answered_is_not_asked_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    before = (folder / PRESS_ANSWERS).read_bytes()
    assert before.count(b"\n") == 2 * len(DEFAULT)
    capsys.readouterr()
    assert main([str(folder)]) == 0
    assert (folder / PRESS_ANSWERS).read_bytes() == before
    assert not capsys.readouterr().err


def test_a_folder_without_contexts_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "run 's3-retriever evaluate --lengths --answers' first" in capsys.readouterr().err
