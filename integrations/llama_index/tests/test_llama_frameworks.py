"""The retriever among the parts of LlamaIndex that people put around retrievers."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from llama_corpus import QUESTION, TEXTS, Make, make_documents
from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.evaluation import RetrieverEvaluator
from llama_index.core.extractors import BaseExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.base import BaseEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import HierarchicalNodeParser, SentenceSplitter, SentenceWindowNodeParser
from llama_index.core.postprocessor import (
    MetadataReplacementPostProcessor,
    PrevNextNodePostprocessor,
    SimilarityPostprocessor,
)
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    BaseRetriever,
    QueryFusionRetriever,
    RouterRetriever,
)
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode
from llama_index.core.storage import StorageContext
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool, ToolMetadata
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from llama_index.retrievers.s3 import IndexedNodePostprocessor, S3QueryBundle, S3Retriever

SPLITTER = SentenceSplitter(chunk_size=24, chunk_overlap=0, include_metadata=False)
SEA = MetadataFilters(filters=[MetadataFilter(key="topic", value="sea")])


class WordRetriever(BaseRetriever):
    """Finds documents that share a word with the question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        words = set(query_bundle.query_str.split())
        shared = {key: len(words & set(text.split())) for key, text in TEXTS.items()}
        return [
            NodeWithScore(node=TextNode(id_=f"words-{key}", text=TEXTS[key]), score=float(n))
            for key, n in shared.items()
            if n
        ]


class FirstSelector(BaseSelector):
    """Selects the first choices."""

    n: int = 1

    def __init__(self, n: int) -> None:
        self.n = n

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        pass

    def _select(self, choices: Any, query: QueryBundle) -> SelectorResult:
        return SelectorResult(selections=[SingleSelection(index=i, reason="") for i in range(self.n)])

    async def _aselect(self, choices: Any, query: QueryBundle) -> SelectorResult:
        return self._select(choices, query)


def ids(results: list[NodeWithScore]) -> list[str]:
    return [result.node_id for result in results]


def scores(results: list[NodeWithScore]) -> list[tuple[str, float | None]]:
    return [(result.node_id, result.score) for result in results]


class TestQueryEngine:
    def test_answers_with_sources(self, make: Make) -> None:
        retriever = make(similarity_top_k=2)
        engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
        response = engine.query(QUESTION)
        assert ids(response.source_nodes) == ids(retriever.retrieve(QUESTION))
        assert all(result.text in str(response) for result in response.source_nodes)

    def test_asynchronously(self, make: Make) -> None:
        engine = RetrieverQueryEngine.from_args(make(similarity_top_k=2), llm=MockLLM())
        assert ids(asyncio.run(engine.aquery(QUESTION)).source_nodes) == ids(
            engine.retrieve(QueryBundle(QUESTION))
        )

    def test_hands_on_the_filters_of_a_query(self, make: Make) -> None:
        engine = RetrieverQueryEngine.from_args(make(token_budget=5000), llm=MockLLM())
        response = engine.query(S3QueryBundle(QUESTION, filters=SEA))
        assert {one.node.ref_doc_id for one in response.source_nodes} == {"harbour", "rain"}


