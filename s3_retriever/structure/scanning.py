"""What begins at a place of a text: a word, the marker of an item, a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, LOWER, SPACE
from s3_retriever.structure.kinds import Flags, Hashes, Points


@njit(cache=True, nogil=True)
def contains(hashes: Hashes, value: np.uint64) -> Any:
    """Tell whether an ascending array has a hash."""
    place = np.searchsorted(hashes, value)
    return place < len(hashes) and hashes[place] == value


@njit(cache=True, nogil=True)
def hash_word(points: Points, begin: int, end: int) -> Any:
    """Return the hash of a word in lower case; of letters beyond Latin, Greek and Cyrillic as they are."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(begin, end):
        point = points[at]
        if 65 <= point <= 90 or 0xC0 <= point <= 0xDE or 0x391 <= point <= 0x3A9 or 0x410 <= point <= 0x42F:
            point += 32
        elif 0x400 <= point <= 0x40F:
            point += 80
        value = (value ^ np.uint64(point)) * np.uint64(0x100000001B3)
    return value


@njit(cache=True, nogil=True)
def word_end(points: Points, flags: Flags, begin: int, end: int) -> Any:
    """Return where the letters that begin at an offset end."""
    at = begin
    while at < end and (flags[at] & LETTER or points[at] == 95):
        at += 1
    return at


@njit(cache=True, nogil=True)
def marker_end(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Return where the text of a list item begins, whose marker is at ``first``; -1 where there is none."""
    point = points[first]
    at = first
    if (
        point == 45
        or point == 42
        or point == 43
        or point == 0x2022
        or point == 0x2023
        or point == 0x25E6
        or point == 0x2013
        or point == 0xB7
        or point == 0x25CF
        or point == 0x25AA
        or point == 0x2043
    ):
        at = first + 1
    else:
        bracket = point == 40
        at = first + bracket
        begin = at
        while at < last and at - begin < 3 and flags[at] & DIGIT:
            at += 1
        if at == begin:
            while (
                at < last and at - begin < 4 and (points[at] == 105 or points[at] == 118 or points[at] == 120)
            ):
                at += 1
            if at == begin and flags[at] & LETTER and (bracket or points[at + 1] == 41 or flags[at] & LOWER):
                at += 1
        if at == begin or at >= last:
            return -1
        mark = points[at]
        if not (mark == 41 or (not bracket and mark == 46) or mark == 0x3001 or mark == 0xFF0E):
            return -1
        at += 1
    if at < last and not flags[at] & SPACE and points[at - 1] < 0x3000:
        return -1
    while at < last and flags[at] & SPACE:
        at += 1
    return at if at < last else -1


@njit(cache=True, nogil=True)
def item_text(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Return where the text begins behind the markers of items, of which there may be none."""
    at, text = first, first
    while text >= 0:
        at, text = text, marker_end(points, flags, text, last)
    return at


@njit(cache=True, nogil=True)
def is_timed(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Tell whether a line begins with a time of day, as one of a log; a date or address may come before."""
    lowers = 0
    for at in range(first, min(last - 7, first + 48)):
        lowers = lowers + 1 if flags[at] & LOWER else 0
        if lowers > 3:
            return False
        if points[at + 2] == 58 and points[at + 5] == 58:
            digits = 0
            for place in (0, 1, 3, 4, 6, 7):
                digits += flags[at + place] & DIGIT != 0
            if digits == 6:
                return True
    return False


@njit(cache=True, nogil=True)
def is_stamped(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Tell whether a line begins with hours and minutes in brackets or behind a date, as in a chat."""
    numbers = 0
    for at in range(first, min(last - 2, first + 20)):
        point = points[at]
        if flags[at] & DIGIT:
            numbers += at == first or not flags[at - 1] & DIGIT
        elif point == 58:
            has_minutes = flags[at + 1] & DIGIT and flags[at + 2] & DIGIT
            return numbers > 0 and has_minutes != 0 and (numbers > 2 or points[first] == 91)
        elif not (44 <= point <= 47 or point == 32 or point == 84 or (point == 91 and at == first)):
            return False
    return False


@njit(cache=True, nogil=True)
def quotes(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Return how many signs of quoted mail a line begins with, and whether there is nothing else in it."""
    at, found = first, 0
    while at < last and (points[at] == 62 or flags[at] & SPACE):
        found += points[at] == 62
        at += 1
    return found, at >= last


@njit(cache=True, nogil=True)
def is_entry(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Tell whether a line is an entry of settings: a name, then a colon and a gap, or an equals sign."""
    at = first
    while at < min(last, first + 64) and (
        flags[at] & (LETTER | DIGIT) or points[at] == 95 or points[at] == 45 or points[at] == 46
    ):
        at += 1
    if at == first or at >= last:
        return False
    if points[at] == 58:
        return at + 1 >= last or flags[at + 1] & SPACE != 0
    while at < last and points[at] == 32:
        at += 1
    return at < last and points[at] == 61


@njit(cache=True, nogil=True)
def bracketed(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Return the number in square brackets that begins a line, no lower-case letter behind it; else 0."""
    at, number = first + 1, np.int64(0)
    if points[first] != 91:
        return 0
    while at < last and at - first < 5 and 48 <= points[at] <= 57:
        number = number * 10 + np.int64(points[at]) - 48
        at += 1
    if at + 2 >= last or points[at] != 93 or not flags[at + 1] & SPACE:
        return 0
    return 0 if flags[at + 2] & LOWER else number


@njit(cache=True, nogil=True)
def ordinals(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Return the number and the letter that an item's marker tells, or 0: of "ii)" 2, of "i)" 1 and 9."""
    at = first + (points[first] == 40)
    number, letter = np.int64(0), np.int64(0)
    if flags[at] & LETTER and not flags[at + 1] & LETTER and points[at] < 128:
        letter = (np.int64(points[at]) | 32) - 96
    while at < last and 48 <= points[at] <= 57:
        number = number * 10 + np.int64(points[at]) - 48
        at += 1
    before = 0
    while at < last and (points[at] == 105 or points[at] == 118 or points[at] == 120):
        value = 1 if points[at] == 105 else 5 if points[at] == 118 else 10
        number += value - 2 * before if before < value else value
        before = value
        at += 1
    return number, letter
