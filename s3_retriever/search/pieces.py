"""Pieces of a unit that is longer than the budget: cut at clauses, else between words."""

from __future__ import annotations

from s3_retriever.search.passages import Page, Range
from s3_retriever.search.text import may_cut


def piece_around(page: Page, core: Range, size: int) -> Range:
    """Return the characters of ``size`` tokens around the middle of some tokens, without broken words.

    Args:
        page: The document.
        core: The tokens.
        size: How many tokens the piece has at most.
    """
    n, centre = len(page.starts), sum(core) // 2
    first = max(0, min(centre - size // 2, n - size))
    last = min(n, first + size)
    start, end = page.of_tokens(first, last)
    begin, stop = first, last
    while begin < last and not may_cut(page.text, page.of_tokens(begin, begin)[0]):
        begin += 1
    while stop > begin and not may_cut(page.text, page.of_tokens(stop, stop)[0]):
        stop -= 1
    whole = page.of_tokens(begin, stop)
    return whole if page.text[slice(*whole)].strip() else (start, end)
