"""Pieces of a unit that is longer than the budget: cut at clauses, else between words, else characters."""

from __future__ import annotations

import re
from collections.abc import Callable

from s3_retriever.index.scripts import UNSPACED
from s3_retriever.search.passages import Page, Range
from s3_retriever.search.text import (
    UNSPACED_CHARACTER,
    splits_address,
    splits_character,
    splits_number,
    splits_word,
    trails,
)

_BACK = 8  # white space looked back over
_MARKS = ",;:—–，、；：।،؛)]」』）】”»"
_CLAUSE = frozenset(_MARKS)
_SOME_CLAUSE = re.compile(rf"[{re.escape(_MARKS)}]|[{UNSPACED}]\s")  # what any end of a clause has before it


def _clause(text: str, at: int) -> bool:
    """Tell whether a clause ends before an offset: by a mark, or a space in a script without such."""
    before = text[max(0, at - _BACK) : at]
    said = before.rstrip()
    if said[-1:] in _CLAUSE and said:
        return _clean(text, at)
    spaced = len(said) < len(before) or text[at : at + 1].isspace()
    around = said[-1:] + text[at : at + 2].lstrip()[:1]
    return spaced and len(around) == 2 and all(map(UNSPACED_CHARACTER.match, around)) and _whole(text, at)


def _clean(text: str, at: int) -> bool:
    return _whole(text, at) and not trails(text, at) and not splits_address(text, at)


def _whole(text: str, at: int) -> bool:
    return _between_words(text, at) and not splits_number(text, at)


def _between_words(text: str, at: int) -> bool:
    return not splits_word(text, at) and not splits_character(text, at)


def _written(text: str, at: int) -> bool:
    return not splits_character(text, at)


def piece_around(page: Page, core: Range, size: int) -> Range:
    """Return the characters of ``size`` tokens around the middle of some tokens, without broken words.

    They are whole clauses where at least half of the piece is. A number or an address is broken where nothing
    else is left; where whole words leave nothing, a word is, and a character only where it has more tokens.

    Args:
        page: The document.
        core: The tokens.
        size: How many tokens the piece has at most.
    """
    n, centre = len(page.starts), sum(core) // 2
    first = max(0, min(centre - size // 2, n - size))
    last = min(n, first + size)
    start, end = page.of_tokens(first, last)
    has_clause = _SOME_CLAUSE.search(page.text, max(0, start - _BACK), end + 1)
    clauses = _narrowed(page, first, last, _clause) if has_clause else None
    if clauses and 2 * (clauses[1] - clauses[0]) >= end - start:
        return clauses
    for may_cut in (_clean, _whole, _between_words):
        if whole := _narrowed(page, first, last, may_cut):
            return whole
    # There is no whole word in it, so it has one border of words at most: take the longer side.
    borders = [at for at in range(first + 1, last) if _between_words(page.text, page.of_tokens(at, at)[0])]
    if borders:
        sides = page.of_tokens(first, borders[0]), page.of_tokens(borders[-1], last)
        longer = max(sides, key=lambda side: len(page.text[slice(*side)].strip()))
        first, last = (first, borders[0]) if longer == sides[0] else (borders[-1], last)
    if written := _narrowed(page, first, last, _written):
        return written
    while first > 0 and not _begins_character(page, first):  # one that the piece may hold all of
        first -= 1
    while first + 1 < n and not page.text[slice(*page.of_tokens(first, first + 1))].strip():
        first += 1
    last = min(n, first + size)
    return _narrowed(page, first, last, _written) or page.of_tokens(first, last)


def _begins_character(page: Page, token: int) -> bool:
    """Tell whether a written character begins with a token; one may have several."""
    return page.starts[token - 1] < page.starts[token] and _written(page.text, int(page.starts[token]))


def _narrowed(page: Page, first: int, last: int, may_cut: Callable[[str, int], bool]) -> Range | None:
    """Return the characters of some tokens up to where a rule allows a cut; None where nothing is left."""
    while first < last and not may_cut(page.text, page.of_tokens(first, first)[0]):
        first += 1
    while last > first and not may_cut(page.text, page.of_tokens(last, last)[0]):
        last -= 1
    whole = page.of_tokens(first, last)
    return whole if page.text[slice(*whole)].strip() else None
