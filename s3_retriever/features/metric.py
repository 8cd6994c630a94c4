"""The metric of the queries: how much an error of a key changes the scores that queries give it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.sae import Floats, TopKSAE

# Added to the moment's eigenvalues, whose mean is 1: no direction may be forgotten altogether.
_FLOOR = 0.1
# Power of the moment that R is. The full metric would be 1/2; as reconstructions are scaled to unit norm, in
# which all directions count alike, halfway to it keeps more of both the scores and the ranks.
_POWER = 0.25


def second_moment(queries: npt.ArrayLike) -> Floats:
    """Return M, the mean of q q^T: the mean square error of scores q.x is (x - x_hat)^T M (x - x_hat).

    Args:
        queries: (n, d), centred and mapped, as they meet keys; so M is their covariance.

    Returns:
        float32 (d, d), scaled to trace d.

    Raises:
        InvalidInputError: The queries have another shape, are not finite, or all zero.
    """
    rows = np.asarray(queries, dtype=np.float64)
    moment = rows.T @ rows if rows.ndim == 2 else np.zeros((1, 1))
    if not np.isfinite(moment).all() or not np.trace(moment) > 0:
        msg = f"the metric needs finite queries of shape (n, d) that are not all zero, not {rows.shape}"
        raise InvalidInputError(msg)
    return np.asarray(moment * (len(moment) / np.trace(moment)), dtype=np.float32)


def metric_root(queries: npt.ArrayLike) -> Floats:
    """Return R, symmetric: an SAE in the metric of the queries makes (x - x_hat) R small.

    Returns:
        float32 (d, d), (M + 0.1)^(1/4) with M the :func:`second_moment`.

    Raises:
        InvalidInputError: As :func:`second_moment`.
    """
    values, vectors = np.linalg.eigh(second_moment(queries).astype(np.float64))
    return np.asarray((vectors * (values.clip(0) + _FLOOR) ** _POWER) @ vectors.T, dtype=np.float32)


def in_metric(sae: TopKSAE, root: Floats) -> TopKSAE:
    """Return the SAE of keys x that does what ``sae``, trained on keys x R, does: with R as its root."""
    decoder = np.linalg.solve(root.astype(np.float64), sae.W_dec.T.astype(np.float64)).T
    norms = np.linalg.norm(decoder, axis=1)
    return TopKSAE(
        (root @ sae.W_enc) * norms, sae.b_enc * norms, decoder / norms[:, None], sae.b_dec, sae.k, root
    )
