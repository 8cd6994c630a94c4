"""What is measured between two stretches of a training run, and when the run has nothing more to gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s3_retriever.features.metric import second_moment
from s3_retriever.features.sae import Floats, TopKSAE, unexplained

# Keys and queries to measure on: they cost a third of a second an epoch.
_KEYS = 4096
_QUERIES = 256
# Hits of a query whose keeping is counted, at most; and what share of the keys they may be.
_HITS = 64
_HIT_SHARE = 1 / 16


@dataclass(frozen=True)
class Epoch:
    """State of a run after an epoch, measured on at most 4,096 keys held out, as an index stores them.

    Attributes:
        step: Optimiser steps taken.
        fvu: Fraction of variance unexplained.
        fvu_metric: The same in the metric of the queries; None without queries.
        l0: Mean number of active features per key.
        dead_fraction: Share of the features picked for none of the last ``dead_after`` vectors trained on.
        recall_kept: Of the 64 keys (or a sixteenth of all) with the largest q·x, the share that is also among
            as many with the largest q·x_hat; mean over at most 256 queries. None without queries.
        seconds: Spent on the run so far, interruptions left out.
    """

    step: int
    fvu: float
    fvu_metric: float | None
    l0: float
    dead_fraction: float
    recall_kept: float | None
    seconds: float

    @property
    def loss(self) -> float:
        """The fvu in the metric of the queries, or without queries the plain one."""
        return self.fvu if self.fvu_metric is None else self.fvu_metric


class Examination:
    """Keys, and the queries that look for them, on which a run is measured after each epoch.

    Args:
        keys: Held out of training, float16 or float32 (n, d), n >= 1.
        queries: float32 (n', d), as they meet keys: centred and mapped; n' >= 1.
    """

    def __init__(self, keys: npt.NDArray[np.floating], queries: Floats | None = None) -> None:
        self._keys: Floats = keys[:_KEYS].astype(np.float32)
        self._queries = self._metric = self._hits = None
        if queries is not None:
            self._metric = second_moment(queries)
            self._queries = queries[:: -(-len(queries) // _QUERIES)]
            self._hits = self._find(self._keys)

    def measure(self, sae: TopKSAE, step: int, dead_fraction: float, seconds: float) -> Epoch:
        """Measure an SAE; what its training knows is passed through."""
        codes = sae.encode_unit(self._keys)
        x_hat = sae.reconstruct(codes)
        metric, recall = None, None
        if self._hits is not None:
            metric = unexplained(self._keys, x_hat, self._metric)
            recall = float((self._hits & self._find(x_hat)).sum() / self._hits.sum())
        l0 = float(np.count_nonzero(codes.weights) / len(self._keys))
        fvu = unexplained(self._keys, x_hat)
        return Epoch(step, fvu, metric, l0, dead_fraction, recall, seconds)

    def _find(self, keys: Floats) -> npt.NDArray[np.bool_]:
        """Mark the hits of each query, bool (queries, n); of equal scores, earlier keys win."""
        assert self._queries is not None  # noqa: S101
        n = max(1, min(_HITS, int(_HIT_SHARE * len(keys))))
        best = np.argsort(-(self._queries @ keys.T), axis=1, kind="stable")[:, :n]
        hits = np.zeros((len(best), len(keys)), np.bool_)
        np.put_along_axis(hits, best, True, axis=1)
        return hits


def stalled(losses: Sequence[float], patience: int, min_gain: float) -> bool:
    """Return whether ``patience`` epochs in a row lowered the loss by less than its share ``min_gain``."""
    if len(losses) <= patience:
        return False
    return min(losses[-patience:]) > (1 - min_gain) * min(losses[:-patience])
