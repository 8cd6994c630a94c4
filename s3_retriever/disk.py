"""How files are written: whole files and folders, one writer at a time, hashes, no foreign folders."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from s3_retriever.errors import IndexBusyError, InvalidInputError

LOCK = ".lock"
"""The file in a folder that is locked while somebody writes to the folder; empty, and left there."""


@contextlib.contextmanager
def new_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that takes the place of ``path`` when the block ends without an error.

    Its content is on the disk before it takes that place, so a crash leaves the old file or the new one.

    Args:
        path: The file; its folder exists.
        mode: "w" for UTF-8 text with line feeds at line ends, "wb" for bytes.

    Raises:
        InvalidInputError: ``path`` is a folder or a device.
        OSError: It cannot be written.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        msg = f"{path} is not a file; choose another name"
        raise InvalidInputError(msg)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _called(path):
            opened = temporary.open(mode, **text)
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, data: bytes | npt.NDArray[Any] | memoryview) -> None:
    """Write a whole file in place of an older one; see :func:`new_file`.

    Args:
        path: The file; its folder exists.
        data: Its content; an array is written in the ``.npy`` format.

    Raises:
        InvalidInputError: ``path`` is a folder or a device.
        OSError: It cannot be written.
    """
    with new_file(path, "wb") as file:
        if isinstance(data, np.ndarray):
            np.save(file, data, allow_pickle=False)
        else:
            file.write(data)


def write_json(path: Path, value: object, *, indent: int | None = 1) -> None:
    """Write a value as JSON in place of an older file; see :func:`new_file`.

    Raises:
        ValueError: A number in it is not finite.
        TypeError: Something in it is not of JSON.
        OSError: It cannot be written.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    write_file(path, f"{text}\n".encode("utf-8", "surrogatepass"))


@contextlib.contextmanager
def new_folder(path: Path, *, keep: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``path`` when the block ends without an error.

    Args:
        path: The folder to make or to replace.
        keep: Whether what is at ``path`` when the block ends shall stay: another process was faster.

    Raises:
        OSError: It cannot be written.
    """
    path = path.resolve()
    with _called(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(
            prefix=f".{path.name}-", dir=path.parent, ignore_cleanup_errors=True
        )  # Windows cannot remove a file that a reader still maps
    with folder as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()  # unlike the temporary folder, others may read it
        yield new
        try:
            if path.exists() and not keep(path):
                path.rename(old)
            if not path.exists():
                new.rename(path)
        except OSError:
            if not (path.exists() and keep(path)):
                raise
        finally:
            if old.exists() and not path.exists():  # interrupted between the two
                old.rename(path)


@contextlib.contextmanager
def _called(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that the user named, and not the temporary one in its place."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep others from writing to a folder until the block ends; the folder is made if it is missing.

    The lock is the system's: it ends with the process that holds it, so a killed one leaves none behind.

    Raises:
        InvalidInputError: It is a file, or below one.
        IndexBusyError: Another process or thread is writing to it.
        OSError: It cannot be locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{error.filename} is a file; choose a folder for the index"
        raise InvalidInputError(msg) from error
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"somebody else is saving to {folder}; wait until that is done and save again"
        raise IndexBusyError(msg) from error
    try:
        yield
    finally:
        lock.release()


def refuse_foreign(folder: Path, what: str, ours: Callable[[str], bool], *, marker: str = "") -> None:
    """Refuse to write to a folder that holds something else. A missing or empty one is fine.

    Args:
        folder: Where something is about to be written.
        what: What that is, with its article: "an index".
        ours: Whether a name in the folder is a part of it.
        marker: A file that makes the folder ours, whatever else it holds; empty for none.

    Raises:
        InvalidInputError: It is a file, or holds something else; names the folder and what was found.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        msg = f"{folder} is a file; choose a folder for {what}"
        raise InvalidInputError(msg)
    if marker and (folder / marker).is_file():
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if not ours(entry.name))
    if foreign:
        msg = f"{folder} holds {foreign[0]!r}, which is no part of {what}; choose another folder"
        raise InvalidInputError(msg)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def hash_values(*values: str | bytes | npt.NDArray[Any]) -> str:
    """Return the SHA-256 of texts, bytes and arrays, as 64 hexadecimal digits.

    An array counts with its type and shape. Texts are hashed as UTF-8, lone surrogates included.
    """
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, str):
            digest.update(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes):
            digest.update(value)
        else:
            digest.update(f"{value.dtype.str} {value.shape}".encode())
            if value.size:  # an empty array has no buffer to cast
                digest.update(np.ascontiguousarray(value).view(np.uint8).data)
    return digest.hexdigest()
