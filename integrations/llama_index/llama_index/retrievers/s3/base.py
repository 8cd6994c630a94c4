"""The retriever: LlamaIndex documents in, nodes that are exact spans of them out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.indices.base import BaseIndex
from llama_index.core.schema import (
    BaseNode,
    IndexNode,
    NodeWithScore,
    QueryBundle,
    TransformComponent,
)
from llama_index.core.storage.docstore.types import BaseDocumentStore
from llama_index.core.vector_stores.types import MetadataFilters
from typing_extensions import Self, Unpack

from llama_index.retrievers.s3 import persistence
from llama_index.retrievers.s3.filters import join
from llama_index.retrievers.s3.living import LivingRetriever
from llama_index.retrievers.s3.nodes import to_node
from llama_index.retrievers.s3.settings import BuildOptions, Options, S3QueryBundle, SearchSettings
from llama_index.retrievers.s3.transformations import STEPS, to_json
from s3_retriever import Artifact, Client, InvalidInputError, Mode, RetrieverConfig, ScoringName, SpanConfig
from s3_retriever import S3Retriever as Engine
from s3_retriever.integration import PATH, check, instance, only_writer, optional, refuse_links


class S3Retriever(LivingRetriever):
    """Retrieves exact spans of documents with the attention of a language model, fused with BM25.

    Make one with :meth:`from_documents`, :meth:`from_defaults` or :meth:`from_persist_dir`. Threads may share
    it. Documents go through the model whole unless ``transformations`` cut them; each node that is indexed is
    searched by its bare text. Every result has an id that stays the same (``"{node id}:{start}-{end}"``),
    offsets in its source, and copies of the relationships, metadata and templates of its node.

    Args:
        engine: The retriever of ``s3_retriever`` that does the work; one made without LlamaIndex will do, or
            a ``Client`` of a server that has it.
        similarity_top_k: Most spans to return; None: all that the budget allows.
        token_budget: Tokens of the host's tokenizer that the spans may have together; never exceeded.
        mode: "hybrid" (S3 and BM25), "s3" or "bm25".
        scoring: "attention", or "paper" for the published scoring taken literally.
        unit_scores: Scores in [0, 1], so that cutoffs work: 0 is the least, 1 the greatest density of what
            was searched. False: raw densities.
        filters: Only documents that match are searched; a :class:`S3QueryBundle` can narrow them further.
        spans: How passages are cut; None: as the engine's config says.
        transformations: What documents go through before they are indexed; none by default.
        callback_manager: By default that of LlamaIndex's ``Settings``.
        objects: Index nodes whose objects results may lead to.
        object_map: Such objects by ``index_id``.
        verbose: The base class's setting: tell which objects are entered.

    Attributes:
        engine: As given. Change documents through this class only.

    Raises:
        InvalidInputError: A setting cannot be used.

    Examples:
        >>> from llama_index.core import Document
        >>> documents = [Document(id_="ferry", text="The ferry leaves at nine.")]
        >>> retriever = S3Retriever.from_documents(documents, similarity_top_k=1)
        >>> [(found.node.ref_doc_id, found.text) for found in retriever.retrieve("When does it leave?")]
        [('ferry', 'The ferry leaves at nine.')]
    """

    def __init__(
        self,
        engine: Engine | Client,
        *,
        similarity_top_k: int | None = None,
        token_budget: int = 512,
        mode: Mode = "hybrid",
        scoring: ScoringName = "attention",
        unit_scores: bool = True,
        filters: MetadataFilters | None = None,
        spans: SpanConfig | None = None,
        unique: bool = True,
        transformations: Sequence[TransformComponent] | None = None,
        callback_manager: CallbackManager | None = None,
        objects: list[IndexNode] | None = None,
        object_map: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.similarity_top_k = similarity_top_k
        self.token_budget = token_budget
        self.mode = mode
        self.scoring = scoring
        self.unit_scores = unit_scores
        self.filters = filters
        self.spans = spans
        self.unique = unique
        self._search()  # refuses what cannot be used now rather than at the first question
        super().__init__(
            engine,
            transformations,
            callback_manager=callback_manager,
            objects=objects,
            object_map=object_map,
            verbose=verbose,
        )

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[BaseNode],
        *,
        host: Any = None,
        artifact: Artifact | str | Path = "fast",
        config: RetrieverConfig | None = None,
        show_progress: bool = False,
        **options: Unpack[Options],
    ) -> Self:
        """Scan documents and index them.

        Args:
            documents: LlamaIndex documents or nodes; any iterable, consumed lazily where there are no
                transformations. It may be empty.
            host: A hub name, a folder, ``(model, tokenizer)`` in memory, a ``Host``, or None for the default.
            artifact: "tiny", "fast" or "best" of the default host, a folder, or an ``Artifact``.
            config: Settings of the engine.
            show_progress: Show progress bars.
            options: As for the constructor.

        Raises:
            InvalidDocumentError: An item is no LlamaIndex document or node.
            DuplicateDocumentError: Two of them have one id.
            InvalidInputError: A setting cannot be used.
            HostNotFoundError: The host's weights were not found.
            ArtifactError: The artifact does not exist or belongs to another host.
        """
        engine = Engine.from_documents((), host=host, artifact=artifact, config=config)
        retriever = cls(engine, **options)
        with retriever.callback_manager.as_trace("index_construction"):
            retriever._add(documents, show_progress=show_progress)
        return retriever

    @classmethod
    def from_defaults(
        cls,
        *,
        nodes: Iterable[BaseNode] | None = None,
        docstore: BaseDocumentStore | None = None,
        index: BaseIndex[Any] | None = None,
        **options: Unpack[BuildOptions],
    ) -> Self:
        """Index the nodes that are given, or all that a document store or an index holds.

        Args:
            nodes: LlamaIndex nodes or documents.
            docstore: A document store.
            index: An index whose document store holds its nodes.
            options: As for :meth:`from_documents`.

        Raises:
            InvalidInputError: Not exactly one of ``nodes``, ``docstore`` and ``index`` is given, one is of
                another type, or the index keeps its nodes elsewhere.
            Exception: As in :meth:`from_documents`.
        """
        check("docstore", docstore, optional(instance(BaseDocumentStore, "a document store")))
        check("index", index, optional(instance(BaseIndex, "an index")))
        if sum(source is not None for source in (nodes, docstore, index)) != 1:
            msg = "give exactly one of nodes=, docstore= and index="
            raise InvalidInputError(msg)
        if index is not None:
            docstore = index.docstore
            if not docstore.docs and getattr(getattr(index, "vector_store", None), "stores_text", False):
                msg = "the index keeps its nodes in its vector store, not in a document store; give nodes="
                raise InvalidInputError(msg)
        if docstore is not None:
            nodes = docstore.docs.values()
        return cls.from_documents(() if nodes is None else nodes, **options)

    def persist(self, persist_dir: str | Path) -> None:
        """Write index and settings; a process killed meanwhile leaves what was there intact.

        Of the settings, ``callback_manager``, ``objects`` and ``object_map`` live in memory only. Functions
        inside transformations are not saved: LlamaIndex does not serialise them.

        Raises:
            InvalidInputError: The folder is no path or a file, or holds an index of another artifact.
            IndexBusyError: Somebody else is saving to the folder.
        """
        check("persist_dir", persist_dir, PATH)
        folder = Path(persist_dir)
        engine = self.engine
        if isinstance(engine, Client):
            msg = f"the index is on the server {engine.url}, which saves it; persist() saves one that is here"
            raise InvalidInputError(msg)
        with self._changing, only_writer(folder):
            refuse_links(folder / persistence.ENGINE)
            steps = [to_json(one) for one in self.transformations]
            with persistence.written(folder, persistence.Saved(self._search(), steps, self._verbose)):
                engine.save(folder / persistence.ENGINE)

    @classmethod
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        host: Any = None,
        transformations: Sequence[TransformComponent] | None = None,
        callback_manager: CallbackManager | None = None,
        objects: list[IndexNode] | None = None,
        object_map: dict[str, Any] | None = None,
    ) -> Self:
        """Open what :meth:`persist` wrote, with all its settings.

        Args:
            persist_dir: The folder.
            host: As in :meth:`from_documents`; by default the host it was made with, by name.
            transformations: Instead of the saved ones; needed where they hold functions, or are embedding
                models. Classes from outside ``llama_index.core`` are found if they have been imported.
            callback_manager: As for the constructor, and so are the others.
            objects: See there.
            object_map: See there.

        Raises:
            IndexFormatError: Something is missing, damaged or of another version.
            ArtifactError: The host is not the one it was made with.
            InvalidInputError: The folder is no path, or a transformation cannot be made again.
        """
        check("persist_dir", persist_dir, PATH)
        check("transformations", transformations, STEPS)
        folder = Path(persist_dir)
        saved = persistence.read(folder)
        steps = saved.remade(transformations)
        return cls(
            Engine.load(folder / persistence.ENGINE, host=host),
            **vars(saved.search),
            transformations=steps,
            callback_manager=callback_manager,
            objects=objects,
            object_map=object_map,
            verbose=saved.verbose,
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        search = self._search()
        filters = [search.filters]
        if isinstance(query_bundle, S3QueryBundle):
            filters.append(query_bundle.filters)
            search = search.for_query(query_bundle)
        found = self.engine.retrieve(
            query_bundle.query_str,
            search.token_budget,
            mode=search.mode,
            scoring=search.scoring,
            unit_scores=search.unit_scores,
            where=join([one for one in filters if one is not None]),
            top_k=search.similarity_top_k,
            spans=search.spans,
            unique=search.unique,
        )
        return [to_node(span) for span in found]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _search(self) -> SearchSettings:
        return SearchSettings(
            similarity_top_k=self.similarity_top_k,
            token_budget=self.token_budget,
            mode=self.mode,
            scoring=self.scoring,
            unit_scores=self.unit_scores,
            filters=self.filters,
            spans=self.spans,
            unique=self.unique,
        )
