"""Runs systems over sets and records what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from s3_retriever import __version__
from s3_retriever.disk import hash_values
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.methods import Built, Corpus, Method, System
from s3_retriever.evaluation.metrics import measure
from s3_retriever.evaluation.records import Build, Result, RunFolder
from s3_retriever.host.model import Host
from s3_retriever.memory import peak_growth

BUDGETS = (256, 512, 1024)
"""Tokens of the host that a method may return."""

RANKING_BUDGET = 8192
"""Tokens for sets with judged documents: room for ten documents."""

_WARM_UP = "What is this about?"
_WARM_UP_CHARS = 2000


def fingerprint(
    sets: Sequence[EvaluationSet], systems: Sequence[System], budgets: Sequence[int], host: Host
) -> dict[str, Any]:
    """Return what the records of a run depend on, as JSON-able values. Artifacts are not among it."""
    return {
        "version": __version__,
        "sets": {one.name: _digest(one) for one in sets},
        "questions": {one.name: len(one.questions) for one in sets},
        "methods": [str(method) for system in systems for method in system.methods],
        "budgets": list(budgets),
        "host": host.identity,
    }


def run_systems(
    sets: Iterable[EvaluationSet],
    systems: Sequence[System],
    folder: RunFolder,
    *,
    host: Host,
    budgets: Sequence[int] = BUDGETS,
    say: Callable[[str], None],
) -> None:
    """Ask every method every question at every budget; what the folder holds already is not asked again.

    Args:
        sets: Documents and questions.
        systems: What is compared.
        folder: Where the records go.
        host: Counts tokens, and is the host of our retriever.
        budgets: Tokens; sets with judged documents are also asked with :data:`RANKING_BUDGET`.
        say: Called with what is about to be done.
    """
    for data in sets:
        corpus = Corpus(data.documents, host)
        wanted = (*budgets, *([RANKING_BUDGET] if any(q.relevant for q in data.questions) else []))
        for system in systems:
            own = wanted if system.budget is None else (system.budget,)
            pending = [
                (question, method, budget)
                for question in data.questions
                for method in system.methods
                for budget in own
                if (data.name, question.id, method, budget) not in folder.results
            ]
            if pending:
                say(f"{data.name}: {', '.join(map(str, system.methods))}")
                _run_system(data, corpus, system, pending, folder)


def _run_system(
    data: EvaluationSet,
    corpus: Corpus,
    system: System,
    pending: Sequence[tuple[Question, Method, int]],
    folder: RunFolder,
) -> None:
    n_tokens = corpus.n_tokens  # tokenised now, so that no system has to wait for it
    first = replace(data.documents[0], text=data.documents[0].text[:_WARM_UP_CHARS])
    system.build(Corpus((first,), corpus.host))  # compiles what is not compiled
    with peak_growth() as peak:
        start = time.perf_counter()
        built = system.build(corpus)
        seconds = time.perf_counter() - start
    build = Build(
        set=data.name,
        methods=tuple(method.name for method in system.methods),
        window=system.methods[0].window,
        n_documents=len(data.documents),
        n_tokens=n_tokens,
        seconds=round(seconds, 3),
        nbytes=built.nbytes,
        peak_bytes=peak.bytes,
    )
    if build.key not in folder.builds:
        folder.builds.add(build)
    for method in system.methods if built.nbytes != 0 else ():
        built.find(method, _WARM_UP, pending[0][2])  # the first question reads what is mapped
    bar = tqdm(pending, data.name, unit=" questions", disable=None, leave=False)
    for result in ask(built, data, corpus.host, bar):
        folder.results.add(result)


def ask(
    built: Built, data: EvaluationSet, host: Host, questions: Iterable[tuple[Question, Method, int]]
) -> Iterator[Result]:
    """Ask questions, one after the other, and yield what was found with its measures.

    Args:
        built: What has read the set's documents.
        data: The set.
        host: Counts tokens.
        questions: Each with the method to ask and a token budget.
    """
    texts = {document.id: document.text for document in data.documents}
    for question, method, budget in questions:
        begin = time.perf_counter()
        found = built.find(method, question.text, budget)
        seconds = time.perf_counter() - begin
        yield Result(
            set=data.name,
            question=question.id,
            method=method.name,
            window=method.window,
            budget=budget,
            tokens=sum(host.count_tokens(texts[doc_id][start:end]) for doc_id, start, end in found),
            spans=tuple((region.doc_id, region.start, region.end) for region in found),
            metrics=measure(question, found, texts),
            ms=round(1e3 * seconds, 3),
        )


def every_nth(data: EvaluationSet, k: int, n: int) -> EvaluationSet:
    """Return a set with every ``n``-th question, beginning with the ``k``-th.

    Raises:
        InvalidInputError: There is none.
    """
    if k > len(data.questions):
        msg = f"part {k}/{n} of {data.name!r} holds none of its {len(data.questions)} questions"
        raise InvalidInputError(msg)
    return replace(data, questions=data.questions[k - 1 :: n])


def part_of(data: EvaluationSet, n_questions: int | None, n_tokens: int | None, host: Host) -> EvaluationSet:
    """Return some questions of a set, evenly spaced, and documents about them.

    Args:
        data: The set.
        n_questions: How many at most; None: all.
        n_tokens: About how many tokens of documents, those that the questions need first; None: all.
        host: Counts the tokens.
    """
    n = len(data.questions)
    picked = np.linspace(0, n - 1, min(n, n if n_questions is None else n_questions)).astype(int)
    questions = tuple(data.questions[i] for i in picked)
    documents = data.documents if n_tokens is None else _documents(data.documents, questions, n_tokens, host)
    return EvaluationSet(data.name, documents, questions)


def _documents(
    documents: Sequence[Document], questions: Sequence[Question], n_tokens: int, host: Host
) -> tuple[Document, ...]:
    needed = {region.doc_id for question in questions for region in question.evidence}
    needed |= {doc_id for question in questions for doc_id, grade in question.relevant.items() if grade > 0}
    kept: set[str] = set()
    for document in sorted(documents, key=lambda one: one.id not in needed):
        if n_tokens <= 0 and document.id not in needed:
            break
        kept.add(document.id)
        n_tokens -= host.count_tokens(document.text)
    return tuple(document for document in documents if document.id in kept)


def _digest(data: EvaluationSet) -> str:
    documents, questions = map(astuple, data.documents), map(astuple, data.questions)
    return hash_values(repr([*documents]), repr([*questions]))[:16]
