"""Words of a text as search terms, and the cells they lie in; in linear time and for any ``str``.

Offsets always refer to the text exactly as given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.index.forms import DATE, HYPHENATION, MARKER, Form, folded, forms
from s3_retriever.index.scripts import COMPATIBLE, IGNORABLE, MARKS, UNSPACED, below

FOLDED = 0.3
"""How much a word counts in a question that agrees with one of it up to accents and vowel marks."""

# Every character beyond U+FFFF is taken along: each range of marks there would be tried at every space.
# Most words end where they seem to; to look for more after each of them would take longer than to find them.
_CHARACTERS = rf"[\w{below(MARKS + IGNORABLE + COMPATIBLE)}\U00010000-\U0010ffff]+"
_AT_END = r"(?<!\xad)(?=[ ,.][^\d])"
_IN_NUMBER = (
    r"(?<=\d)(?:[.,'’\u066b\u066c](?=\d)|[ \xa0\u2009\u202f](?=\d\d\d(?!\w))"
    r"|[\uff0c\uff0e](?<=[\uff10-\uff19].)(?=[\uff10-\uff19]))"
)
RUN = re.compile(
    rf"({DATE}|{_CHARACTERS}(?:{_AT_END}|(?:(?:{_IN_NUMBER}|{HYPHENATION}){_CHARACTERS})*))(?:['’][sS]\b)?"
)
"""What may be one word (group 1), with hyphens at ends of lines and separators of numbers, or a date."""

PAGE = "\f"
"""Begins the term of a page's number, which no text has and a question that names the page."""

_NAME = re.compile(r"[^\W_]_[^\W_]|[a-z][A-Z]")

LONG_QUESTION = 512
"""Terms of a question from which on each of them counts once."""

_MOST_PAGES = 16  # of a range that a question names
_NUMBER = r"(\d{1,5})(?!\w|[.,]\d)(?:\s?[-\u2013]\s?(\d{1,5})(?!\w|[.,]\d))?"
_NAMED_PAGES = re.compile(
    rf"\b(?:pages?|pp?\.|seiten?|p[aá]ginas?|pagin[ae]|p[aá]gs?\.|stron[ay]|str\.|страниц\w*|стр\."
    rf"|sayfa|trang|पृष्ठ|पेज|صفحة|halaman|sid[ae]n?|bladzijden?|blz\.)\s?{_NUMBER}"
    r"|(?<!\w)第?\s?(\d{1,5})\s?(?:页|頁|ページ|쪽|페이지)",
    re.IGNORECASE,
)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_PIECE = 1 << 13  # words handled at a time
_CACHED = 64  # characters of the longest run whose terms are kept for the next time


class Asked(NamedTuple):
    """A term that a question asks for.

    Attributes:
        term: As it is indexed; a code's words together, see :mod:`s3_retriever.index.codes`.
        weight: How much it counts.
        exact: The term of which this is a weaker form; empty where it is none.
        start: Where it begins in the question.
        end: Where it ends there.
        is_name: Whether it is a code, or written as source code writes names: "read_rows", "getUser".
    """

    term: str
    weight: float = 1.0
    exact: str = ""
    start: int = 0
    end: int = 0
    is_name: bool = False


def words(text: str) -> Iterator[tuple[str, int]]:
    """Cut text into search terms; `docs/format.md` says which ones.

    Yields:
        (term, offset of its first character in ``text``), in order of the offsets.
    """
    for match in RUN.finditer(text):
        start, found = match.start(), _terms(match[1])
        if isinstance(found, str):
            yield found, start
        else:
            for term, at, _ in found:
                yield term, start + at


def placed_words(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield what :func:`words` does, each with the offset of its end too."""
    for match in RUN.finditer(text):
        found = _terms(match[1])
        for term, start, end in ((found, 0, len(match[1])),) if isinstance(found, str) else found:
            yield term, match.start() + start, match.start() + end


def asked(question: str) -> list[Asked]:
    """Return the terms that a question asks for, in their order.

    One that it has twice is there twice. Behind them come the pages that it names by their numbers, "page 12"
    or "p. 12", in some twenty languages. Of a long question, such as a stack trace, each is there once: what
    that repeats says least.
    """
    found = [
        one._replace(
            start=match.start() + form.start,
            end=match.start() + form.end,
            is_name=(form.start, form.end) == (0, len(match[1])) and _NAME.search(match[1]) is not None,
        )
        for match in RUN.finditer(question)
        for form in forms(match[1])
        if form.weight
        for one in _asked(form)
    ]
    found += _named_pages(question)
    if len(found) <= LONG_QUESTION:
        return found
    once: dict[tuple[str, str], Asked] = {}
    for one in found:
        once.setdefault((one.term, one.exact), one)
    return list(once.values())


def _named_pages(question: str) -> Iterator[Asked]:
    for match in _NAMED_PAGES.finditer(question):
        number = 1 if match[1] else 3
        first = int(match[number])
        last = int(match[2] or first)
        for page in range(first, min(max(first, last), first + _MOST_PAGES - 1) + 1):
            yield Asked(f"{PAGE}{page}", start=match.start(number), end=match.end(number))


def cell_terms(
    text: str, cell_starts: npt.NDArray[np.integer]
) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
    """Give every word of a document to the cell that holds its first character.

    A word before the first cell belongs to it. Memory does not grow with the text.

    Args:
        text: The document.
        cell_starts: int (c,), offset of the first character of each cell, ascending.

    Yields:
        Pieces of the document, in order: n terms, and int64 (n,), the cell of each; nothing without cells.
    """
    found = words(text) if len(cell_starts) else iter(())
    firsts = np.asarray(cell_starts, np.int64)
    while piece := list(islice(found, _PIECE)):
        starts = np.fromiter((start for _, start in piece), np.int64, len(piece))
        cells = np.searchsorted(firsts, starts, side="right") - 1
        yield [term for term, _ in piece], np.maximum(cells, 0)


def _indexed(run: str) -> str | tuple[tuple[str, int, int], ...]:
    """Return the terms of a run, each with where it begins and ends; if the run is but one, only that."""
    found = []
    for form in forms(run):
        found.append((form.term, form.start, form.end))
        plain = folded(form.term)
        if plain != form.term:
            found.append((MARKER + plain, form.start, form.end))
    return found[0][0] if len(found) == 1 and found[0][1:] == (0, len(run)) else tuple(found)


_kept = lru_cache(maxsize=1 << 16)(_indexed)


def _terms(run: str) -> str | tuple[tuple[str, int, int], ...]:
    """Return what :func:`_indexed` does, kept where the run is short."""
    return _kept(run) if len(run) <= _CACHED else _indexed(run)


def _asked(form: Form) -> Iterator[Asked]:
    term, weight = form.term, form.weight
    plain = folded(term)
    if plain == term:
        yield Asked(term, weight)
    else:  # what has the accents too is found by the other two
        yield Asked(term, weight * (1 - FOLDED))
        yield Asked(plain, weight * FOLDED, term)
    if not _UNSPACED.match(term):
        yield Asked(MARKER + plain, weight * FOLDED, term)
