"""What every retriever of this package shares: settings, search, construction and persistence."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig, run_in_executor
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, field_validator
from typing_extensions import Self, TypedDict, Unpack

from langchain_s3_retriever import storage
from langchain_s3_retriever.documents import RESERVED, as_result, from_texts, to_core
from langchain_s3_retriever.filters import as_where
from s3_retriever import (
    AllOf,
    Client,
    Filter,
    Host,
    InvalidInputError,
    Mode,
    RetrieverConfig,
    ScoringName,
    Span,
    SpanConfig,
)
from s3_retriever import Document as CoreDocument
from s3_retriever import S3Retriever as CoreRetriever
from s3_retriever.integration import PATH, Uncopyable, check


class SearchOptions(TypedDict, total=False):
    """Settings that a single call may replace, or, of ``filter``, narrow; None is the retriever's own."""

    k: int | None
    token_budget: int | None
    filter: Filter | Mapping[str, Any] | None
    mode: Mode | None
    scoring: ScoringName | None
    unit_scores: bool | None
    spans: SpanConfig | None
    unique: bool | None


class SpanSettings(BaseModel):
    """How passages are chosen and shown.

    Attributes:
        k: Passages to return at most; None: all that the budget allows.
        token_budget: Tokens of the host's tokenizer that the passages may have together; never exceeded.
        mode: "hybrid" (S3 and BM25), "s3" or "bm25".
        scoring: "attention", or "paper" for the published scoring.
        unit_scores: Scores in [0, 1], 0 the least and 1 the greatest density of what was searched; False:
            the densities themselves, which have no bounds.
        spans: How passages are cut; None: as the core's config says.
        unique: Return the same passage once, with ``also_in`` in its metadata.
        score_key: Metadata key of a result's score; None leaves the score out, for whatever takes results
            of several queries for the same only if their metadata is equal (``MultiQueryRetriever``).
    """

    k: int | None = Field(default=None, ge=1)
    token_budget: int = Field(default=512, ge=1)
    mode: Mode = "hybrid"
    scoring: ScoringName = "attention"
    unit_scores: bool = True
    spans: InstanceOf[SpanConfig] | None = None
    unique: bool = True
    score_key: str | None = "score"

    @field_validator("score_key")
    @classmethod
    def _check_score_key(cls, value: str | None) -> str | None:
        if value is not None and (not value or value in RESERVED):
            msg = f"score_key must be a key other than {', '.join(RESERVED)}, or None, not {value!r}"
            raise InvalidInputError(msg)
        return value


_Answers = Mapping[tuple[int, str], list[Span]]
"""Spans by retriever and query."""

_ANSWERED: ContextVar[_Answers] = ContextVar("answered", default=MappingProxyType({}))


@contextmanager
def _answered(answers: _Answers) -> Iterator[None]:
    """Let the runs of a batch, which LangChain starts one by one, find what was searched for together."""
    token = _ANSWERED.set(answers)
    try:
        yield
    finally:
        _ANSWERED.reset(token)


