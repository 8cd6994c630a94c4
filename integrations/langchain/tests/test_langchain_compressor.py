"""The compressor: cuts what other retrievers return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_corpus import CONFIG, DOCUMENTS, QUESTION
from pydantic import ValidationError

from langchain_s3_retriever import S3DocumentCompressor, S3Retriever
from s3_retriever import Host
from s3_retriever.errors import InvalidInputError
from s3_retriever.features import Artifact


class Everything(BaseRetriever):
    """Returns the same documents for every question."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.documents


@pytest.fixture(scope="session")
def compressor(tiny_host: Host, tiny_artifact: Artifact) -> S3DocumentCompressor:
    return S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact, config=CONFIG, token_budget=60)


def test_passages_are_those_the_retriever_finds(
    compressor: S3DocumentCompressor, shared: S3Retriever
) -> None:
    assert compressor.compress_documents(DOCUMENTS, QUESTION) == shared.invoke(QUESTION, token_budget=60)
    one = compressor.model_copy(update={"k": 1, "mode": "bm25", "score_key": None})
    without = S3Retriever(core=shared.core, score_key=None)
    expected = without.invoke(QUESTION, token_budget=60, k=1, mode="bm25")
    assert one.compress_documents(DOCUMENTS, QUESTION) == expected
    assert compressor.compress_documents([], QUESTION) == []


async def test_in_a_contextual_compression_retriever(compressor: S3DocumentCompressor) -> None:
    chain = ContextualCompressionRetriever(
        base_compressor=compressor, base_retriever=Everything(documents=DOCUMENTS)
    )
    found = chain.invoke(QUESTION)
    assert found == compressor.compress_documents(DOCUMENTS, QUESTION)
    assert await chain.ainvoke(QUESTION) == found
    count = compressor.host.count_tokens
    assert 0 < sum(count(document.page_content) for document in found) <= 60
    pipeline = DocumentCompressorPipeline(transformers=[compressor])
    assert list(pipeline.compress_documents(DOCUMENTS, QUESTION)) == found


def test_it_takes_whatever_other_retrievers_return(compressor: S3DocumentCompressor) -> None:
    text = DOCUMENTS[0].page_content
    given = [
        Document(text, metadata={"path": Path("a.txt"), "nested": {"list": [1]}}),  # no id, not of JSON
        Document(text, metadata={"path": Path("a.txt"), "nested": {"list": [1]}}),  # the same again
        Document(text[100:], id="x", metadata={"start_index": 100, "score": "of someone else"}),
        Document("", id="x"),
    ]
    found = compressor.model_copy(update={"token_budget": 2000}).compress_documents(given, QUESTION)
    assert len(found) >= 3
    for document in found:
        begin, end = document.metadata["start_index"], document.metadata["end_index"]
        assert text[begin:end] == document.page_content
        assert isinstance(document.metadata["score"], float)
        if document.metadata["doc_id"] != "x":
            assert document.metadata["path"] == Path("a.txt")
            document.metadata["nested"]["list"].append(2)
    assert given[0].metadata["nested"] == {"list": [1]}


def test_wrong_settings_are_refused(tiny_host: Host, tiny_artifact: Artifact) -> None:
    for wrong in ({"budget": 3}, {"token_budget": 0}, {"mode": "dense"}, {"score_key": "doc_id"}):
        with pytest.raises(ValidationError):
            S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="artifact"):
        S3DocumentCompressor(host=tiny_host, artifact="fast")  # belongs to another host
    with pytest.raises(InvalidInputError):
        S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact).compress_documents(DOCUMENTS, " ")
