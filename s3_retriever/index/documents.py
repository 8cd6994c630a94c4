"""Documents as lines of JSON, so that one is read without touching the others.

Lines are UTF-8 with ``surrogatepass``: escaped lone surrogates would pair up into other characters
when read back, which would move every offset after them.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.errors import IndexFormatError, InvalidDocumentError
from s3_retriever.json_form import json_form, parse_json

IN_MEMORY = "an array in memory"
"""What :func:`file_of` calls an array that is not mapped."""

INDEX_AGAIN = "restore it or index the documents again"
"""How messages about damaged files end."""


def ascends(pointers: npt.NDArray[Any], end: int) -> bool:
    """Tell whether pointers run from 0 to ``end`` without a step back."""
    return bool(pointers[0] == 0 and pointers[-1] == end and (pointers[1:] >= pointers[:-1]).all())


def file_of(array: npt.NDArray[Any]) -> str:
    """Return what messages call an array: the file that it is mapped from."""
    at: Any = array
    while isinstance(at, np.ndarray):
        if isinstance(at, np.memmap):
            return str(at.filename or IN_MEMORY)
        at = at.base
    return IN_MEMORY


class MappedFile:
    """A file that is mapped; a process that reads behind the end to which it was cut is killed.

    Args:
        path: The file.
        array: What is mapped of it.
    """

    def __init__(self, path: Path, array: npt.NDArray[Any]) -> None:
        self._path = path
        holder: Any = array
        while holder is not None and not isinstance(holder, mmap.mmap):
            holder = holder.base
        self._map: mmap.mmap | None = holder
        self._size = 0 if holder is None else holder.size()

    def check(self) -> None:
        """Refuse a file that has shrunk.

        Raises:
            IndexFormatError: It has.
        """
        if self._map is not None and self._map.size() < self._size:
            msg = f"{self._path} has shrunk to {self._map.size()} bytes since it was loaded; {INDEX_AGAIN}"
            raise IndexFormatError(msg)


class DocumentStore:
    """The D documents of a segment, each as its line; nothing in it ever changes.

    Not as ``str``: that takes two or four bytes a character as soon as one needs them.

    Attributes:
        utf8: uint8, all lines, one after the other, maybe memory-mapped.
        offsets: int64 (D + 1,), where each begins and ends.

    Raises:
        IndexFormatError: The offsets are of another type or shape, or do not cover the lines.
    """

    def __init__(self, utf8: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> None:
        self._source = file_of(utf8)
        self.utf8 = np.asarray(utf8)
        self.offsets = np.asarray(offsets)
        plain = self.utf8.ndim == self.offsets.ndim == 1 and len(self.offsets) > 0
        if not (plain and self.offsets.dtype == np.int64 and ascends(self.offsets, len(self.utf8))):
            msg = f"{file_of(offsets)} does not say where the lines of {self._source} begin; {INDEX_AGAIN}"
            raise IndexFormatError(msg)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def line(self, number: int) -> npt.NDArray[np.uint8]:
        """Return one document's line, uint8, line feed included."""
        return self.utf8[self.offsets[number] : self.offsets[number + 1]]

    def __getitem__(self, number: int) -> Document:
        """Read one document.

        Raises:
            IndexFormatError: Its line is no document.
        """
        try:
            return of_line(self.line(number).tobytes())
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            msg = f"{self._source} is damaged in line {number + 1} ({reason}); {INDEX_AGAIN}"
            raise IndexFormatError(msg) from error


def with_json_metadata(document: Document) -> Document:
    """Return a document with its metadata as it will be read back; see :func:`json_form`.

    Raises:
        InvalidDocumentError: Something in it has no form in JSON; names the key.
    """
    try:
        return replace(document, metadata=json_form(document.metadata, "metadata"))
    except TypeError as error:
        msg = f"document {document.id!r}: {error}"
        raise InvalidDocumentError(msg) from error
    except RecursionError as error:
        msg = f"document {document.id!r}: its metadata holds itself or is nested too deeply"
        raise InvalidDocumentError(msg) from error


def of_line(line: bytes) -> Document:
    """Return the document whose line :func:`to_line` returned.

    Raises:
        ValueError: It is no line of a document.
        KeyError: Likewise.
        TypeError: Likewise.
    """
    fields = parse_json(line.decode("utf-8", "surrogatepass"))
    return Document(
        fields["id"],
        fields["text"],
        fields["title"],
        fields["metadata"],
        tuple(fields["pages"]),
        fields["source_hash"],
    )


def to_line(document: Document) -> bytes:
    """Return a document's line, line feed included."""
    fields = {
        "id": document.id,
        "title": document.title,
        "metadata": dict(document.metadata),
        "pages": document.pages,
        "source_hash": document.source_hash,
        "text": document.text,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")
