"""What one question found in an index, kept for explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.density import Float32
from s3_retriever.search.rank import Densities, Ranker

if TYPE_CHECKING:  # its module loads torch
    from s3_retriever.encode.question import EncodedQuestion, QueryRows


class Evidence(NamedTuple):
    """What one question found.

    Attributes:
        question: As it was asked.
        snapshot: The version that was searched.
        densities: Of either side.
        rows: Rows of each query head.
        encoded: The question as the host read it; None where the host was not asked.
        means: float32 (H, n), the mean of exp(s) over the corpus for each row of each query head; None where
            the host was not asked.
        ranker: What made the densities.
    """

    question: str
    snapshot: Snapshot
    densities: Densities
    rows: Sequence[QueryRows]
    encoded: EncodedQuestion | None
    means: Float32 | None
    ranker: Ranker