class TestFusion:
    @pytest.mark.parametrize("mode", list(FUSION_MODES))
    @pytest.mark.parametrize("use_async", [False, True])
    def test_with_a_second_retriever(self, make: Make, mode: FUSION_MODES, use_async: bool) -> None:
        retriever, words = make(token_budget=64), WordRetriever()
        fusion = QueryFusionRetriever(
            [retriever, words],
            llm=MockLLM(),
            mode=mode,
            num_queries=1,
            similarity_top_k=50,
            use_async=use_async,
        )
        expected = set(ids(retriever.retrieve(QUESTION))) | set(ids(words.retrieve(QUESTION)))
        assert set(ids(fusion.retrieve(QUESTION))) == expected
        assert set(ids(asyncio.run(fusion.aretrieve(QUESTION)))) == expected

    @pytest.mark.parametrize("mode", list(FUSION_MODES))
    def test_asked_again_finds_the_same(self, make: Make, mode: FUSION_MODES) -> None:
        # It writes its scores into what it is given (findings/llama-index-fusion-writes-into-results.sh).
        retriever = make(token_budget=64)
        fusion = QueryFusionRetriever(
            [retriever, WordRetriever()],
            llm=MockLLM(),
            mode=mode,
            num_queries=1,
            similarity_top_k=50,
            use_async=False,
        )
        alone, fused = scores(retriever.retrieve(QUESTION)), scores(fusion.retrieve(QUESTION))
        assert scores(fusion.retrieve(QUESTION)) == fused
        assert scores(retriever.retrieve(QUESTION)) == alone

    def test_with_itself_counts_a_span_once(self, make: Make) -> None:
        retriever = make()
        fusion = QueryFusionRetriever(
            [retriever, retriever], llm=MockLLM(), num_queries=1, similarity_top_k=50, use_async=False
        )
        assert sorted(ids(fusion.retrieve(QUESTION))) == sorted(ids(retriever.retrieve(QUESTION)))

    def test_of_several_questions_counts_a_span_once(self, make: Make) -> None:
        fusion = QueryFusionRetriever(
            [make()],
            llm=MockLLM(),
            num_queries=3,
            similarity_top_k=50,
            use_async=False,
            mode=FUSION_MODES.SIMPLE,
        )
        found = ids(fusion.retrieve(QUESTION))
        assert len(found) == len(set(found))


class TestRouter:
    @pytest.mark.parametrize("n", [1, 2])
    def test_routes(self, make: Make, n: int) -> None:
        retriever = make()
        tools = [
            RetrieverTool.from_defaults(retriever, name="spans", description="Spans"),
            RetrieverTool.from_defaults(WordRetriever(), name="words", description="Words"),
        ]
        router = RouterRetriever(FirstSelector(n), tools, llm=MockLLM())
        found = ids(router.retrieve(QUESTION))
        assert set(ids(retriever.retrieve(QUESTION))) <= set(found)
        assert any(one.startswith("words-") for one in found) == (n == 2)
        assert ids(asyncio.run(router.aretrieve(QUESTION))) == found

    def test_is_a_tool(self, make: Make) -> None:
        metadata = ToolMetadata(name="spans", description="Spans of a small corpus")
        tool = RetrieverTool(make(similarity_top_k=2), metadata)
        output = tool.call(QUESTION)
        assert all(result.text in output.content for result in output.raw_output)
        assert asyncio.run(tool.acall(QUESTION)).content == output.content


class TestEvaluator:
    def test_by_spans(self, make: Make) -> None:
        retriever = make()
        evaluator = RetrieverEvaluator.from_metric_names(["mrr", "hit_rate"], retriever=retriever)
        result = evaluator.evaluate(QUESTION, [retriever.retrieve(QUESTION)[1].node_id])
        assert result.metric_vals_dict == {"mrr": 0.5, "hit_rate": 1.0}

    def test_by_the_nodes_of_an_evaluation_set(self, make: Make) -> None:
        chunks = SPLITTER(make_documents())
        retriever = make(chunks)
        best = retriever.retrieve(QUESTION)[0]
        chunk = next(one for one in chunks if best.node_id.startswith(f"{one.node_id}:"))
        evaluator = RetrieverEvaluator.from_metric_names(
            ["mrr"], retriever=retriever, node_postprocessors=[IndexedNodePostprocessor(retriever)]
        )
        result = evaluator.evaluate(QUESTION, [chunk.node_id])
        assert result.metric_vals_dict == {"mrr": 1.0}
        assert result.retrieved_texts[0] == chunk.text


