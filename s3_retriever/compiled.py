"""Numba's compiler, for kernels that are kept on disk where a folder can be written, and else in memory.

And the arrays that such kernels are fastest with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.core import event as events

_LINE = 64  # bytes of a cache line
_NOTICED = 1.0  # seconds of compiling after which people wonder
_LOG = logging.getLogger(__name__)


def njit(**options: Any) -> Callable[[Any], Any]:
    """Compile as ``numba.njit`` does; ``cache=True`` is a wish, which an installation may be unable to grant.

    Numba keeps compiled kernels beside the package, in the user's cache folder, or in ``NUMBA_CACHE_DIR``.
    Where it can write to none of them, kernels compile in each process, and one line of the log says so.
    One line says, too, that kernels are compiled that were not kept, once that has taken a second.
    """
    _listen()

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError:  # no such folder
            if not options.get("cache"):
                raise
            _say_uncached()
            return numba.njit(**options | {"cache": False})(function)

    return compiled


@cache  # once a process
def _listen() -> _Notice:
    notice = _Notice()
    events.register("numba:compile", notice)
    return notice


class _Notice(events.Listener):  # type: ignore[misc]  # of a library without types
    """Says once a process that our kernels are compiled; Numba compiles one at a time."""

    def __init__(self) -> None:
        self.said = False
        self._within = 0  # kernels, each of which calls the next
        self._began = self._spent = 0.0

    def on_start(self, event: Any) -> None:
        """Note that a kernel is about to be compiled."""
        if _is_ours(event):
            if not self._within:
                self._began = time.monotonic()
            self._within += 1

    def on_end(self, event: Any) -> None:
        """Note that a kernel has been compiled."""
        if not _is_ours(event):
            return
        self._within -= 1
        spent = self._spent + time.monotonic() - self._began
        if not self._within:
            self._spent = spent
        if spent >= _NOTICED and not self.said:
            self.said = True
            _LOG.warning(
                "s3_retriever compiles its kernels, as it does once after an installation or an update; "
                "this may take a minute"
            )


def _is_ours(event: Any) -> bool:
    return str(event.data["dispatcher"].py_func.__module__).startswith("s3_retriever.")


@cache
def _say_uncached() -> None:
    _listen().said = True
    _LOG.warning(
        "s3_retriever compiles its kernels again in every process: neither its own folder nor the user's "
        "cache folder can be written; set NUMBA_CACHE_DIR to a folder that can"
    )


def aligned(size: int) -> npt.NDArray[np.float32]:
    """Return float32 (size,) with anything in it, whose first number begins a cache line.

    Vectors that lie across two lines take twice as long to read and write.
    """
    whole = np.empty(size + _LINE // 4, np.float32)
    first = (_LINE - whole.ctypes.data % _LINE) % _LINE // 4
    return whole[first : first + size]


aligned_in_kernel = njit(cache=True, nogil=True)(aligned)
"""The same for kernels. A large array is better made by NumPy, which asks for huge pages; Numba does not
(``findings/numba-arrays-without-huge-pages.sh``)."""
