"""Averages of a run's records, differences with their intervals, and costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.methods import FUSED, Method
from s3_retriever.evaluation.metrics import TITLES
from s3_retriever.evaluation.readability import Readability
from s3_retriever.evaluation.records import Answer, Build, Result
from s3_retriever.evaluation.runner import RANKING_BUDGET

_LEADS = {"precision": "recall", "iou": "recall", "mrr": "ndcg", "hit": "ndcg", "f1": "exact_match"}
"""A method's window is the one that is best by the leading measure."""

_RANKED = ("ndcg", "mrr", "hit")

BySet = Mapping[str, Mapping[str, float]]
"""Values by set and question."""

ByMethod = Mapping[Method, BySet]
"""Values of one measure at one budget."""

RESAMPLES = 10_000
_CONFIDENCE = 0.95
_CHUNK = 1_000_000  # numbers drawn at a time
_SAME = 1e-9
"""Measures that differ by less are the same up to rounding."""

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


class Tally(NamedTuple):
    """On how many questions a method is better than another, as good, and worse."""

    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Row:
    """A method in a comparison.

    Attributes:
        method: With the window that is best by the macro average.
        sets: Mean over the questions of each set.
        macro: Mean over the sets.
        difference: Macro average of the method less that of the reference; None for the reference itself and
            where there is none.
        tally: Questions on which it is better than the reference, as good, and worse.
    """

    method: Method
    sets: Mapping[str, float]
    macro: float
    difference: Interval | None
    tally: Tally | None


@dataclass(frozen=True)
class Comparison:
    """All methods by one measure at one budget.

    Attributes:
        measure: Key of :data:`s3_retriever.evaluation.metrics.TITLES`.
        budget: Tokens.
        n_questions: By set, those that the measure applies to.
        rows: One per method, in the order in which they were asked.
        length: Tokens that the contexts have at most; None where whole sets are searched.
    """

    measure: str
    budget: int
    n_questions: Mapping[str, int]
    rows: tuple[Row, ...]
    length: int | None = None


