"""Contexts and questions as JSON lines, which another Python environment reads and answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from s3_retriever.disk import new_file
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import Question
from s3_retriever.evaluation.methods import FULL_CONTEXT
from s3_retriever.evaluation.pools import Pool
from s3_retriever.evaluation.reader import MAX_NEW_TOKENS, PASSAGES, prompt_around
from s3_retriever.evaluation.records import RunFolder
from s3_retriever.host.model import Host
from s3_retriever.sources.jsonl import read_objects

CONTEXTS, PRESS_ANSWERS = "contexts.jsonl", "presses.jsonl"
"""What is asked, and what :mod:`s3_retriever.evaluation.rivals.presses` makes of it."""

_WHOLE = 0.95  # share of a pool that the host's window must hold


@dataclass(frozen=True)
class Asking:
    """A question about a context.

    Attributes:
        id: Of the question.
        text: What the prompt has between the documents and the end of the question.
        turn: What it has after that.
        answers: Texts, any of which is a right answer.
    """

    id: str
    text: str
    turn: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """A text that fits the host's window, and questions about it.

    Attributes:
        set: Name of the pool.
        host: Folder of the host's files, or its name.
        budget: Tokens of the text that may be kept.
        new_tokens: Of an answer, at most.
        before: What the prompt has before the text, special tokens included.
        text: The documents.
        questions: At least one.
    """

    set: str
    host: str
    budget: int
    new_tokens: int
    before: str
    text: str
    questions: tuple[Asking, ...]


def write_contexts(pools: Sequence[Pool], folder: RunFolder, budget: int, host: Host) -> None:
    """Write the pools that the host's window holds, as far as the full context was asked.

    Args:
        pools: Documents and questions.
        folder: With the results of the full context, and where the file goes.
        budget: Tokens that may be kept.
        host: The host.
    """
    shown = {one.set: one for one in folder.results.all() if one.method == FULL_CONTEXT}
    with new_file(folder.path / CONTEXTS) as file:
        for pool in pools:
            questions = [question for question in pool.data.questions if question.answers]
            if not questions or pool.data.name not in shown:
                continue
            texts = {document.id: document.text for document in pool.data.documents}
            spans = shown[pool.data.name].spans
            passages = [texts[id_][start:end] for id_, start, end in spans]
            if sum(map(len, passages)) < _WHOLE * sum(map(len, texts.values())):
                continue
            context = Context(
                set=pool.data.name,
                host=str(getattr(host.model.config, "name_or_path", "") or host.name),
                budget=budget,
                new_tokens=MAX_NEW_TOKENS,
                before=prompt_around(host.tokenizer, questions[0].text)[0],
                text=PASSAGES.join(passages),
                questions=tuple(_asking(question, host) for question in questions),
            )
            file.write(f"{json.dumps(asdict(context), ensure_ascii=False)}\n")


def read_contexts(path: Path) -> list[Context]:
    """Read what :func:`write_contexts` wrote.

    Raises:
        InvalidInputError: The file is not there, or a line is no context; names the line.
    """
    try:
        return [_context(fields, f"{path}, line {number}") for number, fields in read_objects(path)]
    except OSError as error:
        msg = (
            f"{path} cannot be read ({error.strerror}): run 's3-retriever evaluate --lengths --answers' first"
        )
        raise InvalidInputError(msg) from error


def _asking(question: Question, host: Host) -> Asking:
    _, after = prompt_around(host.tokenizer, question.text)
    end = after.index(question.text.strip()) + len(question.text.strip())
    return Asking(question.id, after[:end], after[end:], question.answers)


def _context(fields: dict[str, Any], place: str) -> Context:
    try:
        asked = [{**one, "answers": tuple(one["answers"])} for one in fields.pop("questions")]
        return Context(**fields, questions=tuple(Asking(**one) for one in asked))
    except (KeyError, TypeError) as error:
        msg = f"{place} is no context ({error})"
        raise InvalidInputError(msg) from error
