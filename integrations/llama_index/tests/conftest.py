"""Retrievers over the tiny host; LlamaIndex's settings are put back after each test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from llama_corpus import CONFIG, Make, make_documents
from llama_index.core.schema import BaseNode, Document
from llama_index.core.settings import Settings

from llama_index.retrievers.s3 import S3Retriever
from s3_retriever import Host
from s3_retriever.encode import Artifact


@pytest.fixture(autouse=True)
def _no_settings() -> Iterable[None]:
    """LlamaIndex's settings are global: put back what a test changes."""
    before = dict(vars(Settings))
    yield
    vars(Settings).clear()
    vars(Settings).update(before)


@pytest.fixture
def documents() -> list[Document]:
    """The corpus of these tests."""
    return make_documents()


@pytest.fixture
def make(tiny_host: Host, tiny_artifact: Artifact) -> Make:
    """Make a retriever over the tiny host, of the corpus unless other nodes are given."""

    def make(nodes: Iterable[BaseNode] | None = None, **options: Any) -> S3Retriever:
        return S3Retriever.from_documents(
            make_documents() if nodes is None else nodes,
            host=tiny_host,
            artifact=tiny_artifact,
            config=CONFIG,
            **options,
        )

    return make
