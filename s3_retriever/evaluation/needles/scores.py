"""What was found of the needles, by method, length and depth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.metrics import Region, evidence_recall
from s3_retriever.evaluation.records import Result

_Z = 1.959964  # of the normal distribution, two-sided 95 %


@dataclass(frozen=True)
class Haystack:
    """A haystack.

    Attributes:
        length: Tokens that it was to have.
        set: Documents and questions, whose evidence are their needles.
        depths: Of each question's needles, by the question's id.
    """

    length: int
    set: EvaluationSet
    depths: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class DepthScore:
    """Questions with one needle at one depth of haystacks of one length.

    Attributes:
        method: Who looked.
        length: Tokens of the haystacks.
        depth: In [0, 1].
        asked: How many.
        found: Of how many the whole needle was returned.
    """

    method: Method
    length: int
    depth: float
    asked: int
    found: int


@dataclass(frozen=True)
class LengthScore:
    """All questions with as many needles, in haystacks of one length.

    Attributes:
        method: Who looked.
        length: Tokens of the haystacks.
        n_needles: Of each question.
        asked: Questions.
        complete: Questions all of whose needles were returned.
        found: Needles that were returned, each as a whole.
    """

    method: Method
    length: int
    n_needles: int
    asked: int
    complete: int
    found: int

    @property
    def share(self) -> float:
        """Share of the needles found."""
        return self.found / (self.asked * self.n_needles)

    @property
    def share_complete(self) -> float:
        """Share of the questions with all needles found."""
        return self.complete / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of :attr:`share_complete`; see :func:`wilson`."""
        return wilson(self.complete, self.asked)


@dataclass(frozen=True)
class NeedleScores:
    """What was found.

    Attributes:
        lengths: By method, number of needles and length.
        depths: By method, length and depth; of questions with one needle.
    """

    lengths: tuple[LengthScore, ...]
    depths: tuple[DepthScore, ...]


def score(haystacks: Sequence[Haystack], results: Iterable[Result]) -> NeedleScores:
    """Count what was found: a needle counts if all its characters are among those returned.

    Args:
        haystacks: All that were searched.
        results: What was returned, of these haystacks only.
    """
    by_name = {one.set.name: one for one in haystacks}
    needles = {
        (one.set.name, question.id): question.evidence for one in haystacks for question in one.set.questions
    }
    lengths: dict[tuple[Method, int, int], list[int]] = {}
    depths: dict[tuple[Method, int, float], list[int]] = {}
    for result in results:
        haystack, method = by_name[result.set], result.method_used
        gold = needles[result.set, result.question]
        spans = [Region(*span) for span in result.spans]
        found = sum(evidence_recall(spans, [needle]) == 1 for needle in gold)
        counts = lengths.setdefault((method, len(gold), haystack.length), [0, 0, 0])
        for i, one in enumerate((1, found == len(gold), found)):
            counts[i] += one
        if len(gold) == 1:
            (depth,) = haystack.depths[result.question]
            counts = depths.setdefault((method, haystack.length, depth), [0, 0])
            counts[0] += 1
            counts[1] += found
    return NeedleScores(
        tuple(LengthScore(method, length, n, *counts) for (method, n, length), counts in lengths.items()),
        tuple(DepthScore(*key, *counts) for key, counts in depths.items()),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, "Probable inference", JASA 1927)."""
    share, z2 = successes / trials, _Z * _Z
    centre = share + z2 / (2 * trials)
    half = _Z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    low, high = ((centre + sign * half) / (1 + z2 / trials) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)
