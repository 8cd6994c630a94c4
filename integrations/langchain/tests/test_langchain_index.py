"""The document index under ``langchain_core.indexing.index``: adds, skips, updates, deletes."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import DocumentIndex, InMemoryRecordManager, aindex, index
from langchain_corpus import CONFIG, DOCUMENTS, QUESTION
from pydantic import ValidationError

from langchain_s3_retriever import S3DocumentIndex, S3Retriever
from s3_retriever import Host
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidDocumentError, InvalidInputError

Cleanup = Literal["incremental", "full", "scoped_full"]


@pytest.fixture
def store(tiny_host: Host, tiny_artifact: Artifact) -> S3DocumentIndex:
    return S3DocumentIndex.from_documents([], host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.fixture
def records() -> InMemoryRecordManager:
    manager = InMemoryRecordManager("test")
    manager.create_schema()
    return manager


def pages(*texts: str, source: str = "a") -> list[Document]:
    return [Document(text, metadata={"source": source, "page": page}) for page, text in enumerate(texts)]


def texts(store: S3DocumentIndex) -> set[str]:
    return {store.core.document(key).text for key in store.core.document_ids}


def counts(added: int = 0, updated: int = 0, skipped: int = 0, deleted: int = 0) -> dict[str, int]:
    return {"num_added": added, "num_updated": updated, "num_skipped": skipped, "num_deleted": deleted}


def test_new_documents_are_added_and_known_ones_skipped(
    store: S3DocumentIndex, records: InMemoryRecordManager
) -> None:
    kept: dict[str, Any] = {"key_encoder": "sha256"}
    assert index(pages("one", "two"), records, store, **kept) == counts(added=2)
    assert index(pages("one", "two", "three"), records, store, **kept) == counts(added=1, skipped=2)
    assert texts(store) == {"one", "two", "three"}
    assert index(pages("one", "new"), records, store, **kept) == counts(added=1, skipped=1)
    assert texts(store) == {"one", "two", "three", "new"}  # without cleanup, nothing goes
    assert index(pages("one"), records, store, force_update=True, **kept) == counts(updated=1)
    assert texts(store) == {"one", "two", "three", "new"}


@pytest.mark.parametrize("cleanup", ["incremental", "full", "scoped_full"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_gone_from_the_source_is_deleted(
    store: S3DocumentIndex, records: InMemoryRecordManager, cleanup: Cleanup, asynchronous: bool
) -> None:
    async def run(documents: list[Document], mode: Cleanup | None = cleanup) -> Any:
        kept: dict[str, Any] = {"cleanup": mode, "source_id_key": "source", "key_encoder": "sha256"}
        if asynchronous:
            return await aindex(documents, records, store, **kept)
        return index(documents, records, store, **kept)

    assert await run(pages("one", "two") + pages("other", source="b")) == counts(added=3)
    assert await run(pages("one", "new") + pages("other", source="b")) == counts(1, 0, 2, 1)
    assert texts(store) == {"one", "new", "other"}
    gone = 2 if cleanup == "full" else 1  # only "full" looks at sources that were not given
    assert await run(pages("one")) == counts(skipped=1, deleted=gone)
    assert texts(store) == ({"one"} if cleanup == "full" else {"one", "other"})
    assert await run([], "full") == counts(deleted=3 - gone)
    assert not len(store.core)
    assert store.invoke(QUESTION) == []


def test_it_retrieves_like_the_retriever(store: S3DocumentIndex, shared: S3Retriever) -> None:
    assert isinstance(store, DocumentIndex)
    assert store.invoke(QUESTION) == []
    store.upsert(DOCUMENTS)
    assert store.invoke(QUESTION) == shared.invoke(QUESTION)
    with pytest.raises(ValidationError, match="kk"):
        S3DocumentIndex(core=store.core, kk=2)  # type: ignore[call-arg]
    limited = S3DocumentIndex(core=store.core, k=2, filter={"lang": "en"})
    assert limited.invoke(QUESTION) == shared.invoke(QUESTION, k=2, filter={"lang": "en"})


def test_documents_come_back_as_they_were_given(store: S3DocumentIndex) -> None:
    store.upsert(DOCUMENTS)
    ids = [document.id or "" for document in DOCUMENTS]
    assert store.get([*reversed(ids), ids[0], "missing"]) == DOCUMENTS[::-1]
    store.get(ids)[0].metadata["tags"].append("changed")
    assert store.get(ids) == DOCUMENTS


def test_of_documents_with_one_id_the_last_counts(store: S3DocumentIndex) -> None:
    response = store.upsert([Document("a", id="1"), Document("b", id="2"), Document("c", id="1")])
    assert response == {"succeeded": ["1", "2", "1"], "failed": []}
    assert texts(store) == {"c", "b"}
    first, second = store.upsert([Document("x", metadata={"page": 1}), Document("x", metadata={"page": 2})])[
        "succeeded"
    ]
    assert first != second
    assert store.upsert([Document("x", metadata={"page": 1})])["succeeded"] == [
        first
    ]  # the same in every run


def test_what_cannot_be_done_changes_nothing(store: S3DocumentIndex) -> None:
    store.upsert(DOCUMENTS)
    with pytest.raises(InvalidDocumentError):
        store.upsert([Document("a", id="a"), "b"])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="list of ids"):
        store.delete("fyr")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="list of ids"):
        store.get("fyr")
    for call in (store.upsert, store.delete, store.get):
        with pytest.raises(InvalidInputError, match="no argument 'soon'"):
            call([], soon=True)  # type: ignore[operator]
    assert texts(store) == {document.page_content for document in DOCUMENTS}
