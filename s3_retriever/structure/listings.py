"""What marked-up texts have alike: lines by their marks, blocks of code."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from s3_retriever.structure.kinds import CODE, JOINED, Bytes, Points
from s3_retriever.structure.lines import END, FIRST, LAST, START, Lines


def lines_with(points: Points, lines: Lines, marks: str) -> list[int]:
    """Return the lines whose first character, white space aside, is one of some marks."""
    begins = np.isin(points[lines[:, FIRST]], np.array([*map(ord, marks)], np.uint32))
    return np.flatnonzero(begins & (lines[:, FIRST] < lines[:, END])).tolist()


def line_of(text: str, lines: Lines, i: int) -> str:
    """Return a line up to its last character."""
    return text[lines[i, START] : lines[i, LAST]]


class Borders:
    """Lines that end blocks, by what they say.

    Args:
        lines: Their numbers, ascending, and what each says.
    """

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines: defaultdict[str, list[int]] = defaultdict(list)
        for number, name in lines:
            self._lines[name].append(number)

    def after(self, number: int, name: str) -> int:
        """Return the next line after one that says something; 0 if there is none."""
        lines = self._lines.get(name, [])
        place = bisect_right(lines, number)
        return lines[place] if place < len(lines) else 0


def mark_listing(lines: Lines, kinds: Bytes, first: int, opening: int, closing: int) -> None:
    """Mark a block of code between two lines; those that open it belong to its first statement.

    Args:
        lines: Of the text.
        kinds: Of the lines.
        first: The first line that opens it.
        opening: The last one.
        closing: The line that ends it.
    """
    kinds[first : closing + 1] = CODE
    kinds[first + 1 : min(opening + 2, closing)] |= JOINED
    kinds[closing] |= JOINED
    block = lines[first : closing + 1]
    kinds[first : closing + 1][block[:, FIRST] == block[:, END]] |= JOINED