class TestPostprocessors:
    def test_similarity(self, make: Make) -> None:
        results = make().retrieve(QUESTION)
        cutoff = results[1].get_score()
        assert SimilarityPostprocessor(similarity_cutoff=cutoff).postprocess_nodes(results) == results[:2]
        assert len(results) > 2

    def test_metadata_replacement(self, make: Make) -> None:
        parser = SentenceWindowNodeParser.from_defaults(window_size=1)
        retriever = make(transformations=[parser], similarity_top_k=3)
        before = retriever.retrieve("cloud droplets")
        results = MetadataReplacementPostProcessor("window").postprocess_nodes(before)
        assert all(result.text == result.node.metadata["window"] for result in results)
        again = retriever.retrieve("cloud droplets")
        assert any(result.text != old.text for result, old in zip(results, again, strict=True))

    @pytest.mark.parametrize("mode", ["previous", "next", "both"])
    def test_prev_next(self, make: Make, mode: str) -> None:
        chunks = SPLITTER(make_documents())
        docstore = SimpleDocumentStore()
        docstore.add_documents(chunks)
        retriever = make(chunks, similarity_top_k=1)
        span = retriever.retrieve(QUESTION)
        around = PrevNextNodePostprocessor(docstore=docstore, mode=mode).postprocess_nodes(span)
        related = [span[0].node.prev_node] * (mode != "next") + [span[0].node.next_node] * (
            mode != "previous"
        )
        expected = {one.node_id for one in related if one} | {span[0].node_id}
        assert set(ids(around)) == expected

    def test_indexed_nodes(self, make: Make) -> None:
        retriever = make()
        results = retriever.retrieve(QUESTION)
        foreign = NodeWithScore(node=TextNode(id_="a:1-2", text="x"), score=0.1)
        whole = IndexedNodePostprocessor(retriever).postprocess_nodes([*results[::-1], foreign, foreign])
        assert {one.node_id: one.text for one in whole} == {
            **{str(one.node.ref_doc_id): TEXTS[str(one.node.ref_doc_id)] for one in results},
            "a:1-2": "x",
        }
        assert max(one.get_score() for one in whole) == results[0].score

    def test_auto_merging(self, make: Make) -> None:
        parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[64, 16], chunk_overlap=0)
        nodes = parser.get_nodes_from_documents([Document(id_="a", text=TEXTS["harbour"])])
        leaves = [node for node in nodes if not node.child_nodes]
        storage = StorageContext.from_defaults()
        storage.docstore.add_documents(nodes)
        retriever = make(leaves, token_budget=5000, unique=False)
        merging = AutoMergingRetriever(retriever, storage, simple_ratio_thresh=0.4)
        merged = merging.retrieve(QUESTION)
        parents = {node.node_id for node in nodes if node.child_nodes}
        assert merged
        assert set(ids(merged)) <= parents


class Chapter(BaseExtractor):
    """Numbers nodes."""

    async def aextract(self, nodes: Any) -> list[dict[str, Any]]:
        return [{"chapter": i} for i, _ in enumerate(nodes)]


class TestIngestionPipeline:
    def test_then_indexing(self, make: Make) -> None:
        pipeline = IngestionPipeline(transformations=[SPLITTER, Chapter()])
        nodes = pipeline.run(documents=make_documents())
        retriever = make(nodes)
        assert retriever.engine.document_ids == tuple(node.node_id for node in nodes)
        assert retriever.ref_doc_ids == list(TEXTS)
        assert all("chapter" in result.node.metadata for result in retriever.retrieve(QUESTION))
        retriever.delete_ref_doc("rain")
        assert retriever.ref_doc_ids == ["harbour", "bakery", "cjk"]

    @pytest.mark.long
    def test_gives_what_transformations_give(self, make: Make) -> None:
        steps = [SPLITTER, Chapter()]
        nodes = IngestionPipeline(transformations=steps).run(documents=make_documents())
        # Copies are named by ids, which the pipeline makes otherwise.
        from_pipeline = make(nodes, unique=False).retrieve(QUESTION)
        own = make(transformations=steps, unique=False).retrieve(QUESTION)
        assert [(r.text, r.score, r.metadata) for r in own] == [
            (r.text, r.score, r.metadata) for r in from_pipeline
        ]


