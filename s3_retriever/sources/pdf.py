"""PDF to text, page by page, by pypdfium2."""

from __future__ import annotations

from typing import Any

from s3_retriever.errors import UnreadableFileError
from s3_retriever.sources.content import Content, kind_of

_PASSWORD = 4  # PDFium's FPDF_ERR_PASSWORD
_HYPHEN = "\ufffe"  # what PDFium gives for a hyphen at the end of a line, together with the line's end
_NO_TITLES = frozenset({"(anonymous)", "(unspecified)", "untitled"})  # what programs write for none


def read_pdf(data: bytes) -> Content:
    """Return the text of a PDF with its pages.

    A page's text is what ``get_text_range`` gives. Line ends become line feeds, and one ends each page.
    For a hyphen and the line end behind it PDFium gives U+FFFE; they are put back.

    Raises:
        UnreadableFileError: It is no PDF, damaged, encrypted, or has no text.
    """
    import pypdfium2

    if b"%PDF-" not in data[:1024]:
        msg = f"it is no PDF{', but ' + kind if (kind := kind_of(data)) else ''}"
        raise UnreadableFileError(msg)
    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        encrypted = getattr(error, "err_code", None) == _PASSWORD
        msg = "it is encrypted; save it without a password" if encrypted else f"it is damaged ({error})"
        raise UnreadableFileError(msg) from error
    try:
        return _content(pdf)
    except pypdfium2.PdfiumError as error:
        msg = f"it is damaged ({error})"
        raise UnreadableFileError(msg) from error
    finally:
        pdf.close()


def _content(pdf: Any) -> Content:
    parts, begins, length = [], [], 0
    for number in range(len(pdf)):
        page = pdf[number]
        words = page.get_textpage()
        text = words.get_text_range().replace("\r\n", "\n").replace(_HYPHEN, "-\n")
        words.close()
        page.close()
        if text and not text.endswith("\n"):
            text += "\n"
        begins.append(length)
        parts.append(text)
        length += len(text)
    if not any(map(str.strip, parts)):
        msg = f"its {len(begins)} pages hold no text; scanned pages need OCR first"
        raise UnreadableFileError(msg)
    title = str(pdf.get_metadata_value("Title")).strip()
    return Content("".join(parts), "" if title.lower() in _NO_TITLES else title, tuple(begins))
