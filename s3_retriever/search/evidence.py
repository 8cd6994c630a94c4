"""What one question found in an index, or in a part of one, kept for explanations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.words import Asked
from s3_retriever.search.density import Float32, Int64
from s3_retriever.search.rank import Densities, side_by_side
from s3_retriever.search.scoring import Scoring

if TYPE_CHECKING:  # its module loads torch
    from s3_retriever.encode.question import EncodedQuestion, QueryRows


class LookedUp(NamedTuple):
    """What the query heads looked up, for the n tokens of a question that count.

    Attributes:
        taps: Of each head, H of them.
        features: int32 (H, n, F), -1 for unused.
        weights: float32 (H, n, F).
        tokens: Texts of the tokens.
        places: int64 (n, 2), where each begins and ends in the question.
        token_weights: float32 (n,), how much each counts.
    """

    taps: tuple[int, ...]
    features: npt.NDArray[np.int32]
    weights: Float32
    tokens: list[str]
    places: Int64
    token_weights: Float32

    @classmethod
    def of(cls, rows: Sequence[QueryRows], encoded: EncodedQuestion, token_weights: Float32) -> LookedUp:
        """Take from a question what counts.

        Args:
            rows: Of each query head.
            encoded: The question as the host read it.
            token_weights: float32, of all its tokens.
        """
        asking = token_weights > 0
        features, weights = side_by_side(rows, asking)
        shape = (len(rows), int(asking.sum()), features.shape[1])
        return cls(
            tuple(row.tap for row in rows),
            features.reshape(shape),
            weights.reshape(shape),
            [encoded.tokens[i] for i in np.flatnonzero(asking).tolist()],
            encoded.places[asking],
            token_weights[asking],
        )


class Evidence(NamedTuple):
    """What one question found.

    Attributes:
        question: As it was asked.
        snapshot: What was searched, or the part of it that has the spans.
        densities: Of either side, over the cells of the snapshot.
        least: Least density of either side in all that was searched; 0 where a mode leaves it out.
        looked_up: What the host's heads looked up; None where the host was not asked.
        means: float32 (H, n), the mean of exp(s) over all that was searched, for each token and head.
        scoring: Constants.
        terms: Those that BM25 was asked for.
        of_terms: Yields BM25's density at some cells for each of these terms alone, in two parts: for words
            in texts, and for words above them.
    """

    question: str
    snapshot: Snapshot
    densities: Densities
    least: tuple[float, float]
    looked_up: LookedUp | None
    means: Float32
    scoring: Scoring
    terms: Sequence[Asked]
    of_terms: Callable[[Int64], Iterable[tuple[Float32, Float32]]]


def means_of(pieces: Sequence[Float32], looked_up: LookedUp | None) -> Float32:
    """Return the means of :class:`Evidence`; 1 where nothing was summed up.

    Args:
        pieces: Means of the rows, head by head, in pieces; the last one may go on behind the last row.
        looked_up: What has these rows.
    """
    heads, tokens = (0, 0) if looked_up is None else (len(looked_up.taps), len(looked_up.tokens))
    if not pieces:
        return np.ones((heads, tokens), np.float32)
    return np.concatenate(pieces)[: heads * tokens].reshape(heads, tokens)


def least_of(densities: Densities) -> tuple[float, float]:
    """Return the least density of either side; infinite where there is no cell, 0 where there is no side."""
    s3, bm25 = (0.0 if side is None else float(side.min(initial=np.inf)) for side in densities)
    return s3, bm25
