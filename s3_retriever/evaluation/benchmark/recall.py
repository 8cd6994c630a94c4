"""Recall under a token budget: of a retriever in all its modes, and of the baselines."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.methods import regions
from s3_retriever.evaluation.metrics import Overlap, Region, overlap
from s3_retriever.evaluation.rivals.minilm import MiniLM
from s3_retriever.evaluation.rivals.windows import WINDOW_SIZES, Order, Windows, rankings
from s3_retriever.evaluation.runner import BUDGETS
from s3_retriever.host.model import Host
from s3_retriever.retriever import S3Retriever

Find = Callable[[int, int], Iterable[Region]]
"""Takes the number of a question and a token budget, and returns what a system finds."""

ByBudget = Mapping[int, Overlap]
"""Means over the questions of a set, per token budget."""

_MODES = (("s3", "attention"), ("hybrid", "attention"), ("s3", "paper"))


@dataclass(frozen=True)
class SystemScore:
    """What one system reached.

    Attributes:
        name: Of the system.
        is_baseline: Whether it is one of those S3 is compared with.
        sets: By name of the set.
    """

    name: str
    is_baseline: bool
    sets: Mapping[str, ByBudget]

    def macro(self, budget: int) -> float:
        """Return the recall at a budget, averaged over the sets."""
        return statistics.fmean(by_budget[budget].recall for by_budget in self.sets.values())


@dataclass(frozen=True)
class Ratio:
    """A system's macro recall over that of the best baseline at the same budget.

    Attributes:
        system: Its name.
        budget: Tokens.
        baseline: Name of the best baseline, its window size included.
        value: The quotient.
    """

    system: str
    budget: int
    baseline: str
    value: float


def ratios(scores: Sequence[SystemScore]) -> list[Ratio]:
    """Compare every system with the baseline that is best at a budget; nothing without a baseline."""
    baselines = [score for score in scores if score.is_baseline]
    found = []
    for budget in BUDGETS if baselines else ():
        best = max(baselines, key=lambda score: score.macro(budget))
        floor = best.macro(budget)
        found += [
            Ratio(score.name, budget, best.name, score.macro(budget) / floor if floor else 0.0)
            for score in scores
            if not score.is_baseline
        ]
    return found


def score_retriever(retriever: S3Retriever, questions: Sequence[Question]) -> dict[str, ByBudget]:
    """Measure a retriever in the modes that use S3, by both scorings."""
    return {
        f"{mode} ({scoring})": _means(questions, partial(_retrieve, retriever, questions, mode, scoring))
        for mode, scoring in _MODES
    }


def score_bm25_mode(retriever: S3Retriever, questions: Sequence[Question]) -> ByBudget:
    """Measure a retriever in mode "bm25", which is the same for every artifact."""
    return _means(questions, partial(_retrieve, retriever, questions, "bm25", "attention"))


def score_baselines(data: EvaluationSet, host: Host, minilm: MiniLM | None) -> dict[str, ByBudget]:
    """Measure the baselines with windows of each size.

    Args:
        data: Documents and questions.
        host: Counts the tokens.
        minilm: The embedding model; None leaves out what needs it.
    """
    token_starts = [host.encode(document.text).starts for document in data.documents]
    texts = [question.text for question in data.questions]
    scores = {}
    for size in WINDOW_SIZES:
        windows = Windows(data.documents, token_starts, size)
        for name, orders in rankings(windows, texts, minilm).items():
            find = partial(_take, windows, orders)
            scores[f"{name}, windows of {size}"] = _means(data.questions, find)
    return scores


def _retrieve(
    retriever: S3Retriever, questions: Sequence[Question], mode: str, scoring: str, number: int, budget: int
) -> list[Region]:
    return regions(retriever, questions[number].text, budget, mode=mode, scoring=scoring)


def _take(windows: Windows, orders: Sequence[Order], number: int, budget: int) -> list[Region]:
    return windows.take(orders[number], budget)


def _means(questions: Sequence[Question], find: Find) -> ByBudget:
    """Average a system's overlap with the evidence over the questions, at each budget."""
    means = {}
    for budget in BUDGETS:
        found = [overlap(find(i, budget), question.evidence) for i, question in enumerate(questions)]
        means[budget] = Overlap(
            recall=statistics.fmean(one.recall for one in found),
            precision=statistics.fmean(one.precision for one in found),
            iou=statistics.fmean(one.iou for one in found),
        )
    return means