@dataclass(frozen=True)
class Cost:
    """What a method costs on one set, or on the mean of a group of sets.

    Attributes:
        method: The method.
        set: Name of the set, or of a group of sets.
        n_tokens: Of the set.
        build_seconds: Until it could be asked.
        bytes_per_token: Of what is searched; None if unknown.
        peak_bytes: Growth of the process' memory while building, at most; None if unknown.
        median_ms: Of a question.
        p90_ms: Of a question.
    """

    method: Method
    set: str
    n_tokens: int
    build_seconds: float
    bytes_per_token: float | None
    peak_bytes: int | None
    median_ms: float
    p90_ms: float


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        comparisons: By every measure and budget.
        costs: Of every method on every set.
        reference: Name of the method that the others are compared with.
        readability: How the passages of every method read, at the middle budget.
    """

    comparisons: tuple[Comparison, ...]
    costs: tuple[Cost, ...]
    reference: str
    readability: tuple[Readability, ...] = ()


def default_reference(methods: Sequence[str]) -> str:
    """Return the first embedding model fused with BM25 or, where there is none, the last method."""
    return next((name for name in methods if name.endswith(FUSED)), methods[-1])


def compare(records: Sequence[Result] | Sequence[Answer], reference: str | None) -> list[Comparison]:
    """Compare all methods by every measure at every budget.

    Args:
        records: Of a run.
        reference: Name of the method that the others are compared with; None: there are no differences.

    Raises:
        InvalidInputError: No record is of the reference.
    """
    names = list(dict.fromkeys(record.method for record in records))
    if records and reference is not None and reference not in names:
        msg = f"the reference {reference!r} is none of the methods {', '.join(names)}"
        raise InvalidInputError(msg)
    values = _values(records)
    return [
        _comparison(measure, budget, by_method, values[_LEADS.get(measure, measure), budget], reference)
        for measure in TITLES
        for (name, budget), by_method in sorted(values.items(), key=lambda item: item[0])
        if name == measure
        if (measure in _RANKED) == (budget == RANKING_BUDGET) or _is_only_budget(values, measure, budget)
    ]


def best_windows(records: Sequence[Result], budget: int) -> list[Method]:
    """Return each method with its best window at a budget, by the first measure that there is."""
    values = _values([record for record in records if record.budget == budget])
    return _best_windows(next((values[name, budget] for name in TITLES if (name, budget) in values), {}))


def costs(
    builds: Sequence[Build], results: Sequence[Result], groups: Mapping[str, str] | None = None
) -> list[Cost]:
    """Return what each method cost on each set, or on average over each group of sets.

    Args:
        builds: Of a run.
        results: Of the same run.
        groups: Name of a set's group, by the set's name; None: each set by itself.
    """
    groups = {build.set: build.set for build in builds} if groups is None else groups
    times: defaultdict[tuple[str, Method], list[float]] = defaultdict(list)
    for result in results:
        times[groups[result.set], result.method_used].append(result.ms)
    built: defaultdict[tuple[str, Method], list[Build]] = defaultdict(list)
    for build in builds:
        for name in build.methods:
            built[groups[build.set], Method(name, build.window)].append(build)
    return [
        _cost(method, group, own, times[group, method])
        for (group, method), own in built.items()
        if times[group, method]
    ]


def _cost(method: Method, group: str, builds: Sequence[Build], times: Sequence[float]) -> Cost:
    """Return the mean of some builds, of the memory the most, and what the questions took."""
    sizes = [one.nbytes for one in builds if one.nbytes is not None]
    n_tokens = round(statistics.fmean(one.n_tokens for one in builds))
    return Cost(
        method=method,
        set=group,
        n_tokens=n_tokens,
        build_seconds=statistics.fmean(one.seconds for one in builds),
        bytes_per_token=round(statistics.fmean(sizes)) / max(1, n_tokens) if sizes else None,
        peak_bytes=max((one.peak_bytes for one in builds if one.peak_bytes is not None), default=None),
        median_ms=statistics.median(times),
        p90_ms=float(np.percentile(times, 90)),
    )


def _values(records: Sequence[Result] | Sequence[Answer]) -> dict[tuple[str, int], ByMethod]:
    """Return the values of all records by measure and budget."""
    values: dict[tuple[str, int], dict[Method, dict[str, dict[str, float]]]] = {}
    for record in records:
        for measure, value in record.metrics.items():
            by_method = values.setdefault((measure, record.budget), {})
            by_set = by_method.setdefault(record.method_used, {})
            by_set.setdefault(record.set, {})[record.question] = value
    return {**values}


def _is_only_budget(values: Mapping[tuple[str, int], ByMethod], measure: str, budget: int) -> bool:
    """Whether some method was asked with this budget alone."""
    others = [by_method for (name, other), by_method in values.items() if name == measure and other != budget]
    return any(all(method not in one for one in others) for method in values[measure, budget])


def _comparison(
    measure: str, budget: int, by_method: ByMethod, leading: ByMethod, reference: str | None
) -> Comparison:
    """Compare methods by one measure, each with the window that is best by the leading measure."""
    scores = {method: by_method[method] for method in _best_windows(leading)}
    base = next((by_set for method, by_set in scores.items() if method.name == reference), None)
    sets = {name: list(by_question) for name, by_question in next(iter(scores.values())).items()}
    differences: dict[Method, tuple[Interval, Tally]] = {}
    others = [method for method in scores if method.name != reference]
    if base is not None and others:
        strata = [
            np.array([[scores[method][name][q] - base[name][q] for method in others] for q in questions])
            for name, questions in sets.items()
        ]
        tallies = map(tally, np.concatenate(strata).T)
        differences = dict(zip(others, zip(bootstrap(strata), tallies, strict=True), strict=True))
    rows = []
    for method, by_set in scores.items():
        means = {name: statistics.fmean(by_set[name].values()) for name in sets}
        difference = differences.get(method, (None, None))
        rows.append(Row(method, means, statistics.fmean(means.values()), *difference))
    return Comparison(measure, budget, {name: len(ids) for name, ids in sets.items()}, tuple(rows))


def _best_windows(by_method: ByMethod) -> list[Method]:
    """Return each method with the window that gives the best macro average; of equal ones, the first."""
    best: dict[str, Method] = {}
    for method, by_set in by_method.items():
        if method.name not in best or _macro(by_set) > _macro(by_method[best[method.name]]):
            best[method.name] = method
    return list(best.values())


def _macro(by_set: BySet) -> float:
    return statistics.fmean(statistics.fmean(by_question.values()) for by_question in by_set.values())


def bootstrap(strata: Sequence[Floats], *, seed: int = 0, resamples: int = RESAMPLES) -> list[Interval]:
    """Return intervals of macro averages: the mean over strata of the mean over each one's questions.

    Questions are drawn with replacement within each stratum, the same ones for every column, and the
    interval is that of the percentiles of the resampled averages (Efron and Tibshirani, "An Introduction to
    the Bootstrap", 1993, chapter 13). With the differences of two methods as values it is paired.

    Args:
        strata: One per set: float64 (questions, columns), at least one question each.
        seed: Of the draws.
        resamples: How many averages are drawn.

    Returns:
        One interval per column.

    Raises:
        InvalidInputError: A stratum is empty, or there is none.
    """
    if not strata or not all(len(values) for values in strata):
        msg = "a bootstrap needs at least one question in every set"
        raise InvalidInputError(msg)
    rng = np.random.default_rng(seed)
    drawn = np.mean([_resampled_means(values, rng, resamples) for values in strata], axis=0)
    means = np.mean([values.mean(axis=0) for values in strata], axis=0)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return [Interval(*map(float, column)) for column in zip(means, low, high, strict=True)]


def tally(differences: npt.ArrayLike) -> Tally:
    """Count the questions on which a difference is above, at and below zero."""
    values = np.asarray(differences, np.float64)
    wins, losses = int((values > _SAME).sum()), int((values < -_SAME).sum())
    return Tally(wins, values.size - wins - losses, losses)


def _resampled_means(values: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return (resamples, columns) means of as many rows as there are, drawn with replacement."""
    n = len(values)
    step = max(1, _CHUNK // n)
    parts = []
    for first in range(0, resamples, step):
        times = rng.multinomial(n, np.full(n, 1 / n), size=min(step, resamples - first))
        parts.append(times @ values / n)
    return np.concatenate(parts)
