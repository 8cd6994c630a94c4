"""What a reader makes of a file, and how bytes become text."""

from __future__ import annotations

import codecs
from typing import NamedTuple

from s3_retriever.errors import UnreadableFileError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive, as office files since 2007 are"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office file that is encrypted or of the format before 2007"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"{\\rtf", "an RTF text"),
)
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1b\x1f"))
_MOST_CONTROLS = 1 / 32  # of the bytes of a text: UTF-16 of any script has more


class Content(NamedTuple):
    """What a file says.

    Attributes:
        text: All of its text, as the library that read it gave it.
        title: Its title, where it has one of its own.
        pages: Where its pages begin; see :class:`s3_retriever.Document`.
    """

    text: str
    title: str = ""
    pages: tuple[int, ...] = ()


def kind_of(data: bytes) -> str:
    """Return what bytes are by how they begin, with its article; empty where nothing is known."""
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")


def decode(data: bytes, encoding: str) -> str:
    """Return bytes as text: by their byte order mark, as UTF-8, or else in an encoding.

    Line ends stay as they are. Nothing is guessed: a guess that is wrong is a text that nobody finds.

    Args:
        data: The content of a file.
        encoding: For what is not UTF-8.

    Raises:
        UnreadableFileError: It is in none of these, or no text.
    """
    name = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    if kind := kind_of(data) or ("binary" if name.startswith("utf-8") and _is_binary(data) else ""):
        msg = f"it is no text, but {kind}"
        raise UnreadableFileError(msg)
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        if name == "utf-8" and b"\0" in data:
            msg = "it is no text, but binary"
            raise UnreadableFileError(msg) from error
        if encoding == "utf-8":
            msg = (
                f"it is not UTF-8 (byte {error.start + 1}); name its encoding, such as cp1252, or convert it"
            )
            raise UnreadableFileError(msg) from error
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        msg = f"it is neither UTF-8 nor {encoding} (byte {error.start + 1}); convert it"
        raise UnreadableFileError(msg) from error


def _is_binary(data: bytes) -> bool:
    """Whether bytes have NULs as numbers and UTF-16 have them; an Info file and a slip leave single ones."""
    if b"\0" not in data:
        return False
    controls = len(data) - len(data.translate(None, delete=_CONTROLS))
    return b"\0\0" in data or controls > _MOST_CONTROLS * len(data)
