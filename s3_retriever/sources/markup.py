"""HTML and DOCX to Markdown, by Beautiful Soup, mammoth and markdownify."""

from __future__ import annotations

import io
import warnings
from typing import Any

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.content import Content, decode
from s3_retriever.sources.packed import damaged, open_packed
from s3_retriever.sources.page import tidy

_CELLS = ("td", "th")
_UNSEEN = ("script", "style", "template", "noscript", "head")
_UNMARKED = ["a", "img", "b", "strong", "em", "i", "u", "s", "del"]  # marks within words would part them
_TITLES = "p[style-name='Title'] => h1:fresh"


def read_html(data: bytes, encoding: str) -> Content:
    """Return the text of an HTML page as Markdown: headings, lists, tables and code; no links, no pictures.

    Args:
        data: The page, in the encoding that it declares, or as :func:`decode` reads it.
        encoding: For a page that declares none and is not UTF-8.

    Raises:
        UnreadableFileError: It is no text, or nested too deeply.
    """
    from bs4.dammit import EncodingDetector

    declared = EncodingDetector.find_declared_encoding(data, is_html=True)
    try:
        return _markdown(decode(data, declared or encoding))
    except LookupError:  # no encoding has that name
        return _markdown(decode(data, encoding))


def read_docx(data: bytes) -> Content:
    """Return the text of a Word document as Markdown, without pictures.

    Raises:
        UnreadableFileError: It is no DOCX, damaged, encrypted, or unpacks to more than a gigabyte.
    """
    import mammoth

    open_packed(data, "DOCX").close()
    try:
        made = mammoth.convert_to_html(
            io.BytesIO(data),
            convert_image=mammoth.images.img_element(lambda _: {}),
            include_embedded_style_map=False,
            style_map=_TITLES,
        )
    except Exception as error:  # mammoth lets pass whatever a parser raises
        raise damaged(error, "DOCX") from error
    return _markdown(made.value)


def _markdown(html: str) -> Content:
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
    from markdownify import MarkdownConverter

    converter = MarkdownConverter(
        heading_style="ATX",
        bullets="-",
        escape_asterisks=False,
        escape_underscores=False,
        escape_misc=False,
        strip=_UNMARKED,
        table_infer_header=True,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # XHTML
            soup = BeautifulSoup(html, "lxml")
        title = soup.title.get_text(" ", strip=True) if soup.title else ""
        for unseen in soup.find_all(_UNSEEN):
            unseen.decompose()
        tidy(soup, len(html))
        _keep_pipes(soup)
        return Content(converter.convert_soup(soup).strip(), title)
    except RecursionError as error:
        msg = "it is nested too deeply"
        raise UnreadableFileError(msg) from error


def _keep_pipes(soup: Any) -> None:
    """Write pipes in cells as Markdown has them: markdownify 1.2.3 lets them part the cell."""
    from bs4.element import NavigableString, Tag

    waiting = [(soup, False)]
    while waiting:
        node, is_in_cell = waiting.pop()
        for child in list(node.children):
            if isinstance(child, Tag):
                waiting.append((child, is_in_cell or child.name in _CELLS))
            elif is_in_cell and type(child) is NavigableString and "|" in child:
                child.replace_with(child.replace("|", "\\|"))
