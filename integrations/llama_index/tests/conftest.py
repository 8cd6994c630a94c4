"""The hosts of the repository's own tests, and retrievers over the tiny one; no test reaches a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from llama_corpus import CONFIG, Make, make_documents
from llama_index.core.schema import BaseNode, Document
from llama_index.core.settings import Settings
from pytest_socket import disable_socket, enable_socket

from llama_index.retrievers.s3 import S3Retriever
from s3_retriever import Host
from s3_retriever.features import Artifact

_SHARED = Path(__file__).parents[3] / "tests" / "conftest.py"
_spec = importlib.util.spec_from_file_location("s3_shared_fixtures", _SHARED)
assert _spec is not None
assert _spec.loader is not None
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
tiny_tokenizer = _shared.tiny_tokenizer
tiny_model = _shared.tiny_model
tiny_host = _shared.tiny_host
tiny_artifact = _shared.tiny_artifact
host = _shared.host


@pytest.fixture(autouse=True)
def _no_network() -> Iterable[None]:
    disable_socket(allow_unix_socket=True)  # the event loop wakes itself through one
    yield
    enable_socket()


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
