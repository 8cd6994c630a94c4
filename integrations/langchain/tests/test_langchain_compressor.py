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
from s3_retriever import Host, SpanConfig
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidDocumentError, InvalidInputError


class Everything(BaseRetriever):
    """Returns the same documents for every question."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.documents


@pytest.fixture(scope="session")
def compressor(tiny_host: Host, tiny_artifact: Artifact) -> S3DocumentCompressor:
    return S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact, config=CONFIG, token_budget=60)


@pytest.mark.long
def test_passages_are_those_the_retriever_finds(
    compressor: S3DocumentCompressor, shared: S3Retriever
) -> None:
    assert compressor.compress_documents(DOCUMENTS, QUESTION) == shared.invoke(QUESTION, token_budget=60)
    one = compressor.model_copy(update={"k": 1, "mode": "bm25", "score_key": None})
    without = S3Retriever(core=shared.core, score_key=None)
    expected = without.invoke(QUESTION, token_budget=60, k=1, mode="bm25")
    assert one.compress_documents(DOCUMENTS, QUESTION) == expected
    assert compressor.compress_documents([], QUESTION) == []
    spans = SpanConfig(context=3, slack=0)
    cut = compressor.model_copy(update={"spans": spans}).compress_documents(DOCUMENTS, QUESTION)
    assert cut == shared.invoke(QUESTION, token_budget=60, spans=spans)


@pytest.mark.long
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
    found = compressor.model_copy(update={"token_budget": 2000, "unique": False}).compress_documents(
        given, QUESTION
    )
    assert len(found) >= 3
    for document in found:
        place = document.metadata["s3_retriever"]
        assert text[place["start_index"] : place["end_index"]] == document.page_content
        assert isinstance(place["score"], float)
        assert document.metadata["score"] == ("of someone else" if place["doc_id"] == "x" else place["score"])
        if document.metadata["doc_id"] != "x":
            assert document.metadata["path"] == Path("a.txt")
            document.metadata["nested"]["list"].append(2)
    assert given[0].metadata["nested"] == {"list": [1]}


@pytest.mark.long
def test_passages_of_passages_say_where_they_stand_in_the_document(
    compressor: S3DocumentCompressor, shared: S3Retriever
) -> None:
    short = compressor.model_copy(update={"token_budget": 20})
    wide = S3Retriever(core=shared.core, token_budget=300)
    chain = ContextualCompressionRetriever(base_compressor=short, base_retriever=wide)
    found = chain.invoke(QUESTION)
    assert found
    texts = {document.id: document.page_content for document in DOCUMENTS}
    for document in found:
        metadata = document.metadata
        place = metadata["s3_retriever"]
        assert (
            texts[metadata["doc_id"]][metadata["start_index"] : metadata["end_index"]]
            == document.page_content
        )
        assert texts[place["doc_id"]][place["start"] : place["end"]] == document.page_content
        assert document.id == metadata["passage_id"] == f"{place['doc_id']}:{place['start']}-{place['end']}"
        assert metadata["score"] == place["score"]


def test_a_key_of_results_that_is_not_ours_is_refused(compressor: S3DocumentCompressor) -> None:
    bucket = Document("The ferry leaves at nine.", id="a", metadata={"s3_retriever": "a bucket"})
    with pytest.raises(InvalidDocumentError, match=r"^document 'a': the metadata key 's3_retriever' is for"):
        compressor.compress_documents([bucket], QUESTION)


def test_wrong_settings_are_refused(tiny_host: Host, tiny_artifact: Artifact) -> None:
    for wrong in ({"budget": 3}, {"token_budget": 0}, {"mode": "dense"}, {"score_key": "doc_id"}):
        with pytest.raises(ValidationError):
            S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="artifact"):
        S3DocumentCompressor(host=tiny_host, artifact="fast")  # belongs to another host
    with pytest.raises(InvalidInputError):
        S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact).compress_documents(DOCUMENTS, " ")
