"""From elements of XML or HTML to blocks: paragraphs, titles, records, rows, listings, comments."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import PADDING, SPACE
from s3_retriever.structure.escapes import read_escape, skip_markup
from s3_retriever.structure.kinds import (
    CODE,
    DATA,
    HEADER,
    HEADING,
    LIST,
    PROSE,
    TABLE,
    Flags,
    Points,
    Starts,
)
from s3_retriever.structure.tag_names import (
    ASIDE,
    BLOCK,
    BREAK,
    CAPTIONED,
    HEAD,
    INLINE,
    ITEM,
    KEY,
    ROW,
    SECTION,
    TEXTUAL,
    TITLE,
    VERBATIM,
    WRAPPER,
)
from s3_retriever.structure.tags import (
    BEGIN,
    BITS,
    BLOCKS,
    CDATA,
    CELLS,
    CHILD,
    CLOSE,
    COMMENT,
    CONTENT,
    DEEP,
    DEPTH,
    EMPTY,
    HEADED,
    LISTED,
    NEXT,
    OPEN,
    OTHER,
    OVER,
    PARENT,
    PAST,
    REPEATED,
    SEEN,
    SORT,
    TEXT,
    Tags,
)
from s3_retriever.structure.tags import (
    PROSE as SENTENCES,
)

AT, KIND, LEVEL, FORM, FROM, TO = range(6)
"""Columns of blocks: where it begins; its kind and level; its form; of code, where that is in the text."""

COLUMNS = 6

WHOLE, LINE, CODED = range(3)
"""Forms: one unit; a line of what the text says, to be cut at sentences; statements."""

Blocks = npt.NDArray[np.int64]
"""int64 (n, COLUMNS), one row per block."""

_WITHIN, _WORDED = range(2)  # what an element holds: elements, or text with elements in it
_MODE, _KIND, _LEVEL, _RANK, _ITEMS = range(5)  # columns: that; the kind and level of its text; sections and
# items that it is in, itself among them
_BLOCKS, _LENGTH, _PENDING, _OPEN = range(4)  # of the state: how many there are; whether a line is open

_WHOLE = 800  # characters of the longest record that is one unit, which fits small budgets
_SHORT = 300  # characters of the longest text that is one unit in an element of any name
_KEY = 5  # characters of the tag of a key without attributes
_JOINED = 200  # characters of tags, at most, that stand before what is in them


@njit(cache=True, nogil=True)
def find_blocks(points: Points, flags: Flags, tags: Tags, blocks: Blocks, said: Points, ends: Starts) -> Any:
    """Write the blocks of a text, and what it says without tags; return how many blocks and characters.

    Args:
        points: The text.
        flags: Bits of its characters.
        tags: Its tags, nested.
        blocks: To be written.
        said: What the text says, to be written: a line for each block of form ``LINE``.
        ends: Where each character of it ends in the text, to be written.
    """
    n, i, at, current = len(points) - PADDING, 0, 0, -1
    state, pending = np.zeros(4, np.int64), np.empty(len(tags) + 1, np.int64)
    ways = np.zeros((len(tags) + 1, 5), np.int64)  # the last row is that of what is in no element
    ways[-1, _KIND] = PROSE
    while True:
        border = tags[i, BEGIN] if i < len(tags) else n
        if at < border:
            way = ways[current]
            _add_text(points, flags, at, border, False, way, tags, pending, blocks, said, ends, state)
        if i == len(tags):
            break
        tag = tags[i]
        at, sort, i = tag[PAST], tag[SORT], i + 1
        is_worded = ways[current, _MODE] == _WORDED
        if sort == CDATA:
            begin, way = tag[BEGIN] + 9, ways[current]
            _add_text(points, flags, begin, at - 3, True, way, tags, pending, blocks, said, ends, state)
        elif sort == CLOSE:
            while current >= 0 and (tags[current, NEXT] < i or tag[PARENT] == current):
                if ways[current, _MODE] == _WORDED:
                    _end_line(said, ends, state)
                current = tags[current, PARENT]
        elif sort == EMPTY:
            if state[_OPEN]:
                if tag[BITS] & BREAK:
                    _add(np.uint32(32), at, said, ends, state)
            elif is_worded or tag[BITS] & (INLINE | BREAK):
                _push(i - 1, pending, state)
            else:
                _add_whole(tags, tag[BEGIN], DATA, tag[DEPTH], pending, blocks, state)
        elif sort != OPEN:
            if state[_OPEN]:
                continue
            if sort == COMMENT and at - tag[BEGIN] > _WHOLE:
                _flush(tags, state[_PENDING], pending, blocks, state)
                _begin_line(tag[BEGIN], DATA, tag[DEPTH], blocks, state)
                for k in range(tag[BEGIN], at):
                    _add(points[k], k + 1, said, ends, state)
                _end_line(said, ends, state)
            else:
                _add_whole(tags, tag[BEGIN], DATA, tag[DEPTH], pending, blocks, state)
        elif is_worded and tag[BITS] & ASIDE:
            i, at = tag[NEXT], tag[OVER]
        elif is_worded and not tag[BITS] & (BLOCK | VERBATIM):
            if not state[_OPEN]:
                _push(i - 1, pending, state)
        else:
            _end_line(said, ends, state)
            if _add_element(points, tags, i - 1, ways, pending, blocks, state):
                i, at = tag[NEXT], tag[OVER]
            else:
                current = i - 1
    _end_line(said, ends, state)
    _flush(tags, state[_PENDING], pending, blocks, state)
    return state[_BLOCKS], state[_LENGTH]


@njit(cache=True, nogil=True)
def _add_element(
    points: Points,
    tags: Tags,
    i: int,
    ways: npt.NDArray[np.int64],
    pending: npt.NDArray[np.int64],
    blocks: Blocks,
    state: npt.NDArray[np.int64],
) -> Any:
    """Add the block that an element is, or note what it holds; return whether it is done with."""
    tag = tags[i]
    bits, seen, parent = tag[BITS], tag[SEEN], tag[PARENT]
    size, above = tag[OVER] - tag[BEGIN], tags[parent, BITS] if parent >= 0 else 0
    if bits & VERBATIM and seen & CONTENT:
        begin = _joined(tags, tag[BEGIN], pending, blocks, state)
        _add_block(begin, CODE, 0, CODED, blocks, state)
        block = blocks[state[_BLOCKS] - 1]
        block[FROM], block[TO] = tag[PAST], tags[tag[NEXT] - 1, BEGIN] if tag[NEXT] > i + 1 else tag[OVER]
        return True
    if bits & ROW and seen & CELLS and size <= _WHOLE:
        begin = _joined(tags, tag[BEGIN], pending, blocks, state)
        _add_block(begin, HEADER if (above | bits) & HEAD else TABLE, 0, WHOLE, blocks, state)
        return True
    if bits & KEY and tag[PAST] - tag[BEGIN] == _KEY and not seen & CHILD:
        _push(i, pending, state)
        return True
    if not seen & (CONTENT | CHILD) or _is_record(tag):
        _add_whole(tags, tag[BEGIN], DATA, tag[DEPTH], pending, blocks, state)
        return True
    way, outer = ways[i], ways[parent]
    way[_RANK] = outer[_RANK] + (bits & WRAPPER == 0)
    way[_ITEMS] = outer[_ITEMS] + (bits & ITEM != 0 and seen & (TEXT | SENTENCES) != 0)
    way[_KIND], way[_LEVEL] = (LIST, min(2 * way[_ITEMS] - 2, 255)) if way[_ITEMS] else (PROSE, 0)
    is_text = seen & TEXT or (seen & CONTENT and not seen & OTHER)
    is_text |= bits & TEXTUAL and seen & CONTENT and not seen & BLOCKS
    if bits & TITLE and is_text and not above & CAPTIONED:
        way[_KIND], way[_LEVEL] = HEADING, _numbered(tag, points) or min(outer[_RANK], 255)
    way[_MODE] = _WORDED if is_text else _WITHIN
    _push(i, pending, state)
    return False


@njit(cache=True, nogil=True)
def _is_record(tag: npt.NDArray[np.int64]) -> Any:
    """Tell whether an element is short and stands for one thing: no prose is in it.

    Others like it stand beside it, or it has but texts and attributes, of different names.
    """
    bits, seen = tag[BITS], tag[SEEN]
    size = tag[OVER] - tag[BEGIN]
    if size > _WHOLE or tag[DEPTH] == 0 or seen & SENTENCES or bits & (SECTION | TEXTUAL | TITLE):
        return False
    if seen & TEXT:
        return not bits & ITEM and (seen & REPEATED != 0 or (not seen & CHILD and size <= _SHORT))
    if not seen & OTHER:
        return False
    return seen & REPEATED or not seen & (DEEP | HEADED | LISTED)


@njit(cache=True, nogil=True)
def _add_text(
    points: Points,
    flags: Flags,
    at: int,
    end: int,
    is_data: bool,
    way: npt.NDArray[np.int64],
    tags: Tags,
    pending: npt.NDArray[np.int64],
    blocks: Blocks,
    said: Points,
    ends: Starts,
    state: npt.NDArray[np.int64],
) -> None:
    """Add what a text says to the line that is open; the first character of it opens one.

    ``is_data`` tells whether the text may have tags that are no elements, and no escapes. Those that end
    sentences end the line.
    """
    while at < end:
        if state[_OPEN]:
            at = _copy(points, at, end, said, ends, state)
            if at == end:
                break
        point, following, bits = points[at], at + 1, 0
        if point == 38 and not is_data:
            point, following, bits = read_escape(points, flags, at, end)
        elif point == 60 and is_data:
            point, following, bits = skip_markup(points, flags, at, end)
        if bits & BLOCK:
            _end_line(said, ends, state)
        elif flags[at] & SPACE or bits & BREAK:
            point = np.uint32(32)
        if point and not bits & BLOCK:
            if not state[_OPEN] and point > 32 and point != 0xA0:
                begin = _joined(tags, at, pending, blocks, state)
                _begin_line(begin, way[_KIND], way[_LEVEL], blocks, state)
            _add(point, following, said, ends, state)
        at = following


@njit(cache=True, nogil=True)
def _copy(points: Points, at: int, end: int, said: Points, ends: Starts, state: npt.NDArray[np.int64]) -> Any:
    """Add plain characters to the line that is open; return where others stand, or the end."""
    length = state[_LENGTH]
    is_spaced = length > 0 and said[length - 1] == 32
    while at < end:
        point = points[at]
        if point == 0x85 or point == 0xA0 or point > 0x1680 or point == 38 or point == 60:
            break
        if point <= 32:
            length -= is_spaced
            point, is_spaced = np.uint32(32), True
        else:
            is_spaced = False
        said[length], ends[length] = point, at + 1
        length, at = length + 1, at + 1
    state[_LENGTH] = length
    return at


@njit(cache=True, nogil=True)
def _add(point: np.uint32, end: int, said: Points, ends: Starts, state: npt.NDArray[np.int64]) -> None:
    """Add a character to the line that is open, if one is; of white space but one."""
    length = state[_LENGTH]
    if not state[_OPEN]:
        return
    if point <= 32:
        point = np.uint32(32)
    if point == 32 and said[length - 1] == 32:
        ends[length - 1] = end
        return
    said[length], ends[length] = point, end
    state[_LENGTH] += 1


@njit(cache=True, nogil=True)
def _begin_line(at: int, kind: int, level: int, blocks: Blocks, state: npt.NDArray[np.int64]) -> None:
    _add_block(at, kind, level, LINE, blocks, state)
    state[_OPEN] = 1


@njit(cache=True, nogil=True)
def _end_line(said: Points, ends: Starts, state: npt.NDArray[np.int64]) -> None:
    if state[_OPEN]:
        said[state[_LENGTH]] = 10
        state[_LENGTH] += 1
        state[_OPEN] = 0


@njit(cache=True, nogil=True)
def _add_whole(
    tags: Tags,
    at: int,
    kind: int,
    level: int,
    pending: npt.NDArray[np.int64],
    blocks: Blocks,
    state: npt.NDArray[np.int64],
) -> None:
    """Add a block of one unit, with the key that names it; the tags before it are units of their own."""
    n = state[_PENDING]
    if n and tags[pending[n - 1], BITS] & KEY:
        n, at = n - 1, tags[pending[n - 1], BEGIN]
    _flush(tags, n, pending, blocks, state)
    _add_block(at, kind, level, WHOLE, blocks, state)


@njit(cache=True, nogil=True)
def _add_block(
    at: int, kind: int, level: int, form: int, blocks: Blocks, state: npt.NDArray[np.int64]
) -> None:
    block = blocks[state[_BLOCKS]]
    block[AT], block[KIND], block[LEVEL], block[FORM] = at, kind, min(level, 255), form
    state[_BLOCKS] += 1


@njit(cache=True, nogil=True)
def _push(i: int, pending: npt.NDArray[np.int64], state: npt.NDArray[np.int64]) -> None:
    """Keep a tag for the block that comes next."""
    pending[state[_PENDING]] = i
    state[_PENDING] += 1


@njit(cache=True, nogil=True)
def _flush(
    tags: Tags, n: int, pending: npt.NDArray[np.int64], blocks: Blocks, state: npt.NDArray[np.int64]
) -> None:
    """Add the first ``n`` tags that were kept as units of their own, and forget all of them."""
    for k in range(n):
        _add_block(tags[pending[k], BEGIN], DATA, tags[pending[k], DEPTH], WHOLE, blocks, state)
    state[_PENDING] = 0


@njit(cache=True, nogil=True)
def _joined(
    tags: Tags, at: int, pending: npt.NDArray[np.int64], blocks: Blocks, state: npt.NDArray[np.int64]
) -> Any:
    """Return where a block begins with the tags before it that are near; the others become units."""
    first = state[_PENDING]
    begin = at
    while first and at - tags[pending[first - 1], BEGIN] <= _JOINED:
        first -= 1
        begin = tags[pending[first], BEGIN]
    _flush(tags, first, pending, blocks, state)
    return begin


@njit(cache=True, nogil=True)
def _numbered(tag: npt.NDArray[np.int64], points: Points) -> Any:
    """Return the level of a title that has it in its name, as h2; 0 of others."""
    level = int(points[tag[BEGIN] + 2]) - 48
    return level if 1 <= level <= 6 else 0
