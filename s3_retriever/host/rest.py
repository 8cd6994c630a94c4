"""Threads that compute come to rest before this process is forked.

A fork copies what other threads hold as it is. Locks of Python can be made new in the child; those within the
libraries that torch computes with cannot. MKL's allocator has one that each product of matrices takes, and
each thread that ends: a child that was forked in such a moment spins on it for ever, at its first product.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from s3_retriever.locks import renew_after_fork

PATIENCE = 5.0
"""Seconds that a fork waits for threads at most. What is held at any later moment is most likely nothing."""

_TASKS = Path("/proc/self/task")  # the threads of this process, also those that end; Linux only
_PAUSE = 0.001  # seconds


class _Rest:
    """Knows which threads compute, and which have computed and are about to end."""

    def __init__(self) -> None:
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()  # guards all that follows
        self._computing: list[int] = []  # threads
        self._forks = 0  # those that wait, or are made just now
        self._threads: dict[int, threading.Thread] = {}  # that have computed, by their number in the system

    def renew(self) -> None:
        """Forget the threads that a forked process does not have; the one that it has may compute."""
        here = threading.get_ident()
        computing = here in self._computing
        self._begin()
        if computing:
            self._computing.append(here)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        here = threading.get_ident()
        if here in self._computing:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            self._computing.append(here)
            thread = threading.current_thread()
            if self._threads.get(threading.get_native_id()) is not thread:  # numbers are given again
                self._remember(thread)
        try:
            yield
        finally:
            with self._changed:
                self._computing.remove(here)
                self._changed.notify_all()

    def will_end(self, thread: threading.Thread) -> None:
        with self._changed:
            self._remember(thread)

    def _remember(self, thread: threading.Thread) -> None:
        for number, one in list(self._threads.items()):
            if not one.is_alive() and not _is_there(one):
                del self._threads[number]
        if thread.native_id is not None:
            self._threads[thread.native_id] = thread

    def _some_end(self) -> bool:
        """Whether Python has seen the end of a thread that the system still has."""
        with self._changed:
            return any(not one.is_alive() and _is_there(one) for one in self._threads.values())

    def wait(self) -> None:
        until = time.monotonic() + PATIENCE
        here = threading.get_ident()
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not [one for one in self._computing if one != here], PATIENCE)
        while self._some_end() and time.monotonic() < until:
            time.sleep(_PAUSE)

    def go_on(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


def _is_there(thread: threading.Thread) -> bool:
    """Whether the system has a thread; Python may have seen its end."""
    return (_TASKS / str(thread.native_id)).exists()


_rest = _Rest()


def computing() -> contextlib.AbstractContextManager[None]:
    """Have forks wait for the end of a block, :data:`PATIENCE` at most; it does not begin during one."""
    return _rest.computing()


def will_end(thread: threading.Thread) -> None:
    """Have forks wait, once a thread that computes is about to end, until the system has ended it."""
    _rest.will_end(thread)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_rest.wait, after_in_parent=_rest.go_on)
