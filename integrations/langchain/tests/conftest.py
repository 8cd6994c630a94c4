"""The hosts of the core's tests, retrievers over the tiny one, and no network."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_socket
from langchain_corpus import CHAT_TEMPLATE, CONFIG, DOCUMENTS, Make
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_s3_retriever import S3Retriever
from s3_retriever import Host
from s3_retriever.features import Artifact

_SPEC = importlib.util.spec_from_file_location(
    "s3_retriever_fixtures", Path(__file__).parents[3] / "tests" / "conftest.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
_FIXTURES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FIXTURES)

host = _FIXTURES.host
tiny_artifact = _FIXTURES.tiny_artifact
tiny_host = _FIXTURES.tiny_host
tiny_model = _FIXTURES.tiny_model
tiny_tokenizer = _FIXTURES.tiny_tokenizer


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    pytest_socket.disable_socket(allow_unix_socket=True)  # event loops talk to themselves over one
    yield
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def make(tiny_host: Host, tiny_artifact: Artifact) -> Make:
    """Builds retrievers over the tiny host."""

    def build(documents: Any = DOCUMENTS, **settings: Any) -> S3Retriever:
        return S3Retriever.from_documents(
            documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG, **settings
        )

    return build


@pytest.fixture(scope="session")
def shared(make: Make) -> S3Retriever:
    """A retriever that tests must not change."""
    return make()


@pytest.fixture(scope="session")
def chat_host(tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast) -> Host:
    """The tiny host with a chat template."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE
    return Host(model=tiny_model, tokenizer=tokenizer, name="tiny")
