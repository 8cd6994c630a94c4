"""How a retriever searches: its settings, and what one query may say differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import IndexNode, QueryBundle, TransformComponent
from llama_index.core.vector_stores.types import MetadataFilters
from pydantic import ValidationError
from typing_extensions import TypedDict

from llama_index.retrievers.s3.filters import to_filter
from s3_retriever import (
    Artifact,
    IndexFormatError,
    InvalidInputError,
    Mode,
    RetrieverConfig,
    ScoringName,
    SpanConfig,
)
from s3_retriever.integration import MODES, SCORINGS, check_settings, choice, instance, optional, whole


@dataclass(frozen=True)
class SearchSettings:
    """What a search depends on, besides its question; saved with the retriever.

    Attributes:
        similarity_top_k: Most spans to return; None: all that the budget allows.
        token_budget: Tokens of the host's tokenizer that the spans may have together; never exceeded.
        mode: "hybrid", "s3" or "bm25".
        scoring: "attention" or "paper".
        unit_scores: Scores in [0, 1] between the least and the most dense place searched; otherwise raw
            densities.
        filters: Only documents that match are searched.
        spans: How passages are cut; None: as the engine's config says.
        unique: Return the same passage once, with ``also_in`` in its metadata.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    similarity_top_k: int | None = None
    token_budget: int = 512
    mode: Mode = "hybrid"
    scoring: ScoringName = "attention"
    unit_scores: bool = True
    filters: MetadataFilters | None = None
    spans: SpanConfig | None = None
    unique: bool = True

    def __post_init__(self) -> None:
        check_settings(
            self,
            similarity_top_k=optional(whole(1)),
            token_budget=whole(1),
            mode=choice(MODES),
            scoring=choice(SCORINGS),
            spans=optional(instance(SpanConfig, "a SpanConfig")),
        )
        if self.filters is not None:
            to_filter(self.filters)

    def for_query(self, query: S3QueryBundle) -> SearchSettings:
        """Return the settings with those of a query in their place; its filters are left to the caller.

        Raises:
            InvalidInputError: A value of the query cannot be used.
        """
        own = {name: getattr(query, name) for name in ("similarity_top_k", "token_budget", "spans")}
        return replace(self, **{name: value for name, value in own.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        filters = None if self.filters is None else self.filters.model_dump(mode="json")
        spans = None if self.spans is None else asdict(self.spans)
        return {**vars(self), "filters": filters, "spans": spans}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Read what :meth:`to_json` wrote.

        Raises:
            IndexFormatError: It is something else.
        """
        try:
            filters, spans = values["filters"], values.get("spans")
            read = {
                "filters": None if filters is None else MetadataFilters.model_validate(filters),
                "spans": None if spans is None else SpanConfig(**spans),
            }
            return cls(**{**values, **read})
        except (KeyError, TypeError, InvalidInputError, ValidationError) as error:
            msg = f"the settings of the retriever cannot be read: {error}"
            raise IndexFormatError(msg) from error


@dataclass
class S3QueryBundle(QueryBundle):
    """A question with its own settings; goes wherever LlamaIndex takes a query, engines included.

    Attributes:
        filters: Narrow the retriever's own filters: a document has to pass both.
        similarity_top_k: Instead of the retriever's.
        token_budget: Instead of the retriever's.
        spans: Instead of the retriever's.
    """

    filters: MetadataFilters | None = None
    similarity_top_k: int | None = None
    token_budget: int | None = None
    spans: SpanConfig | None = None


class Options(TypedDict, total=False):
    """The settings of a retriever, as the constructor takes them."""

    similarity_top_k: int | None
    token_budget: int
    mode: Mode
    scoring: ScoringName
    unit_scores: bool
    filters: MetadataFilters | None
    spans: SpanConfig | None
    unique: bool
    transformations: list[TransformComponent] | None
    callback_manager: CallbackManager | None
    objects: list[IndexNode] | None
    object_map: dict[str, Any] | None
    verbose: bool


class BuildOptions(Options, total=False):
    """What every way to index documents takes besides them."""

    host: Any
    artifact: Artifact | str | Path
    config: RetrieverConfig | None
    show_progress: bool
