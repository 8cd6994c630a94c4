"""Arguments that cannot be used: one error of ours, which names the argument and the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_corpus import CONFIG, QUESTION, TEXTS, make_documents
from llama_index.core.schema import Document

from llama_index.retrievers.s3 import IndexedNodePostprocessor, S3QueryBundle, S3Retriever
from s3_retriever import Host, InvalidInputError
from s3_retriever.encode import Artifact

# What is given here is of other types than the signatures say.
Retriever: Any = S3Retriever
Bundle: Any = S3QueryBundle
Postprocessor: Any = IndexedNodePostprocessor

WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "engine": (lambda _: Retriever(5), "engine must be .*S3Retriever of s3_retriever.*, not 5"),
    "no engine": (lambda _: Retriever(None), "engine must be .*, not None"),
    "unit_scores": (
        lambda one: Retriever(one.engine, unit_scores="yes"),
        "unit_scores must be True or False, not 'yes'",
    ),
    "spans": (lambda one: Retriever(one.engine, spans=5), "spans must be a SpanConfig, or None, not 5"),
    "transformations of numbers": (
        lambda one: Retriever(one.engine, transformations=[5]),
        r"transformations must be a list, each a TransformComponent, or None, not \[5\]",
    ),
    "transformations": (
        lambda one: Retriever(one.engine, transformations=5),
        "transformations must be a list, or None, not 5",
    ),
    "callback_manager": (
        lambda one: Retriever(one.engine, callback_manager=5),
        "callback_manager must be a CallbackManager, or None, not 5",
    ),
    "objects": (
        lambda one: Retriever(one.engine, objects=[5]),
        r"objects must be a list, each an IndexNode, or None, not \[5\]",
    ),
    "object_map": (
        lambda one: Retriever(one.engine, object_map=5),
        "object_map must be a dict, or None, not 5",
    ),
    "verbose": (lambda one: Retriever(one.engine, verbose=2), "verbose must be True or False, not 2"),
    "nodes": (lambda _: Retriever.from_defaults(nodes=0), "iterable of documents, not a single int"),
    "docstore": (
        lambda _: Retriever.from_defaults(docstore=5),
        "docstore must be a document store, or None, not 5",
    ),
    "index": (lambda _: Retriever.from_defaults(index=5), "index must be an index, or None, not 5"),
    "persist": (lambda one: one.persist(None), "persist_dir must be a path, not None"),
    "from_persist_dir": (
        lambda _: Retriever.from_persist_dir(None),
        "persist_dir must be a path, not None",
    ),
    "transformations of what was saved": (
        lambda _: Retriever.from_persist_dir("nowhere", transformations=5),
        "transformations must be a list, or None, not 5",
    ),
    "node_ids of lists": (
        lambda one: one.delete_nodes([[1]]),
        r"node_ids must be a list, each a str, not \[\[1\]\]",
    ),
    "a single node id": (lambda one: one.delete_nodes("rain"), "node_ids must be a list, not 'rain'"),
    "node_ids": (lambda one: one.delete_nodes(5), "node_ids must be a list, not 5"),
    "ref_doc_id": (lambda one: one.delete_ref_doc([]), r"ref_doc_id must be a str, not \[\]"),
    "node_id": (lambda one: one.get_node([1]), r"node_id must be a str, not \[1\]"),
    "documents": (lambda one: one.refresh_ref_docs(5), "iterable of documents, not a single int"),
    "a single document": (
        lambda one: one.refresh_ref_docs(Document(text="a")),
        "iterable of documents, not a single Document",
    ),
    "documents of numbers": (lambda one: one.refresh_ref_docs([5]), "document 0 is a int"),
    "top k of a query": (
        lambda one: one.retrieve(Bundle(QUESTION, similarity_top_k=0)),
        "similarity_top_k must be .*, not 0",
    ),
    "spans of a query": (
        lambda one: one.retrieve(Bundle(QUESTION, spans={"context": 1})),
        "spans must be a SpanConfig, or None, not {'context': 1}",
    ),
    "postprocessor": (lambda _: Postprocessor(5), "retriever must be an S3Retriever, not 5"),
}


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    """A retriever that must come through unchanged."""
    return S3Retriever.from_documents(make_documents(), host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.mark.long
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_named(retriever: S3Retriever, name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(InvalidInputError, match=message):
        call(retriever)
    assert retriever.ref_doc_ids == list(TEXTS)


def test_ids_and_documents_may_be_any_iterable(tiny_host: Host, tiny_artifact: Artifact) -> None:
    made: Any = S3Retriever.from_documents(
        make_documents(), host=tiny_host, artifact=tiny_artifact, config=CONFIG
    )
    made.delete_nodes(one for one in ("rain", "cjk"))
    assert made.ref_doc_ids == ["harbour", "bakery"]
    assert made.refresh_ref_docs(one for one in make_documents()[:3]) == [False, False, True]
