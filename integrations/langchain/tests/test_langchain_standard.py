"""LangChain's own test suites, as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from langchain_core.indexing import DocumentIndex
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_corpus import CONFIG
from langchain_tests.integration_tests import ChatModelIntegrationTests, RetrieversIntegrationTests
from langchain_tests.integration_tests.indexer import AsyncDocumentIndexTestSuite, DocumentIndexerTestSuite
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_s3_retriever import ChatS3Host, S3DocumentIndex, S3Retriever
from s3_retriever import Host
from s3_retriever.encode import Artifact


@pytest.fixture
def empty_index(tiny_host: Host, tiny_artifact: Artifact) -> S3DocumentIndex:
    return S3DocumentIndex.from_documents([], host=tiny_host, artifact=tiny_artifact, config=CONFIG)


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _core(self, shared: S3Retriever) -> None:
        self.core = shared.core

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return S3Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"core": self.core, "token_budget": 5000}  # for more than three passages

    @property
    def retriever_query_example(self) -> str:
        return "Where does the keeper store the oil?"


class TestIndex(DocumentIndexerTestSuite):
    @pytest.fixture
    def index(self, empty_index: S3DocumentIndex) -> Generator[DocumentIndex, None, None]:
        yield empty_index


class TestIndexAsync(AsyncDocumentIndexTestSuite):
    @pytest.fixture
    async def index(self, empty_index: S3DocumentIndex) -> AsyncGenerator[DocumentIndex, None]:
        yield empty_index


class _Chat:
    @pytest.fixture(autouse=True)
    def _host(self, chat_host: Host) -> None:
        self.host = chat_host

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatS3Host

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"host": self.host}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # A model in memory has no requests that time out or are sent again, so it refuses such arguments.
        return {"temperature": 0, "max_tokens": 40, "stop": []}

    @property
    def supports_model_override(self) -> bool:
        return False


class TestChatUnit(_Chat, ChatModelUnitTests):
    pass


@pytest.mark.long
class TestChatIntegration(_Chat, ChatModelIntegrationTests):
    pass
