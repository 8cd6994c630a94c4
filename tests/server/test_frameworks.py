"""Both integrations over a client give what they give over the retriever itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.vector_stores import MetadataFilters

from langchain_s3_retriever import S3DocumentIndex
from langchain_s3_retriever import S3Retriever as LangChainRetriever
from llama_index.retrievers.s3 import S3Retriever as LlamaRetriever
from s3_retriever import Client, Host, InvalidInputError, S3Retriever

QUESTIONS = ["Where does the keeper store the oil?", "When is bread baked?"]


async def test_langchain_asks_a_client(saved: Path, client: Client, tiny_host: Host, tmp_path: Path) -> None:
    local = LangChainRetriever(core=S3Retriever.load(saved, host=tiny_host), k=2, token_budget=90)
    remote = LangChainRetriever(core=client, k=2, token_budget=90)
    assert remote.invoke(QUESTIONS[0]) == local.invoke(QUESTIONS[0])
    assert await remote.ainvoke(QUESTIONS[1]) == local.invoke(QUESTIONS[1])
    narrow = {"year": {"$lt": 2000}}
    assert remote.batch(QUESTIONS, filter=narrow) == local.batch(QUESTIONS, filter=narrow)
    assert remote.add_documents([LangChainDocument("Cats sleep.", id="pier")]) == ["pier"]
    remote.delete(["bakery"])
    assert [one.metadata["doc_id"] for one in remote.invoke("cats", mode="bm25")] == ["pier"]
    index = S3DocumentIndex(core=client)
    index.upsert([LangChainDocument("Dogs sleep.", id="pier", metadata={"n": 1})])
    assert index.get(["pier", "bakery"]) == [LangChainDocument("Dogs sleep.", id="pier", metadata={"n": 1})]
    for wrong in (lambda: remote.save_local(tmp_path / "x"), lambda: remote.host):
        with pytest.raises(InvalidInputError, match=client.url):
            wrong()


async def test_llamaindex_asks_a_client(saved: Path, client: Client, tiny_host: Host, tmp_path: Path) -> None:
    local = LlamaRetriever(S3Retriever.load(saved, host=tiny_host), similarity_top_k=2)
    remote = LlamaRetriever(client, similarity_top_k=2)
    for question in QUESTIONS:
        assert remote.retrieve(question) == local.retrieve(question)
    assert await remote.aretrieve(QUESTIONS[0]) == local.retrieve(QUESTIONS[0])
    old = MetadataFilters.from_dicts([{"key": "year", "value": 2000, "operator": "<"}])
    narrow = LlamaRetriever(client, filters=old)
    assert {one.node.ref_doc_id for one in narrow.retrieve(QUESTIONS[1])} == {"town/harbour.txt"}
    remote.insert(LlamaDocument(id_="pier", text="Cats sleep."))
    assert remote.refresh_ref_docs([LlamaDocument(id_="pier", text="Cats sleep.")]) == [False]
    remote.delete_ref_doc("bakery")
    assert remote.ref_doc_ids == [one for one in client.document_ids if one != "bakery"]
    with pytest.raises(InvalidInputError, match=client.url):
        remote.persist(tmp_path / "x")
