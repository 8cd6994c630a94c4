"""Files that users write and get: JSON lines in, and output that appears complete or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from filelock import FileLock, Timeout

from s3_retriever.documents import Document
from s3_retriever.errors import IndexBusyError, InvalidInputError

LOCK = ".lock"
"""The file in a folder that is locked while somebody writes to the folder; empty, and left there."""


class Line(NamedTuple):
    """One JSON object of a file, with an id that no line before it has.

    Attributes:
        id: Its ``_id``.
        text: Its ``text``.
        fields: The whole object.
        place: File and line number, for messages.
    """

    id: str
    text: str
    fields: Mapping[str, Any]
    place: str


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read JSON objects with the numbers of their lines, one a line, lazily; blank lines do not count.

    Raises:
        InvalidInputError: A line is no JSON object, or no UTF-8; names file and line.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if raw.strip():
                yield number, parse_object(raw, f"{path}, line {number}")


def read_lines(path: Path) -> Iterator[Line]:
    """Read objects with ``_id`` and ``text``, one a line, lazily; blank lines do not count.

    Raises:
        InvalidInputError: A line is no such object, no UTF-8, or repeats an id; names file and line.
        OSError: The file cannot be read.
    """
    numbers: dict[str, int] = {}
    for number, fields in read_objects(path):
        place = f"{path}, line {number}"
        line = Line(string_field(fields, "_id", place), string_field(fields, "text", place), fields, place)
        if not line.id:
            msg = f"{place}: '_id' is empty"
            raise InvalidInputError(msg)
        if line.id in numbers:
            msg = f"{place}: the id {line.id!r} is that of line {numbers[line.id]}; give each its own"
            raise InvalidInputError(msg)
        numbers[line.id] = number
        yield line


def read_corpus(path: Path) -> Iterator[Document]:
    """Read documents ``{_id, title, text, metadata}`` lazily; title and metadata may be left out.

    Other fields are ignored, and so is metadata that is no object.

    Raises:
        InvalidInputError: As :func:`read_lines`.
        OSError: The file cannot be read.
    """
    for line in read_lines(path):
        title = "" if line.fields.get("title") is None else string_field(line.fields, "title", line.place)
        metadata = line.fields.get("metadata")
        yield Document(line.id, line.text, title, metadata if isinstance(metadata, dict) else {})


def parse_object(raw: bytes, place: str) -> dict[str, Any]:
    """Return the JSON object that ``raw`` is.

    Raises:
        InvalidInputError: It is no JSON object, or no UTF-8; names ``place``.
    """
    try:
        fields = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        msg = f"{place}: not UTF-8 (byte {error.start + 1} of the line); convert the file"
        raise InvalidInputError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{place}: not JSON ({error})"
        raise InvalidInputError(msg) from error
    if not isinstance(fields, dict):
        msg = f"{place}: expected a JSON object, not {type(fields).__name__}"
        raise InvalidInputError(msg)
    return fields


def string_field(fields: Mapping[str, Any], name: str, place: str) -> str:
    """Return a field that must be a string.

    Raises:
        InvalidInputError: It is missing or of another type; names ``place``.
    """
    if name not in fields:
        msg = f"{place}: no field {name!r}; there are {', '.join(map(repr, fields)) or 'none'}"
        raise InvalidInputError(msg)
    value = fields[name]
    if not isinstance(value, str):
        msg = f"{place}: {name!r} must be a string, not {value!r:.40}"
        raise InvalidInputError(msg)
    return value


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Open a file for writing that takes the place of ``path`` when the block ends without an error.

    Raises:
        InvalidInputError: ``path`` is a folder or a device.
        OSError: It cannot be written.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        msg = f"{path} is not a file; choose another name"
        raise InvalidInputError(msg)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield the name of a folder to make, which takes the place of ``path`` when the block ends.

    On an error ``path`` stays as it was.

    Raises:
        OSError: It cannot be written.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        yield new
        try:
            if path.exists():
                path.rename(old)
            new.rename(path)
        finally:
            if old.exists() and not path.exists():  # interrupted between the two
                old.rename(path)


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep others from writing to a folder, which is made if need be, until the block ends.

    The lock is the system's: it ends with the process that holds it, so a killed one leaves none behind.

    Raises:
        InvalidInputError: It is a file, or below one.
        IndexBusyError: Another process or thread is writing to it.
        OSError: The lock cannot be had.
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
