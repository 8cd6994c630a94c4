"""From the records of a run to what is shown: averages, differences and their intervals, costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.measures import TITLES
from s3_retriever.evaluation.methods import FUSED, Method
from s3_retriever.evaluation.records import Answer, Build, Result
from s3_retriever.evaluation.runner import RANKING_BUDGET
from s3_retriever.evaluation.significance import Floats, Interval, Tally, bootstrap, tally

_LEADS = {"precision": "recall", "iou": "recall", "mrr": "ndcg", "hit": "ndcg", "f1": "exact_match"}
"""A method's window is the one that is best by the leading measure."""

_RANKED = ("ndcg", "mrr", "hit")

Values = Mapping[tuple[str, int, Method], Mapping[str, Mapping[str, float]]]
"""Of each measure, budget and method: by set and question."""


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
        measure: Key of :data:`s3_retriever.evaluation.measures.TITLES`.
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
    """What a method costs on one set.

    Attributes:
        method: The method.
        set: Name of the set.
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


def default_reference(methods: Sequence[str]) -> str:
    """Return the first embedding model fused with BM25 or, where there is none, the last method."""
    return next((name for name in methods if name.endswith(FUSED)), methods[-1])


def compare(records: Sequence[Result] | Sequence[Answer], reference: str) -> list[Comparison]:
    """Compare all methods by every measure at every budget.

    Args:
        records: Of a run.
        reference: Name of the method that the others are compared with.

    Raises:
        InvalidInputError: No record is of the reference.
    """
    names = list(dict.fromkeys(record.method for record in records))
    if records and reference not in names:
        msg = f"the reference {reference!r} is none of the methods {', '.join(names)}"
        raise InvalidInputError(msg)
    values = _values(records)
    return [
        _comparison(values, measure, budget, reference)
        for measure in TITLES
        for budget in sorted({budget for name, budget, _ in values if name == measure})
        if (measure in _RANKED) == (budget == RANKING_BUDGET) or _only_budget(values, measure, budget)
    ]


def best_windows(records: Sequence[Result], budget: int) -> list[Method]:
    """Return each method with the window that is best for it at a budget, by the first measure there is."""
    values = _values(records)
    names = dict.fromkeys(record.method for record in records if record.budget == budget)
    measure = next((name for name in TITLES if any(key[:2] == (name, budget) for key in values)), "recall")
    return [_best_window(values, measure, budget, name) for name in names]


def costs(builds: Sequence[Build], results: Sequence[Result]) -> list[Cost]:
    """Return what each method cost on each set."""
    times: defaultdict[tuple[str, Method], list[float]] = defaultdict(list)
    for result in results:
        times[result.set, Method(result.method, result.window)].append(result.ms)
    found = []
    for build in builds:
        for name in build.methods:
            method = Method(name, build.window)
            if not times[build.set, method]:
                continue
            found.append(
                Cost(
                    method=method,
                    set=build.set,
                    n_tokens=build.n_tokens,
                    build_seconds=build.seconds,
                    bytes_per_token=None if build.nbytes is None else build.nbytes / max(1, build.n_tokens),
                    peak_bytes=build.peak_bytes,
                    median_ms=statistics.median(times[build.set, method]),
                    p90_ms=float(np.percentile(times[build.set, method], 90)),
                )
            )
    return found


def _values(records: Sequence[Result] | Sequence[Answer]) -> Values:
    values: defaultdict[tuple[str, int, Method], defaultdict[str, dict[str, float]]]
    values = defaultdict(lambda: defaultdict(dict))
    for record in records:
        method = Method(record.method, record.window)
        for measure, value in record.metrics.items():
            values[measure, record.budget, method][record.set][record.question] = value
    return values


def _only_budget(values: Values, measure: str, budget: int) -> bool:
    """Whether some method was asked with this budget alone."""
    return any(
        {b for name, b, other in values if (name, other) == (measure, method)} == {budget}
        for name, at, method in values
        if (name, at) == (measure, budget)
    )


def _comparison(values: Values, measure: str, budget: int, reference: str) -> Comparison:
    names = dict.fromkeys(method.name for name, at, method in values if (name, at) == (measure, budget))
    lead = _LEADS.get(measure, measure)
    chosen = [_best_window(values, lead, budget, name) for name in names]
    base = next((values[measure, budget, method] for method in chosen if method.name == reference), None)
    scores = {method: values[measure, budget, method] for method in chosen}
    sets = {name: list(by_question) for name, by_question in next(iter(scores.values())).items()}
    differences: dict[Method, tuple[Interval, Tally]] = {}
    if base is not None:
        others = [method for method in chosen if method.name != reference]
        strata = [
            _array([[scores[method][name][q] - base[name][q] for method in others] for q in questions])
            for name, questions in sets.items()
        ]
        if others:
            every = np.concatenate(strata)
            intervals = bootstrap(strata)
            differences = {
                method: (interval, tally(every[:, i]))
                for i, (method, interval) in enumerate(zip(others, intervals, strict=True))
            }
    rows = []
    for method, by_set in scores.items():
        means = {name: statistics.fmean(by_set[name].values()) for name in sets}
        difference = differences.get(method, (None, None))
        rows.append(Row(method, means, statistics.fmean(means.values()), *difference))
    return Comparison(measure, budget, {name: len(ids) for name, ids in sets.items()}, tuple(rows))


def _best_window(values: Values, measure: str, budget: int, name: str) -> Method:
    """Return the method of a name whose window gives the best macro average."""
    candidates = [method for m, at, method in values if (m, at, method.name) == (measure, budget, name)]
    return max(candidates, key=lambda method: _macro(values[measure, budget, method]))


def _macro(by_set: Mapping[str, Mapping[str, float]]) -> float:
    return statistics.fmean(statistics.fmean(by_question.values()) for by_question in by_set.values())


def _array(rows: Sequence[Sequence[float]]) -> Floats:
    return np.asarray(rows, np.float64)
