"""Documents as lines of JSON, so that one text is read without touching the others.

Lines are UTF-8 with ``surrogatepass``: escaped lone surrogates would pair up into other characters
when read back, which would move every offset after them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from mmap import mmap

from s3_retriever.documents import Document


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document that stays on disk: bytes ``start:end`` of a mapped file."""

    file: mmap
    start: int
    end: int


def read(entry: Document | StoredDocument) -> Document:
    """Return the document itself, from disk if that is where it is."""
    if isinstance(entry, Document):
        return entry
    fields = json.loads(to_line(entry).decode("utf-8", "surrogatepass"))
    return Document(fields["id"], fields["text"], fields["title"], fields["metadata"])


def to_line(entry: Document | StoredDocument) -> bytes:
    """Return the document's line, line feed included."""
    if isinstance(entry, StoredDocument):
        return entry.file[entry.start : entry.end]
    fields = {
        "id": entry.id,
        "title": entry.title,
        "metadata": dict(entry.metadata),
        "text": entry.text,
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")
