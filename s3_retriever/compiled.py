"""Numba's compiler, for kernels that are kept on disk where a folder can be written, and else in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Any], Any]:
    """Compile as ``numba.njit`` does; ``cache=True`` is a wish, which an installation may be unable to grant.

    Numba keeps compiled kernels beside the package, in the user's cache folder, or in ``NUMBA_CACHE_DIR``.
    Where it can write to none of them, kernels compile in each process, and one line of the log says so.
    """

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
def _say_uncached() -> None:
    logging.getLogger(__name__).warning(
        "s3_retriever compiles its kernels again in every process: neither its own folder nor the user's "
        "cache folder can be written; set NUMBA_CACHE_DIR to a folder that can"
    )
