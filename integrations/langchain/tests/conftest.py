"""Retrievers over the tiny host, and that host with a chat template."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_corpus import CHAT_TEMPLATE, CONFIG, DOCUMENTS, Make
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_s3_retriever import S3Retriever
from s3_retriever import Host
from s3_retriever.encode import Artifact


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
