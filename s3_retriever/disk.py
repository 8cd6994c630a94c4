"""How files are written: whole files and folders, one writer at a time, hashes, no foreign folders."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from s3_retriever.durable import (
    create,
    exchange,
    make_folders,
    name_file,
    sync_folder,
    sync_tree,
    writing,
)
from s3_retriever.errors import IndexBusyError, IndexFormatError, InvalidInputError
from s3_retriever.workplace import LOCK, NEW, OLD, PATIENCE, mend, remove_dead, workplace

_T = TypeVar("_T")
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/")


@contextlib.contextmanager
def new_file(
    path: Path, mode: str = "w", *, follow: bool = False, wanted: int | None = None
) -> Iterator[IO[Any]]:
    """Open a file that takes the place of ``path`` when the block ends without an error.

    Its content is on the disk before it takes that place, so a crash leaves the old file or the new one.

    Args:
        path: The file; its folder exists.
        mode: "w" for UTF-8 text with line feeds at line ends, "wb" for bytes.
        follow: Write where a link leads. Else the file takes the link's place.
        wanted: Bytes that will be written, where known, for the message of a full disk.

    Raises:
        InvalidInputError: ``path`` is a folder or a device.
        DiskFullError: There is no room.
        OSError: It cannot be written.
    """
    path = _resolved(path, follow)
    if path.exists() and not path.is_symlink() and not path.is_file():
        msg = f"{path} is not a file; choose another name"
        raise InvalidInputError(msg)
    with workplace(path) as place:
        with create(place / NEW, mode, shown=path, wanted=wanted) as file:
            yield file
            file.flush()
            with writing(path, wanted):
                os.fsync(file.fileno())
        with writing(path):
            (place / NEW).replace(path)
            sync_folder(path.parent)


def write_file(path: Path, data: bytes | memoryview, *, fresh: bool = False) -> None:
    """Write a whole file in place of an older one; see :func:`new_file`.

    Args:
        path: The file; its folder exists.
        data: Its content.
        fresh: The folder is one that :func:`new_folder` gave, and has no such file: nobody reads it yet.

    Raises:
        InvalidInputError: ``path`` is a folder or a device.
        DiskFullError: There is no room; names the path and the bytes.
        OSError: It cannot be written.
    """
    wanted = data.nbytes if isinstance(data, memoryview) else len(data)
    opened = create(path, wanted=wanted) if fresh else new_file(path, "wb", wanted=wanted)
    with opened as file:
        file.write(data)


def write_json(path: Path, value: object, *, indent: int | None = 1, fresh: bool = False) -> None:
    """Write a value as JSON in place of an older file; see :func:`write_file`.

    Raises:
        ValueError: A number in it is not finite.
        TypeError: Something in it is not of JSON.
        DiskFullError: There is no room.
        OSError: It cannot be written.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    write_file(path, f"{text}\n".encode("utf-8", "surrogatepass"), fresh=fresh)


@contextlib.contextmanager
def new_folder(
    path: Path, *, keep: Callable[[Path], bool] = lambda _: False, follow: bool = False
) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``path`` when the block ends without an error.

    All that is in it is on the disk before it takes that place. Where the system can, old and new change
    places in one step; elsewhere a kill between two steps is mended by whoever reads or writes ``path``
    next, see :func:`read_whole`.

    Args:
        path: The folder to make or to replace.
        keep: Whether what is at ``path`` when the block ends shall stay: another process was faster.
        follow: Write where a link leads. Else the folder takes the link's place.

    Raises:
        InvalidInputError: It would lie below a file.
        DiskFullError: There is no room.
        IndexBusyError: Somebody keeps the lock of the folder that is to be replaced.
        OSError: It cannot be written.
    """
    path = _resolved(path, follow)
    try:
        make_folders(path.parent)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{error.filename} is a file, so nothing can be written below it; choose another place"
        raise InvalidInputError(msg) from error
    with workplace(path) as place:
        new = place / NEW
        with writing(path):
            new.mkdir()
        try:
            yield new
        except OSError as error:  # as the path will be, not as the temporary one is
            inner = str(error.filename or "")
            if inner.startswith(str(new)):
                name_file(error, f"{path}{inner[len(str(new)) :]}")
            raise
        with writing(path):
            sync_tree(new)
            if not (os.path.lexists(path) and keep(path)):
                with _nobody_saves(path):
                    _take_place(new, path, keep)
                    sync_folder(path.parent)


def _take_place(new: Path, path: Path, keep: Callable[[Path], bool]) -> None:
    old = new.with_name(OLD)
    for _ in range(2):  # another process may be faster once
        if os.path.lexists(path) and exchange(new, path):
            return
        try:
            if os.path.lexists(path):
                path.rename(old)
            new.rename(path)
        except OSError:
            if os.path.lexists(path) and keep(path):
                return
        else:
            return
        finally:
            if os.path.lexists(old) and not os.path.lexists(path):
                old.rename(path)
    new.rename(path)


@contextlib.contextmanager
def _nobody_saves(folder: Path) -> Iterator[None]:
    """Keep the writer of a folder from going on in the one that takes its place."""
    if not (folder / LOCK).is_file():
        yield
        return
    with only_writer(folder, patience=PATIENCE):
        yield


def read_whole(path: Path, read: Callable[[], _T]) -> _T:
    """Read what :func:`new_folder` wrote, all of one version, also where somebody replaces it meanwhile.

    Args:
        path: The folder.
        read: Reads it; called again if the folder was replaced.

    Raises:
        Exception: What ``read`` raises on a folder that stayed.
    """
    while True:
        mend(path)
        before = _identity(path)
        try:
            found = read()
        except Exception:
            if _identity(path) == before:
                raise
        else:
            if _identity(path) == before:
                return found


def _identity(path: Path) -> tuple[int, ...]:
    """Return what tells a folder from the one that takes its place."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_ctime_ns


