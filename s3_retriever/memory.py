"""The memory of this process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def peak_bytes() -> int:
    """Return the peak resident memory of this process."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # getrusage's ru_maxrss would start at the size of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def give_back() -> None:
    """Give back to the system what was freed, where the C library would keep it for later (glibc does)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no such function, or no such library
        ctypes.CDLL(None).malloc_trim(0)


@dataclass
class Growth:
    """The most by which the resident memory of this process rose; None where it cannot be measured."""

    bytes: int | None = None


@contextlib.contextmanager
def peak_growth() -> Iterator[Growth]:
    """Measure how far the resident memory rises within the block above what it is at its beginning.

    Linux only: elsewhere the peak of a process cannot be set back.
    """
    growth = Growth()
    gc.collect()
    give_back()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    except OSError:
        yield growth
        return
    before = peak_bytes()
    yield growth
    growth.bytes = peak_bytes() - before
