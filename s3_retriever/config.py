"""Settings that belong to a retriever and are saved with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from s3_retriever.errors import InvalidInputError
from s3_retriever.host.scan import ScanConfig
from s3_retriever.search.spans import SpanConfig


@dataclass(frozen=True)
class RetrieverConfig:
    """How a retriever scans, cuts spans and computes BM25.

    Attributes:
        scan: Chunks and batches of the scan.
        spans: How passages are cut, and whether the ends of a document are returned too.
        bm25: "rank_bm25", or "bm25s" (optional package) for large corpora.
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    spans: SpanConfig = field(default_factory=SpanConfig)
    bm25: str = "rank_bm25"

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
            return cls(ScanConfig(**values["scan"]), SpanConfig(**values["spans"]), values["bm25"])
        except (KeyError, TypeError) as error:
            msg = f"the retriever's settings cannot be read: {type(error).__name__}: {error}"
            raise InvalidInputError(msg) from error
