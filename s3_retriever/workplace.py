"""Workplaces: temporary folders beside what is written, which tell the dead from the living.

A workplace is named after its path and a random number, and locked while its process lives. Whoever writes
the same path next removes those whose lock is free. A folder that a killed process took away to replace it
is put back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from s3_retriever.durable import remove, sync_folder, writing

LOCK = ".lock"
"""The file in a folder that is locked while somebody writes to the folder; empty, and left there."""

PATIENCE = 600.0
"""Seconds to wait for a process that replaces a folder."""

NEW, OLD = "new", "old"
"""In a workplace: what takes the place of the path, and what was there before."""

_RANDOM = re.compile(r"[0-9a-f]{16}\.tmp")
_LONGEST = 200  # bytes of a name; file systems allow 255, and the number needs some


def mend(path: Path) -> None:
    """Put back a folder that a process took away to replace it and was killed; wait for one that lives."""
    path = path.resolve()
    if os.path.lexists(path) or not path.parent.is_dir():
        return
    for place in workplaces_of(path):
        if os.path.lexists(place / OLD):
            with contextlib.suppress(OSError), FileLock(place / LOCK, timeout=PATIENCE):
                _put_back(path, place)


def _put_back(path: Path, place: Path) -> None:
    if os.path.lexists(place / OLD) and not os.path.lexists(path):
        (place / OLD).rename(path)
        sync_folder(path.parent)


@contextlib.contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """Yield a folder of our own beside a path, gone when the block ends.

    It is locked meanwhile. The lock ends with the process, so that the next one, which finds it free,
    knows that nobody needs the folder any longer, and removes it before it writes anything.

    Raises:
        DiskFullError: There is no room.
        OSError: The path's folder is missing, or cannot be written.
    """
    with writing(path):
        remove_dead(path)
        place, lock = _claim(path)
    try:
        yield place
    finally:
        _clear(place)
        lock.release()
        remove(place)


def _claim(path: Path) -> tuple[Path, FileLock]:
    while True:
        place = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.tmp")
        place.mkdir(mode=0o700)
        lock = FileLock(place / LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):  # it was taken for that of a dead process
            continue
        except BaseException:
            remove(place)
            raise
        return place, lock


def workplaces_of(path: Path) -> list[Path]:
    """Return the workplaces of all processes that write, or wrote, a path; none where nobody may look."""
    prefix = _prefix(path)
    try:
        with os.scandir(path.parent) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.name.startswith(prefix)
                and _RANDOM.fullmatch(entry.name[len(prefix) :])
                and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def _prefix(path: Path) -> str:
    is_short = len(os.fsencode(path.name)) <= _LONGEST
    return f".{path.name if is_short else hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}-"


def remove_dead(path: Path) -> None:
    """Remove the workplaces of killed processes that wrote a path; what one took away is put back first."""
    for place in workplaces_of(path):
        lock = FileLock(place / LOCK)
        with contextlib.suppress(OSError):  # somebody holds it
            lock.acquire(timeout=0)
            try:
                _put_back(path, place)
                _clear(place)
            finally:
                lock.release()
            remove(place)


def _clear(place: Path) -> None:
    """Empty a workplace; Windows removes its lock only when that is free."""
    for entry in list(place.iterdir()):
        if entry.name != LOCK:
            remove(entry)
