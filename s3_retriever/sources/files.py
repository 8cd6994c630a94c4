"""Which reader a file gets, by the ending of its name, and what becomes of it: one document a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from s3_retriever.checks import check_library, check_settings, each, instance, pip_install, whole
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError, UnreadableFileError
from s3_retriever.sources.content import Content, decode
from s3_retriever.sources.epub import read_epub
from s3_retriever.sources.excel import read_xls, read_xlsx
from s3_retriever.sources.info import read_info
from s3_retriever.sources.ipynb import read_notebook
from s3_retriever.sources.mail import read_mail, read_mailbox
from s3_retriever.sources.markup import read_docx, read_html
from s3_retriever.sources.ods import read_ods
from s3_retriever.sources.pdf import read_pdf
from s3_retriever.sources.records import read_json, read_table
from s3_retriever.sources.slides import read_pptx

LINES = (".jsonl", ".ndjson")
"""Endings of files of a document a line."""

_LIBRARIES = {
    ".pdf": ("pypdfium2", "pypdfium2"),
    ".docx": ("mammoth", "mammoth"),
    ".ods": ("lxml", "lxml"),
    ".xls": ("xlrd", "xlrd"),
    **dict.fromkeys((".xlsx", ".xlsm"), ("openpyxl", "openpyxl")),
    **dict.fromkeys((".pptx", ".pptm"), ("python-pptx", "pptx")),
    **dict.fromkeys((".html", ".epub", ".eml", ".mbox"), ("markdownify", "markdownify")),
}
# Of readers by their endings; of any other, 1.
_VERSIONS = dict.fromkeys(("html", "docx", "info", "ipynb", "eml", "mbox", "csv", "tsv", "json"), 2)
_HTML = (".html", ".htm", ".xhtml")


@dataclass(frozen=True)
class FileSettings:
    """What is read of files, and how.

    Attributes:
        max_bytes: Larger files are not read; a file of a document a line may have any size.
        encoding: Of text files that are not UTF-8.
        exclude: Patterns of what is left out, such as ``"*.log"`` or ``"build/*"``; each is compared with
            the path below the folder, and with the name alone.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    max_bytes: int = 50_000_000
    encoding: str = "utf-8"
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self, max_bytes=whole(1), exclude=each(instance(str, "a str"), least=0))
        try:
            "".encode(self.encoding)
        except LookupError as error:
            msg = f"encoding must be one that Python knows, such as cp1252, not {self.encoding!r}"
            raise InvalidInputError(msg) from error


@dataclass(frozen=True)
class SourceFile:
    """A file that is read.

    Attributes:
        id: Its path as the id of its document: with slashes, below the folder that was given.
        path: Where it is.
        data: What it holds, where that can be read only once.
    """

    id: str
    path: Path
    data: bytes | None = None

    @property
    def ending(self) -> str:
        """The ending of its name with its dot, in lower case."""
        return PurePosixPath(self.id).suffix.lower()

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size if self.data is None else len(self.data)

    def open(self) -> IO[bytes]:
        """Open it to be read."""
        return self.path.open("rb") if self.data is None else io.BytesIO(self.data)

    def read(self, settings: FileSettings) -> bytes:
        """Return what it holds.

        Raises:
            UnreadableFileError: It is empty, or larger than it may be.
            OSError: It cannot be read.
        """
        check_size(self.size, settings)
        data = self.path.read_bytes() if self.data is None else self.data
        if not data.strip():
            msg = "it is empty"
            raise UnreadableFileError(msg)
        return data


def check_size(size: int, settings: FileSettings) -> None:
    """Refuse a file of more bytes than are allowed.

    Raises:
        UnreadableFileError: It has more.
    """
    if size > settings.max_bytes:
        msg = f"it has {size:,} bytes, more than the {settings.max_bytes:,} that are allowed"
        raise UnreadableFileError(msg)


def reader_of(ending: str) -> str:
    """Return which reader files of an ending get, and its version: a new one reads all of them again."""
    reader = "html" if ending in _HTML else ending[1:]
    return f"{reader}/{_VERSIONS.get(reader, 1)}"


def check_libraries(endings: Iterable[str]) -> None:
    """Say before the work, not after it, that what reads some of the files is missing.

    Raises:
        MissingDependencyError: Names the library and the extra.
    """
    for ending in sorted(set(endings)):
        ending = ".html" if ending in _HTML else ending
        if ending in _LIBRARIES:
            check_library(f"{ending} files", *_LIBRARIES[ending], pip_install("files"))


def to_document(file: SourceFile, data: bytes, source_hash: str, settings: FileSettings) -> Document:
    """Return what a file holds as a document; its metadata are ``path`` and ``type``.

    Raises:
        UnreadableFileError: It is damaged, encrypted, holds no text, or is something else than its name says.
    """
    read = _READERS.get(file.ending, _read_text)
    content = read(data, settings.encoding)
    if not content.text.strip():
        msg = "it holds no text"
        raise UnreadableFileError(msg)
    metadata = {"path": file.id, "type": file.ending[1:] or "text"}
    return Document(file.id, content.text, content.title, metadata, content.pages, source_hash)


def _read_text(data: bytes, encoding: str) -> Content:
    return Content(read_info(decode(data, encoding)))


_READERS: dict[str, Callable[[bytes, str], Content]] = {
    ".pdf": lambda data, _: read_pdf(data),
    ".docx": lambda data, _: read_docx(data),
    ".epub": lambda data, _: read_epub(data),
    ".eml": read_mail,
    ".mbox": read_mailbox,
    ".ipynb": lambda data, encoding: read_notebook(decode(data, encoding)),
    ".csv": lambda data, encoding: Content(read_table(decode(data, encoding))),
    ".tsv": lambda data, encoding: Content(read_table(decode(data, encoding), "\t")),
    ".json": lambda data, encoding: Content(read_json(decode(data, encoding))),
    ".ods": lambda data, _: read_ods(data),
    ".xls": lambda data, _: read_xls(data),
    **dict.fromkeys((".xlsx", ".xlsm"), lambda data, _: read_xlsx(data)),
    **dict.fromkeys((".pptx", ".pptm"), lambda data, _: read_pptx(data)),
    **dict.fromkeys(_HTML, read_html),
}
