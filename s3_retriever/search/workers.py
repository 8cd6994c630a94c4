"""Threads that searches share, started once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import numba

from s3_retriever.checks import Uncopyable

_T = TypeVar("_T")
_R = TypeVar("_R")


class Workers(Uncopyable):
    """Does tasks in the calling thread and in threads that wait for them.

    Several callers may use it at once. Threads are started when they are first needed, and again in a
    process that was forked. They are our own and not those of Numba's ``parallel``, some of whose threading
    layers abort the process when two threads of the caller search at a time, or after a fork.

    Args:
        n_threads: Threads that work at a time for one caller, itself included; Numba's number if None.
    """

    instead = "make another one: it holds threads"

    def __init__(self, n_threads: int | None = None) -> None:
        self.n_threads = numba.config.NUMBA_NUM_THREADS if n_threads is None else n_threads
        self._pool: tuple[int, ThreadPoolExecutor] | None = None  # with the process that it belongs to

    def each(self, work: Callable[[_T], object], tasks: Sequence[_T]) -> None:
        """Do all tasks, in any order, and return when the last one is done; their first error is raised."""
        waiting = deque(tasks)

        def take() -> None:
            while True:
                try:
                    task = waiting.popleft()
                except IndexError:
                    return
                work(task)

        helpers = min(self.n_threads, len(tasks)) - 1
        futures = [self._threads().submit(take) for _ in range(helpers)]
        try:
            take()
        finally:
            waiting.clear()  # after an error, nobody begins another one
            begun = [future for future in futures if not future.cancel()]
            wait(begun)
        for future in begun:
            future.result()

    def map(self, function: Callable[[_T], _R], tasks: Sequence[_T]) -> list[_R]:
        """Return what a function gives for each task, in order; errors as of :meth:`each`."""
        found: dict[int, _R] = {}

        def work(i: int) -> None:
            found[i] = function(tasks[i])

        self.each(work, range(len(tasks)))
        return [found[i] for i in range(len(tasks))]

    @contextmanager
    def ahead(self, function: Callable[[_T], _R], tasks: Sequence[_T]) -> Iterator[Callable[[int], _R]]:
        """Do tasks in one other thread, in turn, while the caller and the rest do something else.

        Yields:
            What returns the result of the i-th task, or raises its error, and is to be called once for each.
            A task that has not begun is done there and then. At the end of the block, those left are dropped.
        """
        futures: list[Future[_R]] = [Future() for _ in tasks]

        def take() -> None:
            for future, task in zip(futures, tasks, strict=True):
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(function(task))
                    except BaseException as error:
                        future.set_exception(error)

        def result(i: int) -> _R:
            return function(tasks[i]) if futures[i].cancel() else futures[i].result()

        helper = self._threads().submit(take) if tasks and self.n_threads > 1 else None
        try:
            yield result
        finally:
            for future in futures:
                future.cancel()
            if helper is not None and not helper.cancel():
                wait([helper])

    def _threads(self) -> ThreadPoolExecutor:
        pool = self._pool
        if pool is None or pool[0] != os.getpid():  # a fork does not inherit threads
            pool = os.getpid(), ThreadPoolExecutor(max(1, self.n_threads - 1), "s3-search")
            self._pool = pool
        return pool[1]
