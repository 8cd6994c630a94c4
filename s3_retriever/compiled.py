"""Numba's compiler, for kernels that are kept on disk where a folder can be written, and else in memory.

And the arrays that such kernels are fastest with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

_LINE = 64  # bytes of a cache line


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
