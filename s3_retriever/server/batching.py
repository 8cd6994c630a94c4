"""Questions that wait together are answered together, by one thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from s3_retriever.errors import InvalidInputError, ServerBusyError

_LINGER = 0.1  # of the time that a batch took, for those whom it answered to ask again

_R = TypeVar("_R")

Work = Callable[[Any, list[str]], list[Any]]
"""Answers questions with the same options; an answer for each."""


@dataclass(eq=False)
class _Ask:
    key: object
    work: Callable[[list[str]], list[Any]]
    questions: Sequence[str]
    answers: asyncio.Future[list[Any]]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Passes questions to one worker thread, all that wait and have equal options at a time.

    A question that comes while the worker rests is worked on at once, and those that come meanwhile form the
    next batch. Where several callers were answered together, the next batch waits for them to ask again, but
    no longer than a tenth of the time that they took: else the first one back would be answered alone, then
    the others, and half of the batches would be small. The batch of whoever has waited longest comes first.
    All calls belong to one event loop.

    Args:
        work: Runs in the worker thread.
        most_waiting: Questions that may wait; more are refused.
        most_together: Questions of one batch, unless one caller alone has more.
        patience: Seconds after which whoever waits is refused.
        seen: Told of each batch: how many questions it had, and how long the first one waited, in seconds.
    """

    def __init__(
        self,
        work: Work,
        *,
        most_waiting: int,
        most_together: int,
        patience: float,
        seen: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self._work = work
        self._most_waiting = most_waiting
        self._most_together = most_together
        self._patience = patience
        self._seen = seen
        self._asks: deque[_Ask] = deque()
        self._is_wanted = asyncio.Event()  # set whenever a question comes
        self._thread = ThreadPoolExecutor(1, "s3-serve")
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Questions that wait for the worker, but for those whose callers have given up."""
        return sum(len(ask.questions) for ask in self._asks if not ask.answers.done())

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._run(), name="s3-batches")

    async def close(self) -> None:
        """Refuse new questions, answer those that wait, and let the worker go."""
        self._is_closed = True
        self._is_wanted.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=True)

    async def ask(self, key: str, options: Any, questions: Sequence[str]) -> list[Any]:
        """Return what ``work`` returns for some questions.

        Args:
            key: Equal for equal options.
            options: Passed to ``work``.
            questions: At least one.

        Raises:
            ServerBusyError: Too many wait, or these waited too long, or the server stops.
            Exception: What ``work`` raises for these questions.
        """
        return await self._queued(key, functools.partial(self._work, options), questions)

    async def call(self, function: Callable[[], _R]) -> _R:
        """Return what a function returns in the worker thread; it waits as one question would.

        Raises:
            ServerBusyError: As :meth:`ask`.
            Exception: What the function raises.
        """
        found: list[_R] = await self._queued(object(), lambda _: [function()], [""])
        return found[0]

    async def _queued(
        self, key: object, work: Callable[[list[str]], list[Any]], questions: Sequence[str]
    ) -> list[Any]:
        if self._is_closed:
            msg = "the server is stopping"
            raise ServerBusyError(msg)
        waiting = self.waiting
        if waiting and waiting + len(questions) > self._most_waiting:
            msg = f"{waiting} questions wait already, at most {self._most_waiting} may; ask again later"
            raise ServerBusyError(msg)
        ask = _Ask(key, work, questions, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._is_wanted.set()
        try:
            return await asyncio.wait_for(ask.answers, self._patience)
        except asyncio.TimeoutError as error:
            msg = f"no answer within {self._patience:g} s; ask again later, or ask less"
            raise ServerBusyError(msg) from error

    async def _run(self) -> None:
        while not (self._is_closed and not self._asks):
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while batch := self._next_batch():
                began = time.perf_counter()
                await self._answer(batch)
                if self._may_grow(batch):
                    took = time.perf_counter() - began
                    await self._gather(len(batch) + len(self._asks), took * _LINGER)

    def _may_grow(self, answered: list[_Ask]) -> bool:
        """Tell whether the next batch would be larger if those that were answered asked the same again."""
        return self._asks[0].key == answered[0].key if self._asks else len(answered) > 1

    async def _gather(self, callers: int, seconds: float) -> None:
        """Wait until so many callers wait, but no longer than so many seconds."""
        until = time.perf_counter() + seconds
        while not self._is_closed and len(self._asks) < callers and (left := until - time.perf_counter()) > 0:
            self._is_wanted.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._is_wanted.wait(), left)

    def _next_batch(self) -> list[_Ask]:
        """Take the one who waited longest, and others with the same options; nobody who has given up."""
        batch: list[_Ask] = []
        rest: deque[_Ask] = deque()
        size = 0
        for ask in self._asks:
            if ask.answers.done():
                continue
            fits = not batch or (ask.key == batch[0].key and size + len(ask.questions) <= self._most_together)
            if fits:
                batch.append(ask)
                size += len(ask.questions)
            else:
                rest.append(ask)
        self._asks = rest
        return batch

    async def _answer(self, batch: list[_Ask]) -> None:
        questions = [question for ask in batch for question in ask.questions]
        self._seen(len(questions), time.perf_counter() - batch[0].since)
        running = asyncio.get_running_loop()
        try:
            answers = await running.run_in_executor(self._thread, batch[0].work, questions)
        except InvalidInputError as error:
            if len(batch) == 1:
                _fail(batch[0], error)
            else:  # whose question it was shows where each is asked alone
                for ask in batch:
                    await self._answer([ask])
        except Exception as error:
            for ask in batch:
                _fail(ask, error)
        else:
            first = 0
            for ask in batch:
                if not ask.answers.done():
                    ask.answers.set_result(answers[first : first + len(ask.questions)])
                first += len(ask.questions)


def _fail(ask: _Ask, error: Exception) -> None:
    if not ask.answers.done():
        ask.answers.set_exception(error)
