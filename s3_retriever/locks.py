"""Locks between threads, and attributes that threads compute, which a forked process does not wait for."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any, Generic, Protocol, TypeVar, overload
from weakref import WeakSet

from s3_retriever.errors import InvalidInputError

_T = TypeVar("_T")


class Renewable(Protocol):
    """What has to be made new in a forked process."""

    def renew(self) -> None:
        """Let go of what threads hold that are not there; only the calling thread is."""


_renewables: WeakSet[Any] = WeakSet()


def renew_after_fork(thing: Renewable) -> None:
    """Have a thing made new in each process that is forked from this one, as long as it is in use.

    A fork copies a lock as it is, but only one thread: a lock that another one holds would never be free.
    """
    _renewables.add(thing)


def _renew_all() -> None:
    for thing in list(_renewables):
        thing.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_all)


class ThreadLock:
    """Lets one thread at a time in; the same thread may come in again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_after_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Be free, unless the calling thread holds it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()


class ChangeLock(ThreadLock):
    """Lets one thread at a time change something.

    A thread that changes it already is refused: within a change, it would change what the change builds on.
    So it is where the documents that are added come from a function that adds.

    Args:
        what: What is changed, with its article.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._holder: int | None = None

    def __enter__(self) -> None:
        """Wait for the other threads.

        Raises:
            InvalidInputError: This thread holds it.
        """
        if self._holder == threading.get_ident():
            msg = (
                f"what reads the documents of a change may not change {self._what} itself; "
                "collect the documents in a list first"
            )
            raise InvalidInputError(msg)
        super().__enter__()
        self._holder = threading.get_ident()

    def __exit__(self, *_error: object) -> None:
        self._holder = None
        super().__exit__()

    def renew(self) -> None:
        """Be free, unless the calling thread holds it."""
        super().renew()
        if self._holder != threading.get_ident():
            self._holder = None  # another thread may get its number


class cached_property(functools.cached_property[_T], Generic[_T]):  # noqa: N801 - as Python's
    """As Python's, without the lock that it has before 3.12: two threads may compute a value at once."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> cached_property[_T]: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> _T: ...

    def __get__(self, instance: object, owner: type[Any] | None = None) -> cached_property[_T] | _T:
        if instance is None:
            return self
        name = str(self.attrname)
        if name not in vars(instance):
            vars(instance)[name] = self.func(instance)
        value: _T = vars(instance)[name]
        return value
