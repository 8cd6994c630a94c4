"""Which lines of code open a function or a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, LOWER
from s3_retriever.structure.kinds import Flags, Hashes, Points
from s3_retriever.structure.lines import END, FIRST, INDENT, LAST, START, Lines
from s3_retriever.structure.scanning import contains, hash_word, word_end
from s3_retriever.structure.words import NAMING_WORDS

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
    if (braced and _is_method(points, first)) or is_target(points, lines, i):
        return FUNCTION
    if deeper and has_signature(points, flags, lines, i):
        return FUNCTION
    if points[last - 1] == 123 and points[last - 2] == 32:
        stop = word_end(points, flags, first, last)
        if points[stop] == 32 and contains(NAMING_WORDS, hash_word(points, first, stop)):
            return FUNCTION
    at, number, end = first, 0, min(last, first + _LOOK)
    while at < end and number < 6:
        point = points[at]
        if point == 34 or point == 39:
            break
        if point == 61:
            return FUNCTION if number and _is_function(points, flags, at + 1, last, words[0]) else NOTHING
        if point == 40:
            if points[first] == 64 and number == 1:  # @media
                return FUNCTION if points[last - 1] == 123 and points[last - 2] == 32 else NOTHING
            named = number >= 2 or (number == 1 and (is_member or points[at + 1] == 41))
            named |= number == 1 and is_old(points, flags, row)
            return FUNCTION if named and _body_follows(points, lines, i, at) else NOTHING
        if flags[at] & LETTER or point == 95:
            stop = word_end(points, flags, at, end)
            value = hash_word(points, at, stop)
            if number == 0 and contains(words[2], value):
                return NOTHING
            if contains(words[0], value) and stop < last and (points[stop] == 32 or points[stop] == 60):
                if _is_declared(points, lines, i):
                    return NOTHING
                return CLASS if contains(words[1], value) else FUNCTION
            number += at == first or points[at - 1] != 46  # a call of what belongs to something is one word
            if points[at - 1] == 46 and stop < end and points[stop] == 40 and number < 2:
                return NOTHING
            at = stop
        else:
            at += 1
    return FUNCTION if braced and _names_block(points, flags, first, last, is_member) else NOTHING


@njit(cache=True, nogil=True)
def is_old(points: Points, flags: Flags, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line begins with a name and its parameters at the margin, and no brace ends it.

    So functions of C begin whose type stands in the line above, and whose brace in one below.
    """
    first, last = row[FIRST], row[LAST]
    end = word_end(points, flags, first, last)
    while end < last and (flags[end] & (LETTER | DIGIT) or points[end] == 95):
        end += 1
    while points[end] == 32:
        end += 1
    return row[INDENT] == 0 and end > first and points[end] == 40 and points[last - 1] != 123


@njit(cache=True, nogil=True)
def _is_method(points: Points, first: int) -> Any:
    """Tell whether a line begins like a method of Objective-C: a sign and a type in brackets."""
    at = first + 1 + (points[first + 1] == 32)
    return (points[first] == 43 or points[first] == 45) and points[at] == 40


@njit(cache=True, nogil=True)
def is_target(points: Points, lines: Lines, i: int) -> Any:
    """Tell whether a line at the margin names a target of make: a colon in it, a tab begins the next line."""
    first, last = lines[i, FIRST], lines[i, LAST]
    final = points[last - 1]
    if lines[i, INDENT] or i + 1 == len(lines) or points[lines[i + 1, START]] != 9:
        return False
    if final == 59 or final == 123 or final == 44 or final == 40:
        return False
    at = first
    while at < last and points[at] != 58:
        point = points[at]
        if point == 61 or point == 34 or point == 39 or (point == 40 and points[at - 1] != 36):  # = " ' (
            return False
        at += 1
    return first < at < last and (at + 1 == last or points[at + 1] == 32)


@njit(cache=True, nogil=True)
def has_recipe(points: Points, lines: Lines, i: int) -> Any:
    """Tell whether a line names a target of make, and the next one is no statement of C below a label."""
    if not is_target(points, lines, i):
        return False
    first, last = lines[i + 1, FIRST], lines[i + 1, LAST]
    for at in range(first + 1, last):
        if points[at] == 40 and points[at - 1] != 36:  # ( but not $(
            return False
    return points[last - 1] != 59 and points[last - 1] != 123


@njit(cache=True, nogil=True)
def has_signature(points: Points, flags: Flags, lines: Lines, i: int) -> Any:
    """Tell whether a line at the margin defines the name whose type the line above gives, as in Haskell."""
    above, last = name_end(points, flags, lines, i), lines[max(0, i - 1), LAST]
    is_typed = points[above + 1] == 58 and points[above + 2] == 58 and points[above + 3] == 32
    return above > 0 and above + 3 < last and is_typed


@njit(cache=True, nogil=True)
def name_end(points: Points, flags: Flags, lines: Lines, i: int) -> Any:
    """Return where a word ends with which a line at the margin and the one above begin; 0 for none."""
    if not i or lines[i, INDENT] or lines[i - 1, INDENT]:
        return 0
    at, above, last = lines[i, FIRST], lines[i - 1, FIRST], lines[i - 1, LAST]
    while above < last and points[at] > 32 and points[at] == points[above]:
        at, above = at + 1, above + 1
    is_name = at > lines[i, FIRST] and flags[lines[i, FIRST]] & LETTER != 0
    return above if is_name and points[at] == 32 == points[above] else 0


@njit(cache=True, nogil=True)
def _names_block(points: Points, flags: Flags, first: int, last: int, is_member: bool) -> Any:
    """Tell whether nothing but words stands before a brace, as in a property, a resource or a selector."""
    ends = points[last - 1] == 123
    at, words, quoted = first, 0, False
    while at < last - ends:
        point = points[at]
        if point == 34:
            at += 1
            while at < last and points[at] != 34:
                at += 1
            quoted = True
        elif flags[at] & LETTER:
            words += at == first or points[at - 1] == 32
        elif (
            point < 128
            and not flags[at] & DIGIT
            and not (
                point == 32
                or point == 95
                or point == 46
                or point == 58
                or point == 45
                or point == 44
                or point == 60
                or point == 62
                or point == 63
                or point == 91
                or point == 93
                or point == 42
            )
        ):
            return False
        at += 1
    if points[first] == 46:
        return ends
    if quoted:
        return ends and points[last - 2] == 32 and flags[first] & LOWER != 0
    return is_member and words >= 2 and (ends or flags[last - 1] & (LETTER | DIGIT) != 0)


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
def _is_declared(points: Points, lines: Lines, i: int) -> Any:
    """Tell whether what a line declares ends with its parameters, some lines below, and has no body."""
    final = points[lines[i, LAST] - 1]
    if final != 40 and final != 44:
        return False
    for k in range(i + 1, min(len(lines), i + _PARAMETERS)):
        if lines[k, FIRST] < lines[k, END] and lines[k, INDENT] <= lines[i, INDENT]:
            return points[lines[k, LAST] - 1] == 59
    return False


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