def url_in(path: str | os.PathLike[str]) -> str:
    """Return the URL that a path is, empty if it is none; a ``Path`` of a URL has lost a slash or two.

    Examples:
        >>> url_in("s3://bucket/kb"), url_in(Path("s3://bucket/kb")), url_in("s3/kb")
        ('s3://bucket/kb', 's3://bucket/kb', '')
    """
    text = os.fspath(path).replace(os.sep, "/")
    if not _URL.match(text):
        return ""
    if "://" in text:
        return text
    return text.replace(":/", ":///" if text.startswith(("file:", "local:")) else "://", 1)


def found_anywhere(name: str) -> str:
    """Return a path that is there as processes in other working folders find it; a name as it is."""
    return str(Path(name).absolute()) if not url_in(name) and Path(name).exists() else name


def refuse_url(path: Path) -> None:
    """Refuse a URL where a folder or a file is needed: it would become a folder called ``s3:``.

    Raises:
        InvalidInputError: It is one; names it.
    """
    if url := url_in(path):
        takers = "load(), from_dataset(), and the commands search, info, index --ray and serve --ray"
        msg = f"{url} is a URL; give a folder of this machine: URLs are for {takers}"
        raise InvalidInputError(msg)


def _resolved(path: Path, follow: bool) -> Path:
    refuse_url(path)
    return path.resolve() if follow or not path.name else path.parent.resolve() / path.name


@contextlib.contextmanager
def only_writer(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Keep others from writing to a folder until the block ends; the folder is made if it is missing.

    What processes left that were killed while they replaced the folder is removed before the block begins.
    The lock is the system's: it ends with the process that holds it, so a killed one leaves none behind.

    Args:
        folder: The folder.
        patience: Seconds to wait for another writer.

    Raises:
        InvalidInputError: It is a file, below one, or a URL, or its lock is no empty file.
        IndexBusyError: Another process or thread is writing to it.
        DiskFullError: There is no room.
        OSError: It cannot be locked.
    """
    refuse_url(folder)
    mend(folder)
    try:
        make_folders(folder)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{error.filename} is a file; choose a folder for the index"
        raise InvalidInputError(msg) from error
    file = folder / LOCK
    if os.path.lexists(file) and (file.is_symlink() or not file.is_file() or file.stat().st_size):
        msg = f"{file} is not the empty file that it should be, so nothing is written beside it; remove it"
        raise InvalidInputError(msg)
    lock = FileLock(file)
    try:
        with writing(file):
            lock.acquire(timeout=patience)
    except Timeout as error:
        msg = f"somebody else is saving to {folder}; wait until that is done and save again"
        raise IndexBusyError(msg) from error
    try:
        remove_dead(folder.resolve())
        yield
    finally:
        lock.release()


def refuse_links(*paths: Path) -> None:
    """Refuse a symbolic link where a folder of ours should be: what is written would land elsewhere.

    Raises:
        InvalidInputError: One is a link; names it.
    """
    for path in paths:
        if path.is_symlink():
            msg = f"{path} is a symbolic link, where a folder should be; remove it, or save to another folder"
            raise InvalidInputError(msg)


def refuse_foreign(folder: Path, what: str, ours: Callable[[str], bool], *, marker: str = "") -> None:
    """Refuse to write to a folder that holds something else. A missing or empty one is fine.

    Args:
        folder: Where something is about to be written.
        what: What that is, with its article: "an index".
        ours: Whether a name in the folder is a part of it.
        marker: A file that makes the folder ours, whatever else it holds; empty for none.

    Raises:
        InvalidInputError: It is a file or a URL, or holds something else; names what was found.
    """
    refuse_url(folder)
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


def check_writable(folder: Path) -> None:
    """Find out before the work whether a folder can be written to, or made, after it; nothing is left.

    Raises:
        InvalidInputError: It is a file, or below one.
        DiskFullError: There is no room at all.
        OSError: Nothing can be written there.
    """
    folder = folder.absolute()
    place = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not place.is_dir():
        msg = f"{place} is a file; choose a folder for the index"
        raise InvalidInputError(msg)
    with writing(place), tempfile.TemporaryFile(dir=place):
        pass


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


def hash_json(value: object) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys and the spaces between.

    Raises:
        TypeError: Something in it is not of JSON.
    """
    return hash_values(json.dumps(value, sort_keys=True))


def check_sealed(path: Path, value: object, sha256: object, *, required: bool) -> None:
    """Refuse a JSON value that is not what it was when its hash was written beside it.

    Args:
        path: Where it was read, for the message.
        value: The value.
        sha256: Its :func:`hash_json`, as it was read; None where there is none.
        required: Whether there must be one. What was written before there were any has none.

    Raises:
        IndexFormatError: It is another value, or has no hash.
    """
    if sha256 != hash_json(value) and (sha256 is not None or required):
        msg = f"{path} was altered (its SHA-256 differs); restore it or save again"
        raise IndexFormatError(msg)