class TestObservation:
    def test_callbacks(self, make: Make) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        retriever = make(callback_manager=CallbackManager([debug]))
        results = retriever.retrieve(QUESTION)
        asyncio.run(retriever.aretrieve(QUESTION))
        pairs = debug.get_event_pairs(CBEventType.RETRIEVE)
        assert len(pairs) == 2
        start, end = pairs[0]
        assert start.payload["query_str"] == QUESTION
        assert ids(end.payload["nodes"]) == ids(results)

    def test_traces_of_changes(self, make: Make) -> None:
        traces: list[str] = []

        class Handler(LlamaDebugHandler):
            def start_trace(self, trace_id: str | None = None) -> None:
                traces.append(str(trace_id))

        def change() -> None:
            retriever = make(callback_manager=CallbackManager([Handler(print_trace_on_end=False)]))
            retriever.insert(Document(id_="new", text="x"))
            retriever.update_ref_doc(Document(id_="new", text="y"))
            retriever.refresh_ref_docs(make_documents())
            retriever.delete_ref_doc("new")

        # An empty context: where an earlier trace was left open, LlamaIndex starts no new one.
        contextvars.Context().run(change)
        assert traces == [
            "index_construction",
            "insert",
            "update_ref_doc",
            "refresh_ref_docs",
            "delete_ref_doc",
        ]

    def test_instrumentation(self, make: Make) -> None:
        events: list[BaseEvent] = []

        class Handler(BaseEventHandler):
            def handle(self, event: BaseEvent, **_: Any) -> None:
                events.append(event)

        dispatcher = get_dispatcher()
        handlers = dispatcher.event_handlers
        handler = Handler()
        handlers.append(handler)
        try:
            bundle = S3QueryBundle(QUESTION, filters=SEA)
            results = make().retrieve(bundle)
        finally:
            handlers.remove(handler)
        start, end = (e for e in events if isinstance(e, RetrievalStartEvent | RetrievalEndEvent))
        assert isinstance(start, RetrievalStartEvent)
        assert start.str_or_query_bundle == bundle
        assert isinstance(end, RetrievalEndEvent)
        assert ids(end.nodes) == ids(results)
        assert end.model_dump()["nodes"]


class TestAsync:
    def test_gives_what_the_synchronous_call_gives(self, make: Make) -> None:
        retriever = make()

        async def many() -> list[list[NodeWithScore]]:
            return await asyncio.gather(*(retriever.aretrieve(QUESTION) for _ in range(4)))

        assert asyncio.run(many()) == [retriever.retrieve(QUESTION)] * 4

    def test_the_event_loop_ticks_while_it_searches(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        retriever = make()
        real, ticked = retriever.engine.retrieve, threading.Event()

        def after_a_tick(*args: Any, **kwargs: Any) -> Any:
            assert (
                threading.current_thread() is not threading.main_thread()
            )  # there, it would wait for itself
            ticked.wait()
            return real(*args, **kwargs)

        monkeypatch.setattr(retriever.engine, "retrieve", after_a_tick)

        async def search() -> list[NodeWithScore]:
            searching = asyncio.create_task(retriever.aretrieve(QUESTION))
            await asyncio.sleep(0)
            ticked.set()
            return await searching

        assert asyncio.run(search())

    def test_changes(self, make: Make) -> None:
        async def change(retriever: S3Retriever) -> None:
            documents = make_documents()
            await retriever.ainsert(documents[0])
            await retriever.ainsert_nodes(documents[1:2])
            await retriever.aupdate_ref_doc(Document(id_="bakery", text="Bread."))
            assert await retriever.arefresh_ref_docs(documents) == [False, True, True, True]
            await retriever.adelete_ref_doc("harbour")
            await retriever.adelete_nodes(["cjk"])
            await retriever.adelete_ref_doc("harbour", raise_error=False)

        retriever = make([])
        asyncio.run(change(retriever))
        assert set(retriever.ref_doc_ids) == {"bakery", "rain"}
