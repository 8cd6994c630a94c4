"""Threads that compute beside one another, each on one core: for a scan, and kept for questions."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch

from s3_retriever.checks import Uncopyable
from s3_retriever.host.rest import computing, will_end
from s3_retriever.locks import ThreadLock

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_setting = ThreadLock()

_T = TypeVar("_T")
_R = TypeVar("_R")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use: its affinity, within the quota of its container.

    Args:
        quota: A file ``cpu.max`` of Linux' control groups: microseconds of all cores, or "max", per period.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such file, or no limit: "max"
        most, period = map(int, quota.read_text(encoding="ascii").split())
        cores = min(cores, -(-most // period))
    return max(1, cores)


def usual_threads() -> int:
    """Return how many threads a scan has: as many as torch would use here, at most one per usable core.

    So ``OMP_NUM_THREADS`` and ``torch.set_num_threads`` hold for a scan too.
    """
    return min(torch.get_num_threads(), usable_cores())


@contextlib.contextmanager
def single_threaded(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads in each of which torch computes on one core.

    Threads that share every operation wait for each other at its end, which costs most of their time where
    other processes keep the cores busy; threads with a task each do not. At the end, tasks that have not
    begun are dropped, and the others are waited for.

    Args:
        threads: At most so many tasks run at once.
    """
    pool = _started(threads, "s3-scan")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class OneCoreThreads(Uncopyable):
    """Runs functions in threads of its own, in each of which torch computes on one core.

    A pass over a few dozen tokens gains little from a second core, and loses much where other processes keep
    it busy: threads wait for each other at the end of every operation. And products of one padded length give
    the same numbers whatever shares their batch on one core only.
    """

    instead = "make another one: it holds threads"

    def __init__(self) -> None:
        self._pool: tuple[int, ThreadPoolExecutor, int] | None = None  # the process that it belongs to, first

    @property
    def number(self) -> int:
        """How many tasks run at a time."""
        return self._threads()[1]

    def map(self, function: Callable[[_T], _R], tasks: Iterable[_T]) -> list[_R]:
        """Return what the function gives for each task, in order; their first error is raised."""
        return list(self._threads()[0].map(function, tasks))

    def _threads(self) -> tuple[ThreadPoolExecutor, int]:
        found = self._pool
        if found is None or found[0] != os.getpid():  # a fork does not inherit threads
            number = max(1, torch.get_num_threads())
            found = self._pool = os.getpid(), _started(number, "s3-question"), number
        return found[1:]


class _Pool(ThreadPoolExecutor):
    """A pool whose tasks are over, or have not begun, when this process is forked."""

    def submit(self, fn: Callable[..., _R], /, *args: Any, **kwargs: Any) -> Future[_R]:
        def run() -> _R:
            with computing():
                return fn(*args, **kwargs)

        return super().submit(run)


def _started(threads: int, name: str) -> ThreadPoolExecutor:
    """Return a pool whose threads have all started, and in each of which torch computes on one core.

    A pool starts its threads as tasks come. So one might begin long after this returned, and change what
    torch gives to new threads for a moment. Here each takes a task that waits for the others.
    """
    pool = _Pool(threads, name, initializer=_begin)
    all_here = threading.Barrier(threads)
    try:
        for here in [ThreadPoolExecutor.submit(pool, all_here.wait) for _ in range(threads)]:
            here.result()
    except BaseException:  # a thread that cannot start: those that wait for it must not wait for ever
        all_here.abort()
        pool.shutdown(wait=False)
        raise
    return pool


def _begin() -> None:
    with computing():
        _use_one_core()


def _use_one_core() -> None:
    """Let torch compute on one core in this thread, and as before in all others.

    With OpenMP the number of threads is a setting of each thread, but torch gives a thread that starts later
    the number that was set last. So it is set back, in a thread of its own. A thread that first uses torch in
    between stays on one core; see `_started`.
    """
    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        other = threading.Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        will_end(other)
        other.join()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # The one thread that a forked process begins with would wait for ever for those with which OpenMP shared
    # its work before; its new threads share theirs as usual.
    os.register_at_fork(after_in_child=_use_one_core)
