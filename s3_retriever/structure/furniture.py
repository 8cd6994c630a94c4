"""What stands on pages beside their text: running heads, page numbers, contents with dot leaders."""

from __future__ import annotations

import itertools
import re

import numpy as np
import numpy.typing as npt

from s3_retriever.structure.kinds import FURNITURE, Bytes
from s3_retriever.structure.lines import (
    DIGITS,
    END,
    FIRST,
    LAST,
    LEADERS,
    LETTERS,
    OTHERS,
    PAGE,
    SHAPE,
    WORDS,
    Lines,
)

_NUMBER = re.compile(
    r"[\W_]*(?:(?:page|p\.|seite|página|pág\.|pagina|pag\.|страница|стр\.|side|sida|strona|第)\s*)?"
    r"(\d{1,4}|[ivxlc]{1,6})\s*页?(?:\s*(?:of|von|de|di|sur|из|/|z)\s*\d{1,4})?[\W_]*",
    re.IGNORECASE,
)
_NAMED = re.compile(r"page|p\.|seite|pág|pag|стр|side|sida|strona|第|\W\d+\W", re.IGNORECASE)
_ENTRY = re.compile(r"[.…·]\s*(\d{1,4}|[ivxlc]{1,6})\s*$", re.IGNORECASE)
_LONGEST = 120  # characters of a line that can be furniture
_SENTENCE = 6  # words of a line with a full stop that is taken for text
_AT_BORDER = 2  # lines at either end of a page that can be
_LEAST_PAGE = 8  # lines between two page numbers, at least, where no form feed tells pages


def mark_furniture(text: str, lines: Lines, kinds: Bytes) -> None:
    """Mark lines that are furniture among those that are not marked yet.

    Args:
        text: What the lines are of.
        lines: Its lines.
        kinds: Of the lines; those that are found become furniture.
    """
    filled = np.flatnonzero(lines[:, FIRST] < lines[:, END])
    if not len(filled):
        return
    length = lines[filled, LAST] - lines[filled, FIRST]
    pages = np.cumsum(lines[:, PAGE])[filled]
    if pages[-1] > pages[0]:
        kinds[_at_page_borders(text, lines, filled[length <= _LONGEST], pages[length <= _LONGEST], pages)] = (
            FURNITURE
        )
    else:
        kinds[_lone_numbers(text, lines, filled)] = FURNITURE
    kinds[_contents(text, lines)] = FURNITURE


def _at_page_borders(
    text: str,
    lines: Lines,
    short: npt.NDArray[np.intp],
    pages: npt.NDArray[np.int64],
    every: npt.NDArray[np.int64],
) -> npt.NDArray[np.intp]:
    """Return lines that recur at the borders of pages, and page numbers there."""
    starts = np.flatnonzero(np.diff(pages, prepend=-1))
    ends = np.append(starts[1:], len(pages))
    picked = [
        np.arange(a, min(a + _AT_BORDER, b)) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    picked += [
        np.arange(max(a, b - _AT_BORDER), b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    border = short[np.unique(np.concatenate(picked))]
    shapes = lines[border, SHAPE]
    _values, inverse, counts = np.unique(shapes, return_inverse=True, return_counts=True)
    n_pages = int(every[-1] - every[0]) + 1
    recurs = counts[inverse] >= (3 if n_pages > 4 else 2)
    numbers = np.array([_is_number(text, lines, i) for i in border.tolist()], np.bool_)
    is_text = [text[lines[i, LAST] - 1] in ".!?。" and lines[i, WORDS] >= _SENTENCE for i in border.tolist()]
    chosen: npt.NDArray[np.intp] = border[
        (recurs & (lines[border, WORDS] <= 16) & ~np.array(is_text, np.bool_)) | numbers
    ]
    return chosen


def _is_number(text: str, lines: Lines, i: int) -> bool:
    if lines[i, LETTERS] > 12 or lines[i, OTHERS] > 8:
        return False
    return _NUMBER.fullmatch(text, lines[i, FIRST], lines[i, LAST]) is not None


def _lone_numbers(text: str, lines: Lines, filled: npt.NDArray[np.intp]) -> list[int]:
    """Return lines that are page numbers by their look, where nothing says where pages end."""
    likely = filled[
        (lines[filled, DIGITS] > 0) & (lines[filled, LETTERS] <= 12) & (lines[filled, OTHERS] <= 8)
    ]
    alone: list[tuple[int, int, bool]] = []
    for i in likely.tolist():
        blank_above = i == 0 or lines[i - 1, FIRST] == lines[i - 1, END]
        blank_below = i + 1 == len(lines) or lines[i + 1, FIRST] == lines[i + 1, END]
        match = (
            _NUMBER.fullmatch(text, lines[i, FIRST], lines[i, LAST]) if blank_above and blank_below else None
        )
        if match and match[1].isdecimal():
            alone.append((i, int(match[1]), _NAMED.search(match[0]) is not None))
    found = []
    for k, (i, number, named) in enumerate(alone):
        near = [alone[j] for j in (k - 1, k + 1) if 0 <= j < len(alone)]
        ascends = [
            abs(other - number) == 1 and (other > number) == (j > i) and abs(j - i) >= _LEAST_PAGE
            for j, other, _ in near
        ]
        if any(ascends) and (named or (len(alone) >= 3 and all(ascends))):
            found.append(i)
    return found


def _contents(text: str, lines: Lines) -> list[int]:
    """Return the entries of contents pages: three or more with dot leaders and numbers that do not fall."""
    found: list[int] = []
    group: list[tuple[int, int]] = []
    for i in [*np.flatnonzero(lines[:, LEADERS] >= 4).tolist(), len(lines) + 9]:
        if group and i - group[-1][0] > 4:
            numbers = [number for _, number in group]
            rises = sum(a <= b for a, b in itertools.pairwise(numbers))
            if len(group) >= 3 and rises * 10 >= 8 * (len(group) - 1):
                found += [line for line, _ in group]
            group = []
        if i < len(lines) and (match := _ENTRY.search(text, lines[i, FIRST], lines[i, LAST])):
            group.append((i, int(match[1]) if match[1].isdecimal() else 0))
    return found
