"""Methods compared by the length of the context: pools of documents instead of whole sets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TypeVar

from s3_retriever.evaluation.contexts import PRESS_ANSWERS
from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.methods import FULL_CONTEXT, System
from s3_retriever.evaluation.pools import Pool
from s3_retriever.evaluation.records import Answer, Records, Result, RunFolder
from s3_retriever.evaluation.rivals.infiniretri import InfiniRetri
from s3_retriever.evaluation.runner import run_systems
from s3_retriever.evaluation.summary import Comparison, Cost, compare, costs
from s3_retriever.host.model import Host

_Record = TypeVar("_Record", Result, Answer)


def run_pools(
    pools: Sequence[Pool],
    systems: Sequence[System],
    folder: RunFolder,
    *,
    host: Host,
    budgets: Sequence[int],
    read_up_to: int,
    say: Callable[[str], None],
) -> None:
    """Ask every method every question; see :func:`s3_retriever.evaluation.runner.run_systems`.

    Args:
        pools: Documents and questions.
        systems: What is compared.
        folder: Where the records go.
        host: Counts tokens, and is the host of our retriever.
        budgets: Tokens.
        read_up_to: Longest context for methods that read all of it for every question.
        say: Called with what is about to be done.
    """
    reading = [system for system in systems if isinstance(system, InfiniRetri)]
    others = [system for system in systems if system not in reading]
    short = [pool.data for pool in pools if pool.length <= read_up_to]
    run_systems([pool.data for pool in pools], others, folder, host=host, budgets=budgets, say=say)
    run_systems(short, reading, folder, host=host, budgets=budgets, say=say)


def summarize(
    pools: Sequence[Pool], folder: RunFolder, budget: int, reference: str
) -> tuple[list[Comparison], list[Cost]]:
    """Compare all methods at each length, answers from compressed caches included, and return their costs.

    Args:
        pools: Documents and questions.
        folder: With the records.
        budget: Of the answers, and where the full context is shown, whose budget is its own.
        reference: Name of the method that the others are compared with.
    """
    results = folder.results.all()
    results = [replace(one, budget=budget) if one.method == FULL_CONTEXT else one for one in results]
    answers = [replace(one, budget=budget) for one in folder.answers.all()]
    answers += [one for one in Records(folder.path / PRESS_ANSWERS, Answer).all() if one.budget == budget]
    comparisons = [*_compare(results, pools, reference), *_compare(answers, pools, reference)]
    groups = {pool.data.name: f"pools of {pool.length:,}" for pool in pools}
    return comparisons, costs(folder.builds.all(), results, groups)


def _compare(records: Sequence[_Record], pools: Sequence[Pool], reference: str) -> list[Comparison]:
    """Compare all methods at each length by every measure; see ``summary.compare``.

    Pools of a set count as one: the macro average is the mean over sets of the mean over a set's questions.
    Methods that were not asked every question of a length, since their run was killed, are left out there,
    and so are lengths without the reference.
    """
    by_name = {pool.data.name: pool for pool in pools}
    found = []
    for length in dict.fromkeys(pool.length for pool in pools):
        own = [one for one in records if one.set in by_name and by_name[one.set].length == length]
        answering = any(isinstance(one, Answer) for one in own)
        every = [
            question
            for pool in pools
            for question in pool.data.questions
            if pool.length == length and (question.answers or not answering)
        ]
        n_asked = Counter((one.method_used, one.budget) for one in own)
        whole = [
            replace(one, set=by_name[one.set].set)
            for one in own
            if n_asked[one.method_used, one.budget] == len(every)
        ]
        if any(one.method == reference for one in whole):
            found += [replace(one, length=length) for one in compare(whole, reference)]
    return found


def pooled(sets: Sequence[EvaluationSet], pools: Sequence[Pool]) -> list[EvaluationSet]:
    """Return the sets with only those questions that some pool asks."""
    found = []
    for one in sets:
        ids = {question.id for pool in pools if pool.set == one.name for question in pool.data.questions}
        found.append(replace(one, questions=tuple(q for q in one.questions if q.id in ids)))
    return found


def length_notes(pools: Sequence[Pool], answers: Sequence[Answer], host: Host, read_up_to: int) -> list[str]:
    """Return what the reader of a report has to know."""
    by_name = {pool.data.name: pool.length for pool in pools}
    notes = [
        "Contexts are pools of documents, those longer than a quarter of the context cut between sentences: "
        "the evidence of some questions of one set, and other documents of it and of the other sets, in an "
        "order drawn once. The full context is of its own size. Methods that read the whole context for "
        f"every question were asked with contexts of up to {read_up_to:,} tokens; a compressed cache needs "
        f"one that fits the host's window of {host.max_tokens:,} tokens."
    ]
    kept: defaultdict[int, list[float]] = defaultdict(list)
    for answer in answers:
        if answer.method == FULL_CONTEXT:
            kept[by_name[answer.set]].append(answer.kept)
    if kept:
        shares = ", ".join(f"{fmean(values):.0%} at {length:,}" for length, values in sorted(kept.items()))
        notes.append(f"Of the full context, the host's window held {shares}; the rest was cut off.")
    return notes
