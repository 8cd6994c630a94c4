"""Sketches of keys: projections that keep all heads of a host in little memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.encode.sae import Floats, center_and_normalize
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import Tap

_PASSAGE = 1024  # characters of each document that the means are taken over, from its middle


@dataclass(frozen=True, eq=False)
class Sketch:
    """Projects unit keys and queries so that their dot products change little.

    Each tap has the directions in which the queries of its heads vary most (their principal components).

    Attributes:
        means: Mean key of each tap, float32 (T, d).
        bases: The directions of each tap, float32 (T, d, r).
        head_taps: Number of each head's tap, (H,).
    """

    means: Floats
    bases: Floats
    head_taps: tuple[int, ...]

    @classmethod
    def of(cls, means: Floats, queries: Sequence[Floats], head_taps: tuple[int, ...], dim: int) -> Sketch:
        """Choose the directions.

        Args:
            means: Mean key of each tap, float32 (T, d).
            queries: Centred queries of each question, float32 (n, H, d) each.
            head_taps: Number of each head's tap, (H,).
            dim: Dimension of the sketches, r; at most d is used.
        """
        bases = np.stack([_basis(queries, head_taps, tap, dim) for tap in range(len(means))])
        return cls(means, bases, head_taps)

    @property
    def dim(self) -> int:
        """Dimension of the sketches, r."""
        return int(self.bases.shape[2])

    def keys(self, raw: Floats) -> Floats:
        """Return sketches of raw keys (n, T, d), float32 (n, T, r)."""
        return _project(center_and_normalize(raw, self.means), self.bases)

    def queries(self, centred: Floats) -> Floats:
        """Return sketches of centred queries (n, H, d), float32 (n, H, r)."""
        return _project(centred, self.bases[list(self.head_taps)])


def mean_keys(
    host: Host,
    documents: Sequence[Document],
    taps: Sequence[Tap],
    *,
    max_documents: int = 128,
    scan_config: ScanConfig | None = None,
) -> dict[Tap, Floats]:
    """Estimate each tap's mean key, float32 (d,), over a passage of some of the documents, evenly spread."""
    spread = documents[:: max(1, len(documents) // max_documents)]
    middles = [max(0, (len(document.text) - _PASSAGE) // 2) for document in spread]
    passages = [
        replace(document, text=document.text[middle : middle + _PASSAGE])
        for document, middle in zip(spread, middles, strict=True)
    ]
    total = np.zeros((len(taps), host.head_dim))
    n = 0
    for piece in scan(passages, host, taps, scan_config):
        total += piece.keys.sum(axis=0, dtype=np.float64)
        n += len(piece.keys)
    return dict(zip(taps, (total / max(n, 1)).astype(np.float32), strict=True))


def _basis(questions: Sequence[Floats], head_taps: Sequence[int], tap: int, dim: int) -> Floats:
    """Return the principal directions of the queries that ask a tap, float32 (d, r)."""
    heads = [head for head, number in enumerate(head_taps) if number == tap]
    covariance = sum(np.einsum("nhd,nhe->de", queries[:, heads], queries[:, heads]) for queries in questions)
    _, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return np.ascontiguousarray(vectors[:, ::-1][:, :dim], np.float32)


def _project(rows: Floats, bases: Floats) -> Floats:
    """Project (n, T, d) by (T, d, r) to (n, T, r)."""
    return np.ascontiguousarray(np.matmul(rows.transpose(1, 0, 2), bases).transpose(1, 0, 2))
