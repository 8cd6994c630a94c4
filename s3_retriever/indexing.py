"""Documents to a segment of the index: scanned by the host, encoded by the artifact."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Container, Iterable
from typing import Any

from s3_retriever.documents import as_documents, distinct
from s3_retriever.encode.artifact import Artifact
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.index import Layout, Segment, SegmentBuilder


def layout_of(artifact: Artifact) -> Layout:
    """Return the sizes of the index for an artifact's taps."""
    saes = [codec.sae for codec in artifact.codecs]
    return Layout(
        taps=tuple(map(str, artifact.taps)),
        n_features=tuple(sae.n_features for sae in saes),
        k=tuple(sae.k for sae in saes),
    )


def build_segment(
    documents: Iterable[Any],
    host: Host,
    artifact: Artifact,
    config: ScanConfig,
    *,
    taken: Container[str],
    threads: int | None,
    show_progress: bool,
) -> Segment:
    """Scan documents and return a segment of them.

    Args:
        documents: As in :meth:`S3Retriever.from_documents`.
        host: The language model.
        artifact: Learned for it.
        config: How to cut and batch.
        taken: Ids that no document may have.
        threads: As in :meth:`S3Retriever.add`.
        show_progress: As in :meth:`S3Retriever.add`.

    Raises:
        InvalidDocumentError: An item is no document.
        DuplicateDocumentError: An id is taken or occurs twice.
        InvalidInputError: ``threads`` is not positive.
    """
    builder = SegmentBuilder(layout_of(artifact))
    scanned = scan(
        distinct(as_documents(documents), taken),
        host,
        artifact.taps,
        config,
        encode=artifact.encode,
        threads=threads,
        n_documents=operator.length_hint(documents) if show_progress else 0,
        show_progress=show_progress,
    )
    with contextlib.closing(scanned):
        for piece in scanned:
            if piece.first:
                builder.begin(piece.document)
            if len(piece.starts):
                features, weights = [c.features for c in piece.keys], [c.weights for c in piece.keys]
                builder.add(piece.starts, piece.ids, features, weights)
            if piece.last:
                builder.end()
    return builder.build()
