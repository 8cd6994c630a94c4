"""Keys of all heads of a host in little memory: projections that keep what questions look for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.features.bank import Bank, Corpus, Questions, asked_taps
from s3_retriever.features.pairs import Pair
from s3_retriever.features.sae import Floats, center_and_normalize
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import QueryHead, Tap

_PASSAGE = 1024  # characters of each document that the means are taken over, from its middle


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
    total = np.zeros((len(taps), host.head_dim))
    n = 0
    for piece in scan(_passages(spread), host, taps, scan_config):
        total += piece.keys.sum(axis=0, dtype=np.float64)
        n += len(piece.keys)
    return dict(zip(taps, (total / max(n, 1)).astype(np.float32), strict=True))


def sketch_bank(
    host: Host,
    documents: Iterable[Document],
    pairs: Sequence[Pair],
    heads: Sequence[QueryHead],
    *,
    key_means: Mapping[Tap, Floats],
    dim: int,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> Bank:
    """Fill a bank as :func:`~s3_retriever.features.bank.fill_bank` does, with projections of unit keys.

    Each tap's keys, centred and normalised, and the queries of its heads are projected on the directions in
    which these queries vary most (their principal components), so that dot products change little.

    Args:
        host: The host.
        documents: The corpus; it must hold every pair's document.
        pairs: At least one.
        heads: Query heads.
        key_means: Mean key, float32 (d,), of each tap.
        dim: Dimension of the projections; at most that of the keys is used.
        scan_config: Chunks and batches.
        progress: Show progress bars.

    Raises:
        InvalidInputError: As ``fill_bank``.
        DuplicateDocumentError: Two documents have one id.
    """
    taps, head_taps = asked_taps(host, heads)
    questions = Questions.read(host, pairs, heads, progress=progress)
    means = np.stack([key_means[tap] for tap in taps])
    bases = np.stack([_basis(questions.centred, head_taps, tap, dim) for tap in range(len(taps))])

    def keep(keys: Floats) -> Floats:
        return _project(center_and_normalize(keys, means), bases)

    corpus = Corpus.read(
        host, documents, taps, keep=keep, dim=bases.shape[2], scan_config=scan_config, progress=progress
    )
    keys, tokens, cells = corpus.cells()
    asked = [_project(queries, bases[list(head_taps)]) for queries in questions.centred]
    return Bank(
        heads=tuple(heads),
        taps=taps,
        head_taps=head_taps,
        key_means=means,
        query_means=questions.means,
        keys=keys,
        tokens=tokens,
        document_cells=cells,
        examples=corpus.examples(pairs, replace(questions, centred=asked), cells),
    )


def _passages(documents: Iterable[Document]) -> Iterator[Document]:
    for document in documents:
        middle = max(0, (len(document.text) - _PASSAGE) // 2)
        yield replace(document, text=document.text[middle : middle + _PASSAGE])


def _basis(questions: Sequence[Floats], head_taps: Sequence[int], tap: int, dim: int) -> Floats:
    """Return the principal directions of the queries that ask a tap, float32 (d, r)."""
    heads = [head for head, number in enumerate(head_taps) if number == tap]
    covariance = sum(np.einsum("nhd,nhe->de", queries[:, heads], queries[:, heads]) for queries in questions)
    _, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return np.ascontiguousarray(vectors[:, ::-1][:, :dim], np.float32)


def _project(rows: Floats, bases: Floats) -> Floats:
    """Project (n, T, d) by (T, d, r) to (n, T, r)."""
    return np.ascontiguousarray(np.matmul(rows.transpose(1, 0, 2), bases).transpose(1, 0, 2))
