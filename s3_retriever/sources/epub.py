"""EPUB to Markdown: its chapters in the order of reading."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.content import Content
from s3_retriever.sources.markup import read_html
from s3_retriever.sources.packed import damaged, open_packed

_CONTAINER = "META-INF/container.xml"


def read_epub(data: bytes) -> Content:
    """Return the text of a book as Markdown, without its table of contents, and its title.

    Raises:
        UnreadableFileError: It is no EPUB, damaged, encrypted, or unpacks to more than a gigabyte.
    """
    archive = open_packed(data, "EPUB")
    try:
        (root,) = _all(_parse(archive.read(_CONTAINER)), "rootfile")[:1]
        package = _parse(archive.read(root["full-path"]))
        chapters = [(name, archive.read(name)) for name in _spine(package, root["full-path"])]
    except Exception as error:  # of a ZIP, of XML, or of names that are missing
        raise damaged(error, "EPUB") from error
    titles = [title.get_text(" ", strip=True) for title in _all(package, "title")]
    texts = [_chapter(archive, name, chapter) for name, chapter in chapters]
    return Content("\n\n".join(filter(None, texts)), next(filter(None, titles), ""))


def _spine(package: Any, path: str) -> Iterator[str]:
    """Yield the names of the chapters in the archive, each once, given the package and its path."""
    items = {item.get("id"): item for item in _all(package, "item")}
    for name in dict.fromkeys(chapter["idref"] for chapter in _all(package, "itemref")):
        if "nav" not in items[name].get("properties", "").split():
            yield posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(items[name]["href"])))


def _chapter(archive: zipfile.ZipFile, name: str, chapter: bytes) -> str:
    try:
        return read_html(chapter, "utf-8").text
    except UnreadableFileError as error:
        is_locked = "META-INF/encryption.xml" in archive.namelist()
        msg = "it is encrypted" if is_locked else f"its {name} cannot be read: {error}"
        raise UnreadableFileError(msg) from error


def _parse(xml: bytes) -> Any:
    from bs4 import BeautifulSoup

    return BeautifulSoup(xml, "lxml-xml")


def _all(soup: Any, name: str) -> list[Any]:
    """Return all elements of a name, whatever their prefix."""
    return list(soup.find_all(lambda tag: tag.name.rpartition(":")[2] == name))
