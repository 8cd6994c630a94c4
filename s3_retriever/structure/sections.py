"""Numbers of sections, and which of them comes next in a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, LOWER, SPACE, UPPER
from s3_retriever.structure.kinds import Flags, Points

APART, NO_NUMBER, LIKELY, NEXT = range(4)
"""What a number can be: out of order, none of a section, maybe the next one, exactly the next one."""

_LETTERED = 10_000  # added to the place of a letter that numbers an appendix
_CODES = 100  # numbers from here on are no sections by themselves: years, codes
_LEFT_OUT = 9  # numbers that may be left out, as their headings were not found
_ANYWHERE = 255  # columns that no margin is beyond

Order = npt.NDArray[np.int64]
_LAST, MARGIN, TEXT, _INDENT, _DOTTED = range(5)
"""Of the sections so far: the first part of the last number, the least indent of a heading, that of
the text below the last one, that of one
whose number has one part, and whether that ends with a dot, -1 where none was seen."""


@njit(cache=True, nogil=True)
def no_sections() -> Any:
    """Return the order of a text without sections."""
    return np.array([0, _ANYWHERE, 0, _ANYWHERE, -1], np.int64)


@njit(cache=True, nogil=True)
def read_number(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Return the parts of a number that begins a line, the first of them, and whether it ends with a dot.

    Dots are between parts, a gap and a letter behind them, no small one; else there are 0. A capital with a
    dot can be the first.
    """
    at, parts, value = first, 0, np.int64(0)
    if flags[first] & UPPER and points[first] <= 90 and points[first + 1] == 46:
        value, parts, at = _LETTERED + np.int64(points[first]) - 64, 1, first + 2
    while at < last and parts < 7:
        begin = at
        while at < last and at - begin < 4 and flags[at] & DIGIT:
            if not parts:
                value = value * 10 + np.int64(points[at]) - 48
            at += 1
        if at == begin:
            break
        parts += 1
        if at < last and points[at] == 46:
            at += 1
        else:
            break
    if not parts or at >= last or not flags[at] & SPACE:
        return 0, 0, False
    dotted = points[at - 1] == 46
    while at < last and flags[at] & SPACE:
        at += 1
    return (parts, value, dotted) if flags[at] & LETTER and not flags[at] & LOWER else (0, 0, False)


@njit(cache=True, nogil=True)
def place_in_order(order: Order, value: int, dotted: bool, indent: int) -> Any:
    """Tell what a number of one part can be after the sections so far; they may begin again at 1."""
    before = order[_LAST]
    lettered = value > _LETTERED
    if not before:
        return LIKELY if not lettered and (dotted or value < _CODES) else NO_NUMBER
    follows = value == before + 1
    if lettered:
        follows |= value == _LETTERED + 1 and before < _LETTERED
        return NEXT if follows and indent <= order[_INDENT] else NO_NUMBER
    if indent > order[_INDENT]:
        return APART
    if follows:
        return NEXT
    alike = order[_DOTTED] < 0 or order[_DOTTED] == dotted
    return LIKELY if alike and (value <= 1 or before <= value <= before + _LEFT_OUT) else APART


@njit(cache=True, nogil=True)
def note_marks(order: Order) -> None:
    """Note that headings have marks; where others came before, those stay as high."""
    if order[MARGIN] == _ANYWHERE:
        order[MARGIN] = -1


@njit(cache=True, nogil=True)
def note_section(order: Order, parts: int, value: int, dotted: bool, indent: int, text: int) -> None:
    """Note a heading, with its number or none, and the indent of what is below it."""
    order[TEXT] = text
    order[MARGIN] = min(order[MARGIN], indent)
    if parts:
        order[_LAST] = value
    if parts == 1:
        order[_INDENT] = min(order[_INDENT], indent)
        if value < _LETTERED:
            order[_DOTTED] = dotted
