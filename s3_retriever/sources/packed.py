"""ZIP archives that documents come in."""

from __future__ import annotations

import io
import zipfile

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.content import kind_of

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How an office file of the format before 2007 begins."""

_MOST_BYTES = 1 << 30  # that an archive may hold


def open_packed(data: bytes, kind: str) -> zipfile.ZipFile:
    """Open the archive that a document of a kind, such as DOCX, is.

    Raises:
        UnreadableFileError: It is none, encrypted, or unpacks to more than a gigabyte.
    """
    if is_encrypted(data):
        msg = "it is encrypted; save it without a password"
        raise UnreadableFileError(msg)
    if not data.startswith(b"PK\x03\x04"):
        other = kind_of(data)
        msg = f"it is no {kind}{f', but {other}; save it as {kind}' if other else ''}"
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


def is_encrypted(data: bytes) -> bool:
    """Whether a document of Office since 2007 is encrypted: it is packed in a file of the older format."""
    return data.startswith(OLE) and "EncryptedPackage".encode("utf-16-le") in data


def damaged(error: Exception, kind: str) -> UnreadableFileError:
    """Return what is said of a document that a library stumbled over."""
    words = " ".join(str(error).split())
    msg = f"it is damaged, or no {kind} ({type(error).__name__}: {words}); save it again"
    return UnreadableFileError(msg)
