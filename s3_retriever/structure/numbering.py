"""What the numbers of pages tell: their values, and which lines have them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from s3_retriever.structure.lines import FIRST, LAST, WORDS, Lines

_ROMAN = dict(zip("ivxlc", (1, 5, 10, 50, 100), strict=True))
_KNOWN = 5  # pages with furniture, at least, whose numbers tell those of others
_WORDS = 16  # of a running head at most


def value_of(number: str) -> int:
    """Return the value of a number, maybe of Roman numerals in lower case."""
    if number.isdecimal():
        return int(number)
    values = [_ROMAN[numeral] for numeral in number]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def numbered_alike(
    text: str,
    lines: Lines,
    border: npt.NDArray[np.intp],
    pages: npt.NDArray[np.int64],
    found: npt.NDArray[np.bool_],
) -> list[int]:
    """Return which first and last lines of pages have the number that furniture has on other pages.

    Args:
        text: What the lines are of.
        lines: Its lines.
        border: Those at the borders of pages.
        pages: The number of the page of each of them, from 1.
        found: Which of them are furniture.
    """
    offsets = [
        _offsets(text, lines, i, page) for i, page in zip(border.tolist(), pages.tolist(), strict=True)
    ]
    counts: Counter[int] = Counter()
    for place in np.flatnonzero(found).tolist():
        counts.update(offsets[place])
    known, often = counts.most_common(1)[0] if counts else (0, 0)
    if often < _KNOWN:
        return []
    done = {int(pages[place]) for place in np.flatnonzero(found).tolist() if known in offsets[place]}
    turns = np.flatnonzero(np.diff(pages))
    outer = {0, *turns.tolist(), *(turns + 1).tolist(), len(pages) - 1}
    return [place for place in outer if known in offsets[place] and int(pages[place]) not in done]


def _offsets(text: str, lines: Lines, i: int, page: int) -> set[int]:
    """Return how far the numbers at both ends of a line are from that of its page."""
    if lines[i, WORDS] > _WORDS:
        return set()
    words = text[lines[i, FIRST] : lines[i, LAST]].split()
    return {int(word) - page for word in (words[0], words[-1]) if len(word) <= 4 and word.isdecimal()}
