"""Documents as lines of JSON, so that one is read without touching the others.

Lines are UTF-8 with ``surrogatepass``: escaped lone surrogates would pair up into other characters
when read back, which would move every offset after them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidDocumentError
from s3_retriever.json_form import json_form


class DocumentStore:
    """The D documents of a segment, each as its line; nothing in it ever changes.

    Not as ``str``: that takes two or four bytes a character as soon as one needs them.

    Attributes:
        utf8: uint8, all lines, one after the other, maybe memory-mapped.
        offsets: int64 (D + 1,), where each begins and ends.
    """

    def __init__(self, utf8: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> None:
        self.utf8 = np.asarray(utf8)
        self.offsets = np.asarray(offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def line(self, number: int) -> npt.NDArray[np.uint8]:
        """Return one document's line, uint8, line feed included."""
        return self.utf8[self.offsets[number] : self.offsets[number + 1]]

    def __getitem__(self, number: int) -> Document:
        """Read one document."""
        fields = json.loads(self.line(number).tobytes().decode("utf-8", "surrogatepass"))
        return Document(fields["id"], fields["text"], fields["title"], fields["metadata"])


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


def to_line(document: Document) -> bytes:
    """Return a document's line, line feed included."""
    fields = {
        "id": document.id,
        "title": document.title,
        "metadata": dict(document.metadata),
        "text": document.text,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")
