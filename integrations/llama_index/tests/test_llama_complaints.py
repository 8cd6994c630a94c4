"""What users complain about in other lexical retrievers for LlamaIndex; each test is one complaint."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_corpus import QUESTION, TEXTS, Make, make_documents
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import Document, QueryBundle, TextNode
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from llama_index.retrievers.s3 import HostLLM, IndexedNodePostprocessor, S3QueryBundle, S3Retriever
from s3_retriever import Host
from s3_retriever.errors import (
    DuplicateDocumentError,
    InvalidDocumentError,
    InvalidInputError,
    UnknownDocumentError,
)

LONG = Document(id_="long", text=" ".join(f"Sentence {i} tells of the number {i * i}." for i in range(200)))
BREAD = MetadataFilters(filters=[MetadataFilter(key="topic", value="bread")])


def test_settings_are_lost_when_persisted(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    make(similarity_top_k=7, mode="bm25", filters=BREAD).persist(tmp_path)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert (loaded.similarity_top_k, loaded.mode, loaded.filters) == (7, "bm25", BREAD)


def test_documents_cannot_be_added_later(make: Make) -> None:
    retriever = make()
    retriever.insert(Document(id_="new", text="The lighthouse keeper stores the oil in the attic."))
    assert "new" in {r.node.ref_doc_id for r in retriever.retrieve(QUESTION)}


def test_documents_cannot_be_deleted(make: Make) -> None:
    retriever = make(token_budget=5000)
    retriever.delete_ref_doc("harbour")
    assert "harbour" not in {r.node.ref_doc_id for r in retriever.retrieve(QUESTION)}
    with pytest.raises(UnknownDocumentError, match="harbour"):
        retriever.delete_ref_doc("harbour")
    retriever.delete_ref_doc("harbour", raise_error=False)


def test_the_index_is_a_stale_snapshot_of_the_documents(make: Make) -> None:
    retriever, documents = make(token_budget=5000), make_documents()
    documents[0].set_content("Nothing is left of the harbour.")
    retriever.refresh_ref_docs(documents)
    texts = [r.text for r in retriever.retrieve(QUESTION) if r.node.ref_doc_id == "harbour"]
    assert texts == ["Nothing is left of the harbour."]


def test_filters_are_applied_after_the_top_k(make: Make) -> None:
    retriever = make(similarity_top_k=1)
    for topic in ("sea", "bread", "mixed"):
        filters = MetadataFilters(filters=[MetadataFilter(key="topic", value=topic)])
        results = retriever.retrieve(S3QueryBundle(QUESTION, filters=filters))
        assert [result.node.metadata["topic"] for result in results] == [topic]


def test_filtered_nodes_come_back_with_score_zero(make: Make) -> None:
    results = make(filters=BREAD, similarity_top_k=50, token_budget=5000).retrieve(QUESTION)
    assert {result.node.ref_doc_id for result in results} == {"bakery"}


def test_filters_that_match_nothing_raise(make: Make) -> None:
    nothing = MetadataFilters(filters=[MetadataFilter(key="topic", value="none")])
    assert make(filters=nothing).retrieve(QUESTION) == []


def test_cjk_text_is_not_tokenised(make: Make) -> None:
    results = make(mode="bm25").retrieve("灯台守はどこですか")
    assert results[0].node.ref_doc_id == "cjk"


@pytest.mark.long
def test_async_retrieval_blocks_the_event_loop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = make()
    expected, real, threads = retriever.retrieve(QUESTION), retriever.engine.retrieve, set()

    def noting(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.current_thread())
        return real(*args, **kwargs)

    monkeypatch.setattr(retriever.engine, "retrieve", noting)

    async def several() -> list[Any]:
        return await asyncio.gather(*(retriever.aretrieve(QUESTION) for _ in range(8)))

    assert asyncio.run(several()) == [expected] * 8
    assert threads
    assert threading.main_thread() not in threads


def test_async_results_differ_from_sync_ones(make: Make) -> None:
    retriever = make()
    assert asyncio.run(retriever.aretrieve(QUESTION)) == retriever.retrieve(QUESTION)


def test_an_empty_corpus_crashes(make: Make) -> None:
    for nodes in ([], [Document(id_="a", text="")], [TextNode(id_="a", text=" \n")]):
        retriever = make(nodes)
        assert retriever.retrieve(QUESTION) == []
        retriever.insert(Document(id_="rain", text=TEXTS["rain"]))
        assert retriever.retrieve(QUESTION)


def test_top_k_larger_than_the_corpus_crashes(make: Make) -> None:
    retriever = make(similarity_top_k=10_000, token_budget=10_000)
    assert 0 < len(retriever.retrieve(QUESTION)) < 10_000
    assert retriever.similarity_top_k == 10_000  # not changed behind the user's back


def test_scores_are_missing(make: Make) -> None:
    results = make().retrieve(QUESTION)
    scores = [result.get_score(raise_error=True) for result in results]
    assert scores == sorted(scores, reverse=True)


def test_scores_are_unbounded_so_cutoffs_are_useless(make: Make) -> None:
    retriever = make(token_budget=5000)
    for question in (QUESTION, "bread", "油"):
        results = retriever.retrieve(question)
        assert all(0 <= result.get_score() <= 1 for result in results)
        assert SimilarityPostprocessor(similarity_cutoff=0.999).postprocess_nodes(results)


def test_two_documents_with_one_id_are_mixed_up(make: Make) -> None:
    with pytest.raises(DuplicateDocumentError, match="'a'"):
        make([Document(id_="a", text="x"), Document(id_="a", text="y")])


@pytest.mark.long
def test_two_results_have_one_id(make: Make) -> None:
    """Spans of one document must not share its id: LlamaIndex drops results that do."""
    found = [result.node_id for result in make([LONG], token_budget=400).retrieve(QUESTION)]
    assert len(found) == len(set(found)) > 1


@pytest.mark.long
def test_ids_change_between_runs(make: Make) -> None:
    steps = [SentenceSplitter(chunk_size=24, chunk_overlap=0, include_metadata=False)]
    first, second = make(transformations=steps), make(transformations=steps)
    assert first.engine.document_ids == second.engine.document_ids
    assert first.retrieve(QUESTION) == second.retrieve(QUESTION)


def test_ids_that_the_user_chose_are_changed(make: Make) -> None:
    nodes = [TextNode(text=text) for text in TEXTS.values()]  # random, but known to whoever made them
    assert make(nodes).engine.document_ids == tuple(node.node_id for node in nodes)


def test_metadata_is_shared_between_results(make: Make) -> None:
    retriever, documents = make(), make_documents()
    before = copy.deepcopy(retriever.retrieve(QUESTION))
    for result in retriever.retrieve(QUESTION):
        result.node.metadata.clear()
        result.node.relationships.clear()
        result.node.excluded_llm_metadata_keys.append("topic")
        result.score = -1.0
        assert result.node.source_node is None
    assert retriever.retrieve(QUESTION) == before
    assert [document.metadata for document in documents] == [d.metadata for d in make_documents()]


def test_nested_metadata_is_shared_with_the_index(make: Make) -> None:
    retriever = make()
    harbour = next(r for r in retriever.retrieve(QUESTION) if r.node.ref_doc_id == "harbour")
    harbour.node.metadata["tags"].append("changed")
    again = next(r for r in retriever.retrieve(QUESTION) if r.node.ref_doc_id == "harbour")
    assert again.node.metadata["tags"] == ["oil", "ship"]


def test_unknown_arguments_are_ignored(make: Make) -> None:
    with pytest.raises(TypeError, match="similarity_topk"):
        make(similarity_topk=3)
    with pytest.raises(TypeError, match="filter"):
        S3QueryBundle(QUESTION, filter=BREAD)  # type: ignore[call-arg]


def test_offsets_are_missing(make: Make) -> None:
    for result in make().retrieve(QUESTION):
        assert isinstance(result.node, TextNode)
        assert result.node.start_char_idx is not None
        assert result.node.end_char_idx is not None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_callbacks_do_not_fire(make: Make, asynchronous: bool) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    retriever = make(callback_manager=CallbackManager([debug]))
    if asynchronous:
        asyncio.run(retriever.aretrieve(QUESTION))
    else:
        retriever.retrieve(QUESTION)
    assert len(debug.get_event_pairs(CBEventType.RETRIEVE)) == 1


def test_the_global_callback_manager_is_ignored(make: Make) -> None:
    from llama_index.core.settings import Settings

    debug = LlamaDebugHandler(print_trace_on_end=False)
    Settings.callback_manager = CallbackManager([debug])
    make().retrieve(QUESTION)
    assert debug.get_event_pairs(CBEventType.RETRIEVE)


def test_results_cannot_be_pickled(make: Make) -> None:
    results = make().retrieve(QUESTION)
    assert pickle.loads(pickle.dumps(results)) == results  # noqa: S301


@pytest.mark.parametrize("copy_it", [copy.deepcopy, pickle.dumps])
def test_copying_fails_without_a_way_out(make: Make, copy_it: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"S3Retriever cannot be pickled or copied.*persist\(\)"):
        copy_it(make())


@pytest.mark.long
@pytest.mark.parametrize("copy_it", [copy.deepcopy, pickle.dumps])
def test_what_holds_a_retriever_or_a_host_is_lost_when_copied(
    make: Make, copy_it: Callable[[Any], Any]
) -> None:
    """LlamaIndex drops what cannot be pickled, from the original too (llama-index-core 0.14.25)."""
    retriever = make()
    results = retriever.retrieve(QUESTION)
    for held in (IndexedNodePostprocessor(retriever), HostLLM(retriever.engine.host)):
        with pytest.raises(InvalidInputError, match="cannot be pickled or copied; threads may share"):
            copy_it(held)
        if isinstance(held, HostLLM):
            assert held.chat([ChatMessage("What burns?")]).message.content
        else:
            assert held.postprocess_nodes(results)


def test_the_retriever_is_no_tool(make: Make) -> None:
    tool = RetrieverTool.from_defaults(make(), name="spans", description="Spans of a small corpus")
    assert tool.metadata.to_openai_tool()["function"]["name"] == "spans"
    assert tool.call(QUESTION).content


def test_a_question_of_unknown_words_crashes(make: Make) -> None:
    assert make(mode="bm25").retrieve("zyzzyva") == []
    assert make().retrieve("zyzzyva")


def test_an_empty_question_is_answered_with_anything(make: Make) -> None:
    bundle: Any
    for bundle in ("", "  ", QueryBundle("\n")):
        with pytest.raises(ValueError, match="question"):
            make().retrieve(bundle)


def test_half_a_character_ends_the_load_of_all_documents(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    half = Document(id_="pdf", text="The symbol \ud835 is half a zeppelin.", metadata={"page": "\udc00"})
    retriever = make([*make_documents(), half], token_budget=5000)
    assert half.text[11] == "\ud835"
    (found,) = [one for one in retriever.retrieve("zeppelin") if one.node.ref_doc_id == "pdf"]
    first, last = found.node.start_char_idx, found.node.end_char_idx
    assert half.text[first:last] == found.text
    assert found.metadata == {**half.metadata, "kind": "prose", "lines": [1, 1]}
    assert retriever.refresh_ref_docs([half]) == [False]
    retriever.persist(tmp_path)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert loaded.refresh_ref_docs([half]) == [False]
    changed = Document(id_="pdf", text="The symbol \ud835 is half a balloon.", metadata=half.metadata)
    assert loaded.refresh_ref_docs([changed]) == [True]


def test_half_a_character_that_a_splitter_cannot_take_is_named(make: Make) -> None:
    half = Document(id_="pdf", text="The symbol \ud835 is half a zeppelin.")
    with pytest.raises(InvalidDocumentError, match=r"^document 'pdf' holds half a character \('\\ud835'\)"):
        make([LONG, half], transformations=[SentenceSplitter(chunk_size=50, chunk_overlap=5)])
