"""What the endpoints and tools of a server have in common: searches, documents, changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from s3_retriever.documents import Document, Span
from s3_retriever.errors import ServerBusyError
from s3_retriever.retriever import S3Retriever
from s3_retriever.search.filters import unknown_keys
from s3_retriever.server.batching import Batcher
from s3_retriever.server.metrics import Metrics
from s3_retriever.server.requests import SearchRequest
from s3_retriever.server.served import Served, Version
from s3_retriever.server.settings import ServerSettings

_R = TypeVar("_R")

MOST_CHANGES = 32
"""Requests for changes that may be there; their documents are in memory meanwhile."""


class Answer(NamedTuple):
    """What one question found.

    Attributes:
        spans: Best first.
        titles: Of their documents, if asked for; else empty.
        version: Of the index that was searched.
        warnings: What is odd about the filter; the same for all questions of a request.
    """

    spans: list[Span]
    titles: list[str]
    version: str
    warnings: list[str]


class _Line:
    """Threads, and a bounded line of requests before them.

    Args:
        threads: Work at a time.
        name: Of the threads.
        most: Requests that may be there; more are refused.
    """

    def __init__(self, threads: int, name: str, most: int) -> None:
        self.threads = ThreadPoolExecutor(threads, name)
        self._most = most
        self._here = 0

    async def call(self, function: Callable[[], _R]) -> _R:
        """Return what a function returns in a thread. It is called even if whoever waits gives up.

        Raises:
            ServerBusyError: Too many are here.
        """
        if self._here >= self._most:
            msg = f"{self._here} requests of this kind wait already; ask again later"
            raise ServerBusyError(msg)
        called = asyncio.get_running_loop().run_in_executor(self.threads, function)
        self._here += 1
        called.add_done_callback(self._leave)
        return await asyncio.shield(called)  # a pool keeps even what is cancelled until a thread is free

    def _leave(self, _called: object) -> None:
        self._here -= 1


class Service:
    """Answers from a served index, for one event loop, which it never holds up.

    Args:
        served: The index.
        settings: Limits.

    Attributes:
        served: As given.
        settings: As given.
        metrics: What has been done.
        is_ready: Whether it answers: between the beginning and the end of :meth:`running`.
    """

    def __init__(self, served: Served, settings: ServerSettings) -> None:
        self.served = served
        self.settings = settings
        self.metrics = Metrics(served)
        self.is_ready = False
        self._batcher: Batcher | None = None
        self._writing = _Line(1, "s3-write", MOST_CHANGES)
        self._reading = _Line(2, "s3-read", settings.max_waiting)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer until the block ends; what was asked before is still answered."""
        batcher = self._batcher = Batcher(
            self._answers,
            most_waiting=self.settings.max_waiting,
            most_together=self.settings.max_together,
            patience=self.settings.timeout,
            seen=self.metrics.batch,
        )
        self.metrics.watch(lambda: batcher.waiting)
        batcher.start()
        following = asyncio.create_task(self._follow(), name="s3-follow")
        self.is_ready = True
        try:
            yield
        finally:
            self.is_ready = False
            following.cancel()
            await batcher.close()
            self._writing.threads.shutdown(wait=True)
            self._reading.threads.shutdown(wait=True)

    async def search(self, request: SearchRequest) -> list[Answer]:
        """Answer each question of a request, all from one version.

        Raises:
            InvalidInputError: A question or option cannot be used.
            ServerBusyError: Too many wait, or these waited too long, or the server stops.
        """
        answers = await self._running().ask(request.key, request, request.questions)
        self.metrics.answered(len(answers))
        return answers

    async def with_reader(self, function: Callable[[S3Retriever, Version], _R]) -> _R:
        """Call a function with the retriever that is searched, in the one thread that may use it.

        Raises:
            ServerBusyError: As :meth:`search`.
        """
        return await self._running().call(lambda: function(*self.served.reader()))

    async def read(self, function: Callable[[Version], _R]) -> _R:
        """Call a function that reads documents, with the newest version, in a thread.

        Raises:
            ServerBusyError: Too many wait.
        """
        newest = self.served.newest
        return await self._reading.call(lambda: function(newest))

    async def change(
        self, documents: Sequence[Document], delete: Sequence[str] = (), *, replace: bool = True
    ) -> Version:
        """Change documents and save; see :meth:`ServedIndex.change`. Changes follow one another.

        Raises:
            ServerBusyError: Too many wait.
        """
        return await self._writing.call(lambda: self.served.change(documents, delete, replace=replace))

    def _running(self) -> Batcher:
        assert self._batcher is not None, "the service is not running"  # noqa: S101 - a mistake of ours
        return self._batcher

    def _answers(self, request: SearchRequest, questions: list[str]) -> list[Answer]:
        """Search; in the worker thread."""
        reader, version = self.served.reader()
        started = time.perf_counter()
        found = reader.retrieve_batch(questions, **request.options)
        self.metrics.searched(time.perf_counter() - started)
        snapshot, where = version.snapshot, request.options["where"]
        odd = [] if where is None else list(unknown_keys(snapshot, where))
        titles: dict[str, str] = {}
        if request.titles:
            for doc_id in {span.doc_id for spans in found for span in spans}:
                titles[doc_id] = snapshot.document(snapshot.find(doc_id)).title
        return [
            Answer(spans, [titles[span.doc_id] for span in spans] if request.titles else [], version.id, odd)
            for spans in found
        ]

    async def _follow(self) -> None:
        """Look from time to time whether somebody else saved to the folder."""
        while True:
            await asyncio.sleep(self.settings.poll)
            # Beside changes: while one is being made, there is nothing to take over.
            await asyncio.get_running_loop().run_in_executor(self._writing.threads, self.served.refresh)
