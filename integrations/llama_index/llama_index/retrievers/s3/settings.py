"""How a retriever searches: its settings, and what one query may say differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import IndexNode, QueryBundle, TransformComponent
from llama_index.core.vector_stores.types import MetadataFilters
from pydantic import ValidationError
from typing_extensions import TypedDict

from llama_index.retrievers.s3.filters import to_filter
from s3_retriever.checks import check_choice, check_positive
from s3_retriever.errors import IndexFormatError, InvalidInputError
from s3_retriever.retriever import MODES, SCORINGS


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

    Raises:
        InvalidInputError: A value cannot be used.
    """

    similarity_top_k: int | None = None
    token_budget: int = 512
    mode: str = "hybrid"
    scoring: str = "attention"
    unit_scores: bool = True
    filters: MetadataFilters | None = None

    def __post_init__(self) -> None:
        if self.similarity_top_k is not None:
            check_positive("similarity_top_k", self.similarity_top_k)
        check_positive("token_budget", self.token_budget)
        check_choice("mode", self.mode, MODES)
        check_choice("scoring", self.scoring, SCORINGS)
        if self.filters is not None:
            to_filter(self.filters)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        filters = None if self.filters is None else self.filters.model_dump(mode="json")
        return {**vars(self), "filters": filters}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Read what :meth:`to_json` wrote.

        Raises:
            IndexFormatError: It is something else.
        """
        try:
            filters = values["filters"]
            read = None if filters is None else MetadataFilters.model_validate(filters)
            return cls(**{**values, "filters": read})
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
    """

    filters: MetadataFilters | None = None
    similarity_top_k: int | None = None
    token_budget: int | None = None


class Options(TypedDict, total=False):
    """The keyword arguments that every way to make a retriever takes, besides the documents and the host."""

    similarity_top_k: int | None
    token_budget: int
    mode: str
    scoring: str
    unit_scores: bool
    filters: MetadataFilters | None
    transformations: list[TransformComponent] | None
    callback_manager: CallbackManager | None
    objects: list[IndexNode] | None
    object_map: dict[str, Any] | None
    verbose: bool
