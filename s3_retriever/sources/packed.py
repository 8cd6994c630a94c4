"""ZIP archives that documents come in."""

from __future__ import annotations

import io
import zipfile

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.content import kind_of

_MOST_BYTES = 1 << 30  # that an archive may hold


def open_packed(data: bytes, kind: str) -> zipfile.ZipFile:
    """Open the archive that a document of a kind, such as DOCX, is.

    Raises:
        UnreadableFileError: It is none, or unpacks to more than a gigabyte.
    """
    if not data.startswith(b"PK\x03\x04"):
        msg = f"it is no {kind}{', but ' + other if (other := kind_of(data)) else ''}"
        raise UnreadableFileError(msg)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # zipfile lets pass what it meets in a damaged directory
        raise damaged(error, kind) from error
    size = sum(one.file_size for one in archive.infolist())
    if size > _MOST_BYTES:
        msg = f"it unpacks to {size:,} bytes"
        raise UnreadableFileError(msg)
    return archive


def damaged(error: Exception, kind: str) -> UnreadableFileError:
    """Return what is said of a document that a library stumbled over."""
    words = " ".join(str(error).split())
    return UnreadableFileError(f"it is damaged, or no {kind} ({type(error).__name__}: {words})")
