"""Tags of a text in XML or HTML, and the elements that they make up."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, PADDING, SPACE
from s3_retriever.structure.kinds import Flags, Hashes, Points
from s3_retriever.structure.scanning import hash_word
from s3_retriever.structure.tag_names import (
    BLOCK,
    CELL,
    HTML,
    INLINE,
    ITEM,
    LAX,
    RAW,
    TEXTUAL,
    TITLE,
    VERBATIM,
    VOID,
)

BEGIN, PAST, SORT, NAME, BITS, PARENT, DEPTH, OVER, NEXT, SEEN, LAST = range(11)
"""Columns: where a tag begins and ends; what it is; the hash of its name and the bits of that; the tag that
opened what it stands in, or what it closes, -1 for none. Of a tag that opens an element, too: how many it
stands in, where that ends, the next tag after it, what was seen in it, and the last tag directly in it."""

COLUMNS = 11

OPEN, CLOSE, EMPTY, COMMENT, INSTRUCTION, DECLARATION, CDATA = range(7)
"""What a tag is: it opens an element, closes it, or is all of one; or it is no tag."""

TEXT, CHILD, DEEP, CONTENT, OTHER, BLOCKS = (1 << bit for bit in range(6))
PROSE, HEADED, CELLS, LISTED, REPEATED = (1 << bit for bit in range(6, 11))
"""Bits of what was seen: text directly in an element; elements in it, and elements in these; text anywhere;
elements directly in it that are not within sentences, and that end them; sentences, anywhere; directly in it
a title, cells, and two of one name after the other; the one before or behind it has its name."""

Tags = npt.NDArray[np.int64]
"""int64 (n, COLUMNS), one row per tag."""

_AMISS = 32  # elements that a closing tag may leave open


@njit(cache=True, nogil=True)
def scan_tags(points: Points, flags: Flags, names: Hashes, bits: npt.NDArray[np.int64], tags: Tags) -> Any:
    """Write a row per tag, comment and the like; return how many there are and whether all of them end.

    Args:
        points: The text.
        flags: Bits of its characters.
        names: Hashes of names that are known, ascending.
        bits: What each of them tells.
        tags: As many rows as there are less-than signs.
    """
    n, found, at, whole, is_raw = len(points) - PADDING, 0, 0, True, True
    while at < n:
        if points[at] != 60:
            at += 1
            continue
        second, third = points[at + 1], points[at + 2]
        sort, name = OPEN, np.uint64(0)
        if second == 33 and third == 45 and points[at + 3] == 45:  # <!--
            sort, end = COMMENT, _behind(points, at + 4, n, 45, 45)
        elif second == 33 and third == 91:  # <![CDATA[
            sort, end = CDATA, _behind(points, at + 3, n, 93, 93)
        elif second == 33 and flags[at + 2] & LETTER:
            sort, end = DECLARATION, _declaration_end(points, at + 2, n)
        elif second == 63 and flags[at + 2] & LETTER:
            sort, end = INSTRUCTION, _behind(points, at + 2, n, 63, 0)
        else:
            sort = CLOSE if second == 47 else OPEN
            begin = at + 1 + (second == 47)
            stop = begin
            while flags[stop] & (LETTER | DIGIT) or (stop > begin and _goes_on(points[stop])):
                stop += 1
                if points[stop] == 58:  # what stands before a colon is no part of the name
                    stop += 1
                    begin = stop
            end = _tag_end(points, stop, n) if stop > begin else -1
            if end < 0:
                at += 1
                continue
            if sort == OPEN and points[end - 2] == 47:
                sort = EMPTY
            name = hash_word(points, begin, stop)
        if end < 0:
            whole, end = False, n
        row = tags[found]
        row[BEGIN], row[PAST], row[SORT], row[NAME] = at, end, sort, np.int64(name)
        place = np.searchsorted(names, name)
        row[BITS] = bits[place] if place < len(names) and names[place] == name else 0
        found += 1
        at = end
        if sort == OPEN and row[BITS] & RAW and is_raw:
            end = _raw_end(points, at, n, name)
            is_raw = end >= 0
            at = max(at, end)
    return found, whole


@njit(cache=True, nogil=True)
def _goes_on(point: np.uint32) -> Any:
    """Tell whether a character that is no letter and no digit can stand in a name."""
    return point == 45 or point == 46 or point == 95


@njit(cache=True, nogil=True)
def _behind(points: Points, at: int, n: int, first: int, second: int) -> Any:
    """Return what is behind the next place of two characters and a greater-than sign; -1 for none.

    Where the second one is 0 there is but the first.
    """
    while at < n:
        if points[at] == 62:
            before = points[at - 1]
            if (before == second and points[at - 2] == first) or (not second and before == first):
                return at + 1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _declaration_end(points: Points, at: int, n: int) -> Any:
    """Return where a declaration ends, with what it has in square brackets; -1 if it does not."""
    within = False
    while at < n:
        point = points[at]
        if point == 91:
            within = True
        elif point == 93:
            within = False
        elif point == 62 and not within:
            return at + 1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _tag_end(points: Points, at: int, n: int) -> Any:
    """Return where a tag ends, behind its attributes; -1 if it does not, or another one begins in it."""
    quote = np.uint32(0)
    while at < n:
        point = points[at]
        if quote:
            if point == quote:
                quote = np.uint32(0)
        elif point == 34 or point == 39:
            quote = point
        elif point == 62:
            return at + 1
        elif point == 60:
            return -1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _raw_end(points: Points, at: int, n: int, name: np.uint64) -> Any:
    """Return where the closing tag of a script or style begins; -1 if there is none."""
    while at < n:
        if points[at] == 60 and points[at + 1] == 47:
            end = at + 2
            while points[end] != 62 and points[end] > 32:
                end += 1
            if end - at < 12 and hash_word(points, at + 2, end) == name:
                return at
        at += 1
    return -1


@njit(cache=True, nogil=True)
def nest_tags(points: Points, flags: Flags, tags: Tags, is_inner: bool) -> Any:
    """Fill in which tags make up which elements; return whether text or a closing tag is in none of them.

    Elements that are left open end where what they stand in ends. In a page of HTML some end before. Where
    ``is_inner`` is true all of them stand in an element that began before the text.
    """
    n, depth, amiss, at, html = len(points) - PADDING, 0, False, 0, False
    stack = np.empty(len(tags) + 1, np.int64)
    for i in range(len(tags)):
        row = tags[i]
        sort = row[SORT]
        if depth == 0 and sort == OPEN:
            html |= row[BITS] & HTML != 0
        top = stack[depth - 1] if depth else -1
        is_text = sort == CDATA
        while at < row[BEGIN] and not is_text:
            is_text = not flags[at] & SPACE
            at += 1
        at = row[PAST]
        if is_text:
            amiss |= top < 0
            if top >= 0:
                tags[top, SEEN] |= TEXT | CONTENT
        if sort == OPEN and html and row[BITS] & VOID:
            row[SORT] = sort = EMPTY
        if sort == OPEN and html and depth and row[BITS] & LAX and tags[top, NAME] == row[NAME]:
            depth -= 1
            _close(tags, top, row[BEGIN], i)
            top = stack[depth - 1] if depth else -1
        row[PARENT], row[DEPTH], row[LAST] = top, depth + is_inner, -1
        if sort in (OPEN, EMPTY):
            row[OVER], row[NEXT] = row[PAST], i + 1
            if top >= 0:
                last = tags[top, LAST]
                if last >= 0 and tags[last, NAME] == row[NAME]:
                    tags[last, SEEN] |= REPEATED
                    row[SEEN] |= REPEATED
                    tags[top, SEEN] |= LISTED
                tags[top, LAST] = i
            if sort == OPEN:
                stack[depth] = i
                depth += 1
            else:
                _tell_parent(tags, i)
        elif sort == CLOSE:
            opened = depth - 1
            while opened >= max(0, depth - _AMISS) and tags[stack[opened], NAME] != row[NAME]:
                opened -= 1
            row[PARENT] = -1
            if opened < max(0, depth - _AMISS):
                amiss |= not html
                continue
            amiss |= opened < depth - 1 and not html
            while depth - 1 > opened:
                depth -= 1
                _close(tags, stack[depth], row[BEGIN], i)
            depth -= 1
            row[PARENT] = stack[depth]
            _close(tags, stack[depth], row[PAST], i + 1)
    amiss |= depth > 0 and not html
    while at < n:
        amiss |= not flags[at] & SPACE and not html
        at += 1
    while depth:
        depth -= 1
        _close(tags, stack[depth], n, len(tags))
    return amiss


@njit(cache=True, nogil=True)
def _close(tags: Tags, i: int, end: int, following: int) -> None:
    """Note where an element ends, and what that which it stands in has of it."""
    tags[i, OVER], tags[i, NEXT] = end, following
    _tell_parent(tags, i)


@njit(cache=True, nogil=True)
def _tell_parent(tags: Tags, i: int) -> None:
    """Note what the element that another one stands in has of it."""
    parent, seen, bits = tags[i, PARENT], tags[i, SEEN], tags[i, BITS]
    if parent < 0:
        return
    found = CHILD
    if seen & CHILD:
        found |= DEEP
    if seen & CONTENT:
        found |= CONTENT
        if bits & (TEXTUAL | VERBATIM) or (bits & ITEM and seen & TEXT) or seen & PROSE:
            found |= PROSE
    if not bits & INLINE:
        found |= OTHER
    if bits & (BLOCK | VERBATIM):
        found |= BLOCKS
    if bits & TITLE:
        found |= HEADED
    if bits & CELL:
        found |= CELLS
    tags[parent, SEEN] |= found
