"""Which lines of code open a function or a class."""

from __future__ import annotations

from typing import Any

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import LETTER
from s3_retriever.structure.kinds import Flags, Hashes, Points
from s3_retriever.structure.lines import END, FIRST, INDENT, LAST, Lines
from s3_retriever.structure.scanning import contains, hash_word, word_end

NOTHING, FUNCTION, CLASS = range(3)
"""What a line opens."""

_LOOK = 120  # characters of a line that are looked at
_PARAMETERS = 12  # lines that parameters go over, at most


@njit(cache=True, nogil=True)
def opened_by(
    points: Points, flags: Flags, lines: Lines, i: int, words: tuple[Hashes, ...], is_member: bool
) -> Any:
    """Tell what a line of code opens: it says so, and what follows is indented or in braces.

    Args:
        points: The text.
        flags: Bits of its characters.
        lines: Of the code.
        i: The line.
        words: Hashes of words that open functions and classes, of those of classes, and of those that open
            other blocks.
        is_member: Whether the line stands directly within a class.
    """
    row = lines[i]
    first, last = row[FIRST], row[LAST]
    following = i + 1
    while following < len(lines) and lines[following, FIRST] == lines[following, END]:
        following += 1
    deeper = following < len(lines) and lines[following, INDENT] > row[INDENT]
    braced = points[last - 1] == 123 or (following < len(lines) and points[lines[following, FIRST]] == 123)
    if not deeper and not braced:
        return NOTHING
    at, number, end = first, 0, min(last, first + _LOOK)
    while at < end and number < 6:
        point = points[at]
        if point == 34 or point == 39:
            break
        if point == 61:
            return FUNCTION if number and _is_function(points, flags, at + 1, last, words[0]) else NOTHING
        if point == 40:
            named = number >= 2 or (number == 1 and (is_member or points[at + 1] == 41))
            return FUNCTION if named and _body_follows(points, lines, i, at) else NOTHING
        if flags[at] & LETTER or point == 95:
            stop = word_end(points, flags, at, end)
            value = hash_word(points, at, stop)
            if number == 0 and contains(words[2], value):
                return NOTHING
            if contains(words[0], value) and stop < last and (points[stop] == 32 or points[stop] == 60):
                return CLASS if contains(words[1], value) else FUNCTION
            number += at == first or points[at - 1] != 46  # a call of what belongs to something is one word
            if points[at - 1] == 46 and stop < end and points[stop] == 40 and number < 2:
                return NOTHING
            at = stop
        else:
            at += 1
    return NOTHING


@njit(cache=True, nogil=True)
def _is_function(points: Points, flags: Flags, at: int, last: int, opening: Hashes) -> Any:
    """Tell whether what is assigned is a function: by its word, or an arrow and a brace behind parameters."""
    if points[at] == 61 or points[at] == 62:  # == and =>
        return False
    for _ in range(2):  # "async" may come before
        while at < last and points[at] == 32:
            at += 1
        stop = word_end(points, flags, at, last)
        if stop > at and contains(opening, hash_word(points, at, stop)):
            return points[stop] == 40 or points[stop] == 32
        if stop - at != 5 or points[at] != 97 or points[stop] != 32:
            break
        at = stop
    arrow = last - 2
    while arrow > at and points[arrow] == 32:
        arrow -= 1
    if points[last - 1] != 123 or points[arrow] != 62 or points[arrow - 1] != 61:
        return False
    depth = 0
    while at < arrow:
        depth += int(points[at] == 40) - int(points[at] == 41)
        at += 1
    return depth == 0


@njit(cache=True, nogil=True)
def _body_follows(points: Points, lines: Lines, i: int, at: int) -> Any:
    """Tell whether the bracket at an offset closes and a brace comes behind it, as behind parameters."""
    depth = 0
    for k in range(i, min(len(lines), i + _PARAMETERS)):
        row = lines[k]
        if k > i:
            at = row[FIRST]
            if not depth and points[at] != 123 and points[at] != 58 and row[INDENT] <= lines[i, INDENT]:
                return False
        while at < row[LAST]:
            point = points[at]
            if point == 40:
                depth += 1
            elif point == 41:
                depth -= 1
            elif not depth and point == 123:
                return True
            elif depth < 0 or (not depth and (point == 59 or point == 61)):
                return False
            at += 1
        if not depth and points[row[LAST] - 1] == 58:
            return False
    return False
