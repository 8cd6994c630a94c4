"""What writing is made of: files and folders that survive a power cut, names that change in one step.

A file's content is safe once it was synced; that it has its name, once the folder was.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from s3_retriever.errors import DiskFullError, S3RetrieverError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)  # folders on some network drives
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux


@contextlib.contextmanager
def writing(path: Path, wanted: int | None = None) -> Iterator[None]:
    """Let errors of the system name the file that the user named, and not a temporary one in its place.

    Args:
        path: What they name.
        wanted: Bytes that are written, where known.

    Raises:
        DiskFullError: There is no room.
        OSError: As in the block, with this name.
    """
    try:
        yield
    except S3RetrieverError:  # which has its own names
        raise
    except OSError as error:
        if error.errno in _FULL:
            bytes_ = "" if wanted is None else f" ({wanted:,} bytes were to be written)"
            msg = f"{os.strerror(error.errno)}{bytes_}; make room there, or choose another place"
            raise DiskFullError(error.errno, msg, str(path)) from error
        name_file(error, path)
        raise


def name_file(error: OSError, path: Path | str) -> None:
    """Let an error of the system name one file, and nothing beside it."""
    error.filename = str(path)
    del error.filename2  # Python would write "-> None" for None


class _NamedFile(io.FileIO):
    """A new file whose errors name another path; it follows no link."""

    def __init__(self, path: Path, shown: Path, wanted: int | None) -> None:
        with writing(shown, wanted):
            super().__init__(path, "xb")
        self._shown = shown
        self._wanted = wanted

    def write(self, data: Any) -> int:
        with writing(self._shown, self._wanted):
            return super().write(data)


def create(path: Path, mode: str = "wb", *, shown: Path | None = None, wanted: int | None = None) -> IO[Any]:
    """Open a file that does not exist yet.

    Args:
        path: The file. A link there is an error.
        mode: "w" for UTF-8 text with line feeds at line ends, "wb" for bytes.
        shown: What errors call it; None: by its path.
        wanted: Bytes that will be written, where known, for the message of a full disk.

    Raises:
        DiskFullError: There is no room, at once or while it is written.
        OSError: It cannot be made; it may exist.
    """
    buffered = io.BufferedWriter(_NamedFile(path, shown or path, wanted))
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8", newline="\n")


def make_folders(path: Path) -> None:
    """Make a folder and those above it that are missing.

    Raises:
        FileExistsError: It, or one above it, is something else.
        OSError: It cannot be made.
    """
    if path.is_dir():
        return
    make_folders(path.parent)
    try:
        with writing(path):
            path.mkdir()
    except FileExistsError:
        if not path.is_dir():  # nobody was faster
            raise
    else:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Let the names in a folder survive a power cut, where the system can."""
    if os.name != "nt":
        _sync(path, os.O_RDONLY)


def sync_tree(folder: Path) -> None:
    """Let all that is in a folder survive a power cut: files first, then the folders, from below."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root, name)
            if not path.is_symlink():
                _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        sync_folder(Path(root))


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where that cannot be done."""
    rename = _renameat2()
    if rename is None:
        return False
    sys.audit("s3_retriever.exchange", str(one), str(other))
    swapped = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return swapped == 0


@cache
def _renameat2() -> Callable[..., int] | None:
    """Return Linux's renameat2(), where the C library has it."""
    try:
        found: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return None
    return found if sys.platform == "linux" else None


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, as far as that can be done; follow no link.

    Windows keeps what somebody maps.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
