"""Lets the host answer from what each method found, and records the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.methods import FULL_CONTEXT, Method
from s3_retriever.evaluation.metrics import answer_metrics
from s3_retriever.evaluation.reader import Reader, ReadingTask
from s3_retriever.evaluation.records import Answer, Result, RunFolder

_BATCH = 8


def answer_questions(
    sets: Sequence[EvaluationSet],
    chosen: Sequence[tuple[Method, int]],
    folder: RunFolder,
    reader: Reader,
    say: Callable[[str], None],
) -> None:
    """Answer every question with known answers from what each method found.

    Answers that the folder holds already are not asked for again. A method that was not asked all of a set's
    questions is skipped. Batches are the same whether or not part of one was answered before, as the prompts
    in a batch change each other's rounding.

    Args:
        sets: With the questions.
        chosen: Methods, and the budget of the results to answer from.
        folder: With the results, and where the answers go.
        reader: The host.
        say: Called with what is about to be done.
    """
    n_tokens = {build.set: build.n_tokens for build in folder.builds.all()}
    for data in sets:
        questions = [question for question in data.questions if question.answers]
        texts = {document.id: document.text for document in data.documents}
        batches = [questions[first : first + _BATCH] for first in range(0, len(questions), _BATCH)]
        for method, budget in chosen:
            keys = {question.id: (data.name, question.id, method, budget) for question in questions}
            if any(key not in folder.results for key in keys.values()):
                continue
            if any(key not in folder.answers for key in keys.values()):
                say(f"{data.name}: answers from {method}")
            for batch in batches:
                if all(keys[question.id] in folder.answers for question in batch):
                    continue
                found = [folder.results[keys[question.id]] for question in batch]
                passages = [[texts[id_][start:end] for id_, start, end in one.spans] for one in found]
                tasks = [ReadingTask(one.text, shown) for one, shown in zip(batch, passages, strict=True)]
                for question, result, reading in zip(batch, found, reader.answer(tasks), strict=True):
                    whole = n_tokens[data.name] if method.name == FULL_CONTEXT else result.tokens
                    kept = min(1.0, reading.shown / whole) if whole else 1.0
                    if keys[question.id] not in folder.answers:
                        folder.answers.add(_record(question, result, reading.text, kept))


def _record(question: Question, result: Result, text: str, kept: float) -> Answer:
    return Answer(
        set=result.set,
        question=result.question,
        method=result.method,
        window=result.window,
        budget=result.budget,
        text=text,
        kept=round(kept, 4),
        metrics=answer_metrics(text, question.answers),
    )
