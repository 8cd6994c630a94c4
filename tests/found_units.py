"""Units of a text as tests compare them."""

from __future__ import annotations

import numpy as np

from s3_retriever.search.passages import Page
from s3_retriever.structure import Kind, find_units


def units(text: str) -> list[tuple[str, str]]:
    """Each unit as the name of its kind and its text, without white space at the end."""
    found = find_units(text)
    borders = [*found.starts.tolist(), len(text)]
    return [
        (Kind(kind).name.lower(), text[begin:end].rstrip())
        for kind, begin, end in zip(found.kinds.tolist(), borders, borders[1:], strict=False)
    ]


def of_kind(kind: str, text: str) -> list[str]:
    return [piece for name, piece in units(text) if name == kind]


def levels_of_headings(text: str) -> list[tuple[str, int]]:
    levels = find_units(text).levels.tolist()
    return [
        (piece, level) for (kind, piece), level in zip(units(text), levels, strict=True) if kind == "heading"
    ]


def page_of(text: str) -> Page:
    """A page on which each character is a token."""
    return Page(text, np.arange(len(text), dtype=np.uint32), find_units(text))


def path_of(text: str, piece: str) -> tuple[str, ...]:
    """The headings above what holds a piece of a text."""
    page = page_of(text)
    return page.headings(page.unit_at(text.index(piece)))


def header_of(text: str, piece: str) -> str:
    return page_of(text).header(text.index(piece))