class SpanRetriever(Uncopyable, SpanSettings, BaseRetriever):
    """A LangChain retriever over a core retriever; the base of :class:`S3Retriever` and the index.

    Attributes:
        core: The retriever of ``s3_retriever`` that searches, or a ``Client`` of a server that does.
        filter: Search only documents that match; see :mod:`langchain_s3_retriever.filters`. A call's filter
            narrows it. To lift it: ``retriever.model_copy(update={"filter": None})``.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_assignment=True)
    instead: ClassVar[str] = (
        "threads and model_copy() share its index; for another process use save_local() and load_local()"
    )

    core: CoreRetriever | Client = Field(repr=False, exclude=True)
    filter: Any = None

    @field_validator("filter")
    @classmethod
    def _check_filter(cls, value: Any) -> Filter | None:
        return None if value is None else as_where(value)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        host: Any = None,
        artifact: Any = "fast",
        config: RetrieverConfig | None = None,
        show_progress: bool = False,
        **settings: Any,
    ) -> Self:
        """Scan documents and index them.

        Args:
            documents: Any iterable, consumed lazily, such as ``loader.lazy_load()``. A document without an id
                gets one from its text and metadata; an exact copy of one that is there is not indexed again.
            host: As in ``s3_retriever.S3Retriever.from_documents``: a hub name, a folder, ``(model,
                tokenizer)`` in memory, a ``Host``, or None for the default host.
            artifact: "tiny", "fast" or "best" of the default host, a folder, or an ``Artifact``.
            config: The core's settings.
            show_progress: Show a progress bar.
            **settings: ``k``, ``filter`` and all other settings of the retriever.

        Raises:
            ValidationError: A setting is unknown or has a value that cannot be used; nothing was scanned.
            InvalidDocumentError: An item is no document, or its metadata is not of JSON.
            DuplicateDocumentError: Two documents have one id.
            HostNotFoundError: The host's weights were not found.
            UnsupportedHostError: The model or its tokenizer cannot serve as a host.
            ArtifactError: The artifact does not exist or belongs to another host.
        """
        core = CoreRetriever.from_documents((), host=host, artifact=artifact, config=config)
        made = cls(core=core, **settings)  # first, so that a mistake in a setting does not cost a scan
        made._add(documents, show_progress)
        return made

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        ids: Iterable[str] | None = None,
        **options: Any,
    ) -> Self:
        """Scan texts and index them; iterables are consumed lazily, side by side.

        Args:
            texts: The texts.
            metadatas: As many as there are texts.
            ids: As many as there are texts.
            **options: As in :meth:`from_documents`.

        Raises:
            InvalidInputError: There are more or fewer metadatas or ids than texts, or one of the three is a
                single value.
            Exception: As in :meth:`from_documents`.
        """
        return cls.from_documents(from_texts(texts, metadatas, ids), **options)

    @classmethod
    async def afrom_documents(cls, documents: Iterable[Document], **options: Any) -> Self:
        """Do as :meth:`from_documents` does, in another thread."""
        return await run_in_executor(None, partial(cls.from_documents, documents, **options))

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        ids: Iterable[str] | None = None,
        **options: Any,
    ) -> Self:
        """Do as :meth:`from_texts` does, in another thread."""
        return await run_in_executor(None, partial(cls.from_texts, texts, metadatas, ids, **options))

    @property
    def host(self) -> Host:
        """The language model, for whoever shall answer with it (``ChatS3Host(host=...)``)."""
        return self._local("answer with the model that retrieves").host

    def save_local(self, folder: str | Path) -> None:
        """Write the index and every setting; a process killed meanwhile leaves what was there intact.

        Raises:
            InvalidInputError: The folder is no path, holds another index or something else by the names used
                here, or ``metadata`` is not of JSON.
            IndexBusyError: Somebody else is saving to the folder.
        """
        check("folder", folder, PATH)
        storage.save(Path(folder), self._local("save the index"), self._settings())

    @classmethod
    def load_local(cls, folder: str | Path, *, host: Any = None, **settings: Any) -> Self:
        """Open what :meth:`save_local` wrote.

        Args:
            folder: Where it is.
            host: By default the host the index was made with, by name; else as in :meth:`from_documents`.
            **settings: Settings that shall differ from the saved ones.

        Raises:
            IndexFormatError: The index or its settings are missing, damaged or of another version.
            ArtifactError: The host is not the one the index was made with.
            ValidationError: A setting is unknown or has a value that cannot be used.
            InvalidInputError: The folder is no path.
        """
        check("folder", folder, PATH)
        saved = storage.load_settings(Path(folder))
        core = storage.load_core(Path(folder), host)
        try:
            loaded = cls(core=core, **saved)
        except (TypeError, ValueError, RecursionError) as error:  # ValidationError is a ValueError
            raise storage.damaged(Path(folder), error) from error
        return cls(core=core, **{**saved, **settings}) if settings else loaded

    def _local(self, what: str) -> CoreRetriever:
        """Return the core retriever, where it is in this process.

        Raises:
            InvalidInputError: A server has it.
        """
        if isinstance(self.core, Client):
            msg = f"cannot {what}: {self.core.url} has it; load the index here with load_local()"
            raise InvalidInputError(msg)
        return self.core

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> NoReturn:
        """Refuse a deep copy, as pickling is refused; ``model_copy()`` shares index and model.

        Raises:
            InvalidInputError: Always; it says what to do instead.
        """
        self.__reduce_ex__(4)

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "core"}

    def _add(self, documents: Iterable[Document], show_progress: bool = False) -> list[str]:
        """Index documents; return the ids of all of them, those of exact copies included."""
        ids: list[str] = []
        self.core.add(self._new(documents, ids, self.core), show_progress=show_progress)
        return ids

    def _update(self, documents: Iterable[Document], show_progress: bool = False) -> list[str]:
        """Index documents in the place of those with their ids; return the ids of all of them."""
        ids: list[str] = []
        self.core.update(self._new(documents, ids, ()), show_progress=show_progress)
        return ids

    @staticmethod
    def _new(documents: Iterable[Document], ids: list[str], known: Container[str]) -> Iterator[CoreDocument]:
        """Convert documents and note their ids; leave out exact copies of each other and of known ones.

        Same derived id, same content: skip it. An id chosen by the caller is passed on; the core refuses it
        if taken.
        """
        derived: set[str] = set()
        for given, document in to_core(documents):
            ids.append(document.id)
            if given.id is None:
                if document.id in derived or document.id in known:
                    continue
                derived.add(document.id)
            yield document

    def batch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **options: Any,
    ) -> list[list[Document]]:
        """Return what :meth:`invoke` returns for each query; the queries go through the host together."""
        with _answered(self._search_all(inputs, options)):
            return super().batch(inputs, config, return_exceptions=return_exceptions, **options)

    async def abatch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **options: Any,
    ) -> list[list[Document]]:
        """Do as :meth:`batch` does, in another thread."""
        with _answered(await run_in_executor(None, self._search_all, inputs, options)):
            return await super().abatch(inputs, config, return_exceptions=return_exceptions, **options)

    def _search(self, query: str, options: Mapping[str, Any]) -> list[Document]:
        """Return the results of a query; options that are None are the retriever's own."""
        spans = _ANSWERED.get().get((id(self), query))
        if spans is None:
            spans = self.core.retrieve(query, **self._chosen(options))
        return [as_result(span, span.metadata, self.score_key) for span in spans]

    def _search_all(self, queries: Sequence[str], options: Mapping[str, Any]) -> _Answers:
        """Search for several queries at once; where that fails, each shall fail or not by itself."""
        try:
            found = self.core.retrieve_batch(queries, **self._chosen(options))
        except InvalidInputError:
            return {}
        return {(id(self), query): spans for query, spans in zip(queries, found, strict=True)}

    def _chosen(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the core takes beside the question."""
        unknown = [name for name in options if name not in SearchOptions.__annotations__]
        if unknown:
            names = ", ".join(SearchOptions.__annotations__)
            msg = f"unknown argument {unknown[0]!r}; a call takes {names}"
            raise InvalidInputError(msg)
        chosen = {name: getattr(self, name) for name in SearchOptions.__annotations__}
        chosen.update((name, value) for name, value in options.items() if value is not None)
        chosen["where"] = self._where(options.get("filter"))
        del chosen["filter"]
        chosen["top_k"] = chosen.pop("k")
        return chosen

    def _where(self, given: Filter | Mapping[str, Any] | None) -> Filter | None:
        """Join the retriever's filter and a call's, which so cannot lift what keeps tenants apart."""
        both = [as_where(one) for one in (self.filter, given) if one is not None]
        return AllOf(both) if len(both) == 2 else both[0] if both else None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Unpack[SearchOptions]
    ) -> list[Document]:
        return self._search(query, options)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **options: Unpack[SearchOptions],
    ) -> list[Document]:
        return await run_in_executor(None, self._search, query, options)

    def _get_ls_params(self, **_kwargs: Any) -> LangSmithRetrieverParams:
        return LangSmithRetrieverParams(ls_retriever_name="s3_retriever")
