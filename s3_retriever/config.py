"""Settings that belong to a retriever and are saved with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from s3_retriever.checks import check_settings, choice, instance
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.scan import ScanConfig
from s3_retriever.names import BM25_NAMES, MODES, SCORINGS, BM25Name, Mode, ScoringName
from s3_retriever.search.spans import SpanConfig

__all__ = ["BM25_NAMES", "MODES", "SCORINGS", "BM25Name", "Mode", "RetrieverConfig", "ScoringName"]


@dataclass(frozen=True)
class RetrieverConfig:
    """How a retriever scans, cuts spans and computes BM25.

    Attributes:
        scan: Chunks and batches of the scan.
        spans: How passages are cut, and whether the ends of a document are returned too.
        bm25: What computes BM25: "rank_bm25", our own with the scores of that library, or the optional
            library "bm25s", which first makes a matrix of the whole corpus.

    Raises:
        InvalidInputError: A value is of another type, or no such choice.

    Examples:
        >>> RetrieverConfig(spans=SpanConfig(bias_tokens=16)).spans.bias_tokens
        16
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    spans: SpanConfig = field(default_factory=SpanConfig)
    bm25: BM25Name = "rank_bm25"

    def __post_init__(self) -> None:
        check_settings(
            self,
            scan=instance(ScanConfig, "a ScanConfig"),
            spans=instance(SpanConfig, "a SpanConfig"),
            bm25=choice(BM25_NAMES),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RetrieverConfig:
        """Read what :meth:`to_json` wrote.

        Raises:
            InvalidInputError: A field is unknown or has a value that cannot be used.
        """
        try:
            scan, spans = ScanConfig(**values["scan"]), SpanConfig(**values["spans"])
            return cls(**{**values, "scan": scan, "spans": spans})
        except (KeyError, TypeError, InvalidInputError) as error:
            msg = f"the retriever's settings cannot be read: {type(error).__name__}: {error}"
            raise InvalidInputError(msg) from error
