"""Servers on real sockets, over indexes of the tiny host."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Client, Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.server.app import make_app
from s3_retriever.server.run import address, listen, make_server
from s3_retriever.server.served import ServedIndex
from s3_retriever.server.service import Service
from s3_retriever.server.settings import ServerSettings
from s3_retriever.server.tools import http_routes, http_running, make_tools

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
DOCUMENTS = [
    Document(
        "town/harbour.txt",
        "The harbour was quiet. " * 30 + "The keeper stores the oil in the cellar. " * 2,
        "The harbour",
        {"year": 1931, "tags": ["sea", "oil"]},
    ),
    Document(
        "bakery",
        "Bread is baked at four in the morning. The baker sings. " * 12,
        metadata={"year": 2024},
        pages=(0, 100, 300),
        source_hash="af30",
    ),
    Document("ugly\ud83d <b>&\"'/../?#", "\u001b[31mred\u001b[0m 🧑‍🚀 keeper \ud83d oil\r\n" * 9),
]


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_RETRIEVER_TOKEN", raising=False)


@pytest.fixture
def saved(tmp_path: Path, tiny_host: Host, tiny_artifact: Artifact) -> Path:
    """A saved index of the documents."""
    made = S3Retriever.from_documents(DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    made.save(tmp_path / "index")
    return tmp_path / "index"


@contextlib.contextmanager
def running(
    folder: Path, host: Host, *, read_only: bool | None = None, other: Path | None = None, **settings: Any
) -> Iterator[str]:
    """Serve a folder on a free port of this machine, beside another one if given; give the address."""
    served = ServedIndex(folder, host=host, read_only=read_only)
    service = Service(served, ServerSettings(port=0, **{"poll": 0.05, **settings}))
    tools = make_tools(service)
    beside = other and Service(ServedIndex(other, host=host, read_only=True), service.settings)
    server = make_server(make_app(service, http_routes(tools), lambda: http_running(tools), beside))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield address(listener)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def url(saved: Path, tiny_host: Host) -> Iterator[str]:
    """The address of a server of the documents."""
    with running(saved, tiny_host) as at:
        yield at


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, retries=0) as made:
        yield made


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
