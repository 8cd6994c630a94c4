"""What users complain about in other retrievers of the framework, one test each."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.tools import create_retriever_tool
from langchain_corpus import DOCUMENTS, QUESTION, Make
from pydantic import ValidationError

from langchain_s3_retriever import S3Retriever
from s3_retriever import Host
from s3_retriever.errors import DuplicateDocumentError, IndexFormatError, InvalidInputError
from s3_retriever.integration import hash_json


@pytest.mark.long
def test_settings_are_lost_on_persistence(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    made = make(k=2, filter={"year": {"$lt": 1940}}, mode="s3", token_budget=99)
    made.save_local(tmp_path)
    loaded = S3Retriever.load_local(tmp_path, host=tiny_host)
    assert (loaded.k, loaded.filter, loaded.mode, loaded.token_budget) == (2, made.filter, "s3", 99)
    assert loaded.invoke(QUESTION) == made.invoke(QUESTION)


@pytest.mark.long
def test_documents_cannot_be_added_or_deleted_later(make: Make) -> None:
    grown = make(DOCUMENTS[:2])
    grown.add_documents(DOCUMENTS[2:])
    assert grown.invoke(QUESTION) == make().invoke(QUESTION)
    grown.delete(["harbour", "bakery"])
    assert grown.invoke(QUESTION, mode="s3") == make(DOCUMENTS[2:]).invoke(QUESTION, mode="s3")


def test_searches_see_a_stale_snapshot(make: Make) -> None:
    retriever = make()
    bound, limited = retriever.bind(mode="bm25"), S3Retriever(core=retriever.core, mode="bm25", k=1)
    assert not bound.invoke("zeppelin")
    retriever.add_documents([Document("A zeppelin passed the lighthouse.", id="z")])
    assert bound.invoke("zeppelin")[0].metadata["doc_id"] == "z"
    assert limited.invoke("zeppelin")[0].metadata["doc_id"] == "z"
    retriever.update_documents([Document("A balloon passed.", id="z")])
    assert not bound.invoke("zeppelin")


def test_filters_are_applied_after_the_best_k_were_taken(shared: S3Retriever) -> None:
    best = shared.invoke(QUESTION, k=1)[0].metadata["doc_id"]
    for document in DOCUMENTS:
        if document.id != best:
            (found,) = shared.invoke(QUESTION, k=1, filter={"source": document.metadata["source"]})
            assert found.metadata["doc_id"] == document.id


def test_filtered_documents_come_back_with_a_score_of_zero(shared: S3Retriever) -> None:
    found = shared.invoke(QUESTION, filter={"lang": "no"}, k=100, token_budget=5000)
    assert {document.metadata["doc_id"] for document in found} == {"fyr"}
    assert shared.invoke(QUESTION, filter={"lang": "xx"}) == []


def test_text_without_spaces_is_not_tokenised(shared: S3Retriever) -> None:
    found = shared.invoke("灯台守は何を保管しますか", mode="bm25")
    assert [document.metadata["doc_id"] for document in found] == ["ugly"]


async def test_the_event_loop_is_blocked(shared: S3Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    retrieve, ticked = shared.core.retrieve, threading.Event()

    def after_a_tick(*args: Any, **options: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()  # there, it would wait for itself
        ticked.wait()
        return retrieve(*args, **options)

    monkeypatch.setattr(shared.core, "retrieve", after_a_tick)
    searching = asyncio.create_task(shared.ainvoke(QUESTION))
    await asyncio.sleep(0)
    ticked.set()
    assert await searching


async def test_an_empty_corpus_crashes(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    empty = make([])
    assert empty.invoke(QUESTION) == await empty.ainvoke(QUESTION) == []
    assert make([Document("", id="blank")]).invoke(QUESTION) == []
    empty.save_local(tmp_path)
    loaded = S3Retriever.load_local(tmp_path, host=tiny_host)
    assert loaded.invoke(QUESTION, filter={"a": 1}) == []
    loaded.add_texts(["The keeper stores oil."])
    loaded.delete(list(loaded.core.document_ids))
    assert loaded.invoke(QUESTION) == []


def test_there_are_no_scores(shared: S3Retriever) -> None:
    found = shared.invoke(QUESTION)
    spans = shared.core.retrieve(QUESTION, unit_scores=True)
    assert [document.metadata["score"] for document in found] == [span.score for span in spans]


def test_k_above_the_number_of_documents_fails(shared: S3Retriever, make: Make) -> None:
    assert shared.invoke(QUESTION, k=10**9) == shared.invoke(QUESTION)
    assert len(make([Document("One short text.")]).invoke(QUESTION, k=5)) == 1


def test_duplicate_ids_and_texts_go_wrong_silently(make: Make) -> None:
    with pytest.raises(DuplicateDocumentError, match="'a'"):
        make([Document("one", id="a"), Document("two", id="a")])
    page = Document("This page is intentionally left blank.", metadata={"page": 1})
    other = Document("This page is intentionally left blank.", metadata={"page": 2})
    retriever = make([page, other, page])  # the same text elsewhere is kept, an exact copy is not
    assert len(retriever.core) == 2
    first, second = retriever.add_documents([page, other])
    assert [first, second] == list(retriever.core.document_ids)
    found = retriever.invoke("blank page", unique=False)
    assert len({document.id for document in found}) == len(found) == 2


def test_metadata_is_shared_between_results_and_with_the_caller(make: Make) -> None:
    given = Document("The keeper stores oil. " * 40, id="a", metadata={"tags": ["sea"]})
    retriever = make([given])
    before = copy.deepcopy(retriever.invoke(QUESTION, token_budget=60))
    given.metadata["tags"].append("changed by the caller")
    given.metadata["new"] = True
    for document in retriever.invoke(QUESTION, token_budget=60):
        document.metadata["tags"].append("changed by who asked")
        document.metadata["score"] = 0
    assert retriever.invoke(QUESTION, token_budget=60) == before


def test_unknown_arguments_are_ignored(shared: S3Retriever, make: Make) -> None:
    with pytest.raises(ValidationError, match="top_k"):
        S3Retriever(core=shared.core, top_k=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="search_kwargs"):
        make(search_kwargs={"k": 3})
    with pytest.raises(InvalidInputError, match=r"unknown argument 'top_k'; a call takes k, token_budget"):
        shared.invoke(QUESTION, top_k=3)


def test_ids_change_between_runs(make: Make) -> None:
    retriever = make([Document("A keeper stores oil.", metadata={"b": 1, "a": [2]}), Document("Bread.")])
    assert list(retriever.core.document_ids) == ["4d011db1ca10fad1", "7f1d167554e38793"]
    other = make([Document("Bread."), Document("A keeper stores oil.", metadata={"a": [2], "b": 1})])
    assert set(other.core.document_ids) == set(retriever.core.document_ids)
    for found in (retriever.invoke(QUESTION), other.invoke(QUESTION)):
        assert all(str(document.id).startswith(document.metadata["doc_id"]) for document in found)


def test_nothing_tells_where_in_the_document_a_result_is(shared: S3Retriever) -> None:
    texts = {document.id: document.page_content for document in DOCUMENTS}
    for found in shared.invoke(QUESTION):
        begin, end = found.metadata["start_index"], found.metadata["end_index"]
        assert texts[found.metadata["doc_id"]][begin:end] == found.page_content


@pytest.mark.long
async def test_asynchronous_calls_differ(shared: S3Retriever) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"k": 1},
        {"filter": {"lang": "en"}},
        {"token_budget": 30, "mode": "s3"},
    ]
    for option in options:
        assert await shared.ainvoke(QUESTION, **option) == shared.invoke(QUESTION, **option)
    with pytest.raises(InvalidInputError):
        await shared.ainvoke(QUESTION, top_k=3)


async def test_callbacks_are_not_fired(shared: S3Retriever) -> None:
    heard: list[str] = []

    class Listener(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
            heard.append(query)

        def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
            heard.append(str(len(documents)))

    shared.invoke(QUESTION, {"callbacks": [Listener()]}, k=1)
    await shared.ainvoke(QUESTION, {"callbacks": [Listener()]}, k=2)
    assert heard == [QUESTION, "1", QUESTION, "2"]


@pytest.mark.long
def test_pickling_loses_state_or_fails_without_a_way_out(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    retriever = make(k=2, metadata={"team": "search"})
    with pytest.raises(InvalidInputError, match="save_local"):
        pickle.dumps(retriever)
    for copy_it in (copy.deepcopy, lambda one: one.model_copy(deep=True)):
        with pytest.raises(InvalidInputError, match=r"S3Retriever cannot be .* copied; .*model_copy\(\)"):
            copy_it(retriever)
    assert copy.copy(retriever).invoke(QUESTION) == retriever.invoke(QUESTION)
    assert len(retriever.model_copy(update={"k": 1}).invoke(QUESTION)) == 1
    retriever.save_local(tmp_path)
    assert S3Retriever.load_local(tmp_path, host=tiny_host).model_dump() == retriever.model_dump()


@pytest.mark.host
def test_scores_have_no_bounds_so_no_threshold_works(host: Host) -> None:
    documents = [Document(document.page_content, id=document.id) for document in DOCUMENTS[:2]]
    retriever = S3Retriever.from_documents(documents, host=host)
    for question in (QUESTION, "When is bread baked?", "keeper"):
        found = retriever.invoke(question)
        assert all(0 <= document.metadata["score"] <= 1 for document in found)
    best = [one for one in retriever.invoke(QUESTION) if one.metadata["score"] >= 0.9]
    assert {one.metadata["doc_id"] for one in best} == {"harbour"}
    assert "cellar" in best[0].page_content
    assert max(one.metadata["score"] for one in retriever.invoke(QUESTION, unit_scores=False)) > 1


def test_it_is_no_tool(shared: S3Retriever) -> None:
    tool = create_retriever_tool(shared, "lighthouse", "About lighthouses.")
    assert tool.invoke({"query": QUESTION}).startswith(shared.invoke(QUESTION)[0].page_content)
    assert list(tool.args) == ["query"]


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, "[]", '{"version": 1}', '{"version": 1, "settings": {"filter": 5, "spans": null}}'],
    ids=["deep", "list", "empty", "filter"],
)
def test_settings_on_disk_of_any_form_are_an_error_that_names_the_file(
    shared: S3Retriever, tiny_host: Host, tmp_path: Path, text: str
) -> None:
    shared.save_local(tmp_path)
    (tmp_path / "langchain.json").write_text(text, encoding="utf-8")
    with pytest.raises(IndexFormatError, match=r"langchain\.json"):
        S3Retriever.load_local(tmp_path, host=tiny_host)


@pytest.mark.parametrize(
    ("name", "value"), [("token_budget", "many"), ("tags", 5), ("mode", None), ("own", 1)]
)
def test_a_setting_on_disk_of_a_wrong_type_is_an_error_that_names_the_file(
    shared: S3Retriever, tiny_host: Host, tmp_path: Path, name: str, value: object
) -> None:
    shared.save_local(tmp_path)
    path = tmp_path / "langchain.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["settings"][name] = value
    stored["sha256"] = hash_json(stored["settings"])
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(IndexFormatError, match=rf"langchain\.json holds settings .*{name}"):
        S3Retriever.load_local(tmp_path, host=tiny_host)


def test_a_filter_that_holds_itself_is_one_error(shared: S3Retriever) -> None:
    where: dict[str, list[object]] = {"$and": []}
    where["$and"].append(where)
    with pytest.raises(InvalidInputError, match="nests too deeply, or holds itself"):
        shared.invoke(QUESTION, filter=where)
