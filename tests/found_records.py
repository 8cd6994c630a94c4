"""How many questions find the evidence of an evaluation set whole."""

from __future__ import annotations

from collections.abc import Sequence

from s3_retriever import S3Retriever
from s3_retriever.evaluation.datasets import Question


def n_found(retriever: S3Retriever, questions: Sequence[Question], budget: int = 256) -> int:
    """Count the regions of evidence that lie in one span of their question's answer."""
    found = retriever.retrieve_batch([one.text for one in questions], budget)
    return sum(
        any(span.doc_id == doc_id and span.start <= start and end <= span.end for span in spans)
        for spans, one in zip(found, questions, strict=True)
        for doc_id, start, end in one.evidence
    )
