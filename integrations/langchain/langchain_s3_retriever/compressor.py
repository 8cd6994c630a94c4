"""Cuts the results of any retriever to the passages the host attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from langchain_s3_retriever.documents import as_result, checked, within
from langchain_s3_retriever.spans import SpanSettings
from s3_retriever import Artifact, Host, RetrieverConfig, Span
from s3_retriever import Document as CoreDocument
from s3_retriever import S3Retriever as CoreRetriever


class S3DocumentCompressor(SpanSettings, BaseDocumentCompressor):
    """Keeps of the documents given only the passages that answer the question, best first.

    The documents are scanned in every call, so this costs a pass of the host's first layers over their
    tokens. Results look like those of :class:`S3Retriever`, and name the same document and offsets where they
    are passages of its results. Documents no passage was chosen from are left out.

    Attributes:
        host: The language model: a hub name, a folder, ``(model, tokenizer)`` in memory, a ``Host``
            (``retriever.host``), or None for the default host. Held as a ``Host``.
        artifact: "tiny", "fast" or "best" of the default host, a folder, or an ``Artifact``. Held as an
            ``Artifact``.
        config: The core's settings.

    Raises:
        ValidationError: A setting is unknown, has a value that cannot be used, or the artifact belongs to
            another host.
        HostNotFoundError: The host's weights were not found.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    host: Any = Field(default=None, validate_default=True, repr=False, exclude=True)
    artifact: Any = Field(default="fast", validate_default=True, repr=False, exclude=True)
    config: RetrieverConfig | None = None

    @field_validator("host")
    @classmethod
    def _load_host(cls, value: Any) -> Host:
        return Host.load(value)

    @field_validator("artifact")
    @classmethod
    def _load_artifact(cls, value: Any) -> Artifact:
        return (value if isinstance(value, Artifact) else Artifact.load(value)).quantized()

    @model_validator(mode="after")
    def _check_artifact(self) -> Self:
        self._empty()  # refuses an artifact of another host now, not at the first question
        return self

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the passages of the documents that answer the question, best first.

        Args:
            documents: Results of any retriever. Metadata may hold anything that can be copied.
            query: The question.
            callbacks: Not used: nothing is run that reports.

        Raises:
            InvalidInputError: The question is empty.
            InvalidDocumentError: An item is no document, or has a metadata key that results need.
        """
        given = list(checked(documents))
        core = self._empty()
        # Ids of other retrievers' results may be missing or occur twice; positions do neither.
        core.add(CoreDocument(str(i), document.page_content) for i, document in enumerate(given))
        spans = core.retrieve(
            query,
            self.token_budget,
            mode=self.mode,
            scoring=self.scoring,
            unit_scores=self.unit_scores,
            top_k=self.k,
            spans=self.spans,
            unique=self.unique,
        )
        return [
            as_result(_placed(span, given), given[int(span.doc_id)].metadata, self.score_key)
            for span in spans
        ]

    def _empty(self) -> CoreRetriever:
        return CoreRetriever(host=self.host, artifact=self.artifact, config=self.config)


def _placed(span: Span, given: Sequence[Document]) -> Span:
    """Return a span, and where else it stands, as of the documents that those given were cut from."""
    copies = []
    for copy in span.also_in:
        one = within(given[int(copy.doc_id)], replace(span, start=copy.start, end=copy.end))
        copies.append(replace(copy, doc_id=one.doc_id, start=one.start, end=one.end))
    return replace(within(given[int(span.doc_id)], span), also_in=tuple(copies))
