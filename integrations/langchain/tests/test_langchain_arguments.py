"""Arguments that cannot be used: one error, which names the argument and the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_corpus import CONFIG, DOCUMENTS, QUESTION
from pydantic import ValidationError

from langchain_s3_retriever import S3DocumentCompressor, S3DocumentIndex, S3Retriever
from s3_retriever import Host, InvalidInputError
from s3_retriever.encode import Artifact

# What is given here is of other types than the signatures say.
Call = Callable[[Any], object]

OF_A_RETRIEVER: dict[str, tuple[Call, str]] = {
    "ids of lists": (lambda one: one.delete([[1]]), r"a document's id must be a str, not \[1\]"),
    "a single id": (lambda one: one.delete("fyr"), "doc_ids must be a list of ids, not 'fyr'"),
    "ids": (lambda one: one.delete(5), "doc_ids must be a list of ids, not 5"),
    "save_local": (lambda one: one.save_local(5), "folder must be a path, not 5"),
    "load_local": (lambda one: one.load_local(None), "folder must be a path, not None"),
    "texts": (lambda one: one.add_texts(5), "texts must be a list or another iterable, not 5"),
    "no texts": (lambda one: one.add_texts(None), "texts must be a list or another iterable, not None"),
    "a single text": (lambda one: one.add_texts("abc"), "texts must be a list .*, not 'abc'"),
    "ids of texts": (lambda one: one.add_texts(["a"], ids=5), "ids must be a list .*, not 5"),
    "a single id of texts": (lambda one: one.add_texts(["a"], ids="b"), "ids must be a list .*, not 'b'"),
    "metadatas": (lambda one: one.add_texts(["a"], 5), "metadatas must be a list .*, not 5"),
    "a single metadata": (lambda one: one.add_texts(["a"], {"b": 1}), "metadatas must be a list .*'b': 1"),
    "metadata": (lambda one: one.add_texts(["a"], [5]), "metadata 0 must be a mapping, or None, not 5"),
    "spans of a call": (
        lambda one: one.invoke(QUESTION, spans=5),
        "spans must be a SpanConfig, or None, not 5",
    ),
}
OF_AN_INDEX: dict[str, tuple[Call, str]] = {
    "deleted ids of lists": (lambda one: one.delete([[1]]), r"a document's id must be a str, not \[1\]"),
    "deleted ids": (lambda one: one.delete(5), "doc_ids must be a list of ids, not 5"),
    "no ids": (lambda one: one.delete(), "doc_ids must be a list of ids, not None"),
    "ids of lists": (lambda one: one.get([[1]]), r"a document's id must be a str, not \[1\]"),
    "ids": (lambda one: one.get(5), "doc_ids must be a list of ids, not 5"),
    "items": (lambda one: one.upsert(5), "iterable of documents, not a single int"),
    "a single item": (lambda one: one.upsert(Document("a")), "iterable of documents, not a single Document"),
}
OF_A_COMPRESSOR: dict[str, tuple[Call, str]] = {
    "documents": (lambda one: one.compress_documents(5, "x"), "iterable of documents, not a single int"),
    "a document": (lambda one: one.compress_documents([5], "x"), "document 0 is a int"),
    "question": (lambda one: one.compress_documents(DOCUMENTS, 5), "question must be text, not 5"),
}


@pytest.mark.parametrize("name", OF_A_RETRIEVER)
def test_a_retriever_names_what_cannot_be_used(shared: S3Retriever, name: str) -> None:
    call, message = OF_A_RETRIEVER[name]
    with pytest.raises(InvalidInputError, match=message):
        call(shared)
    assert len(shared.core) == len(DOCUMENTS)


@pytest.mark.parametrize("name", OF_AN_INDEX)
def test_an_index_names_what_cannot_be_used(shared: S3Retriever, name: str) -> None:
    call, message = OF_AN_INDEX[name]
    with pytest.raises(InvalidInputError, match=message):
        call(S3DocumentIndex(core=shared.core))
    assert len(shared.core) == len(DOCUMENTS)


@pytest.mark.parametrize("name", OF_A_COMPRESSOR)
def test_a_compressor_names_what_cannot_be_used(tiny_host: Host, tiny_artifact: Artifact, name: str) -> None:
    call, message = OF_A_COMPRESSOR[name]
    with pytest.raises(InvalidInputError, match=message):
        call(S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact, config=CONFIG))


@pytest.mark.parametrize(("texts", "ids", "message"), [(5, None, "texts .* 5"), (["a"], 5, "ids .* 5")])
def test_from_texts_names_what_are_no_texts(
    tiny_host: Host, tiny_artifact: Artifact, texts: Any, ids: Any, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        S3Retriever.from_texts(texts, ids=ids, host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.mark.parametrize("wrong", [5, {"context": 1}])
def test_spans_are_a_span_config(shared: S3Retriever, wrong: Any) -> None:
    with pytest.raises(ValidationError, match=r"spans\n.*SpanConfig"):
        S3Retriever(core=shared.core, spans=wrong)
