"""Units of a text in XML or HTML: sentences and titles without their tags, records, rows, listings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import PADDING, flags_of
from s3_retriever.structure.elements import (
    AT,
    CODED,
    COLUMNS,
    FORM,
    FROM,
    KIND,
    LEVEL,
    LINE,
    TO,
    Blocks,
    find_blocks,
)
from s3_retriever.structure.kinds import (
    BEGINS,
    CODE,
    HEADING,
    Bytes,
    Flags,
    Hashes,
    Points,
    Starts,
)
from s3_retriever.structure.lines import COLUMNS as OF_LINES
from s3_retriever.structure.lines import Lines, count_lines, look_at_lines
from s3_retriever.structure.sentences import cut_sentences
from s3_retriever.structure.statements import cut_code
from s3_retriever.structure.tag_names import BITS, NAMES
from s3_retriever.structure.tags import COLUMNS as OF_TAGS
from s3_retriever.structure.tags import nest_tags, scan_tags

_BEGINS = re.compile(r"[\ufeff\s]*<(?:\?xml\b|!--|!doctype\b|(?!\?)[^\W\d])", re.IGNORECASE)
_ROOT = re.compile(
    r"(?:[\ufeff\s]|<\?[^>]*>|<!--(?:[^-]|-(?!->))*-->|<!doctype[^\[>]*(?:\[[^\]]*\]\s*)?>)*<([^\W\d][\w:.-]*)",
    re.IGNORECASE,
)
_TOP = 20_000  # characters in which the first element begins
_LEAST = 2  # tags

Found = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def may_be_tagged(text: str) -> bool:
    """Tell whether a text begins and ends as one in XML or HTML does."""
    return _BEGINS.match(text) is not None and text[-400:].rstrip()[-1:] == ">"


def has_root(text: str) -> bool:
    """Tell whether what a text in XML or HTML begins with ends it."""
    root = _ROOT.match(text, 0, _TOP)
    return root is not None and text[-400:].rstrip().endswith(f"</{root[1]}>")


def cut_tagged(points: Points, flags: Flags, words: tuple[Hashes, ...], offset: int) -> Found | None:
    """Return where units of a text in XML or HTML begin, their kinds, and their levels.

    Args:
        points: The text.
        flags: Bits of its characters.
        words: Those of :func:`s3_retriever.structure.cutting.cut_units`.
        offset: Where the text begins in one that is known to be in XML or HTML; -1 where it is all of a
            document.

    Returns:
        None where the text is in neither: words stand outside of elements, or these are not nested.
    """
    tags = np.zeros((int(np.count_nonzero(points == 60)), OF_TAGS), np.int64)
    n, ended = scan_tags(points, flags, NAMES, BITS, tags)
    tags = tags[:n]
    amiss = nest_tags(points, flags, tags, offset > 0)
    if offset < 0 and (amiss or not ended or n < _LEAST):
        return None
    room = len(points) + n
    said, ends = np.zeros(room, np.uint32), np.zeros(room, np.uint32)
    blocks = np.zeros((2 * n + 2, COLUMNS), np.int64)
    n_blocks, length = find_blocks(points, flags, tags, blocks, said, ends)
    said, ends = said[: length + PADDING], ends[: length + PADDING]
    said[length:] = 0
    marks = flags_of(said, length)
    lines = np.zeros((count_lines(said, marks), OF_LINES), np.int64)
    look_at_lines(said, marks, lines)
    units = n_blocks + len(points) // 2 + 1
    starts, kinds, levels = np.empty(units, np.uint32), np.empty(units, np.uint8), np.empty(units, np.uint8)
    args = blocks[:n_blocks], points, flags, said, marks, lines, ends, words, starts, kinds, levels
    found = _cut_blocks(*args)
    return starts[:found], kinds[:found], levels[:found]


@njit(cache=True, nogil=True)
def _cut_blocks(
    blocks: Blocks,
    points: Points,
    flags: Flags,
    said: Points,
    marks: Flags,
    lines: Lines,
    ends: Starts,
    words: tuple[Hashes, ...],
    starts: Starts,
    kinds: Bytes,
    levels: Bytes,
) -> Any:
    """Write the units of blocks, and return how many there are.

    Args:
        blocks: Of the text, in order.
        points: The text.
        flags: Bits of its characters.
        said: What it says, a line for each block of form ``LINE``.
        marks: Bits of the characters of that.
        lines: Of that.
        ends: Where each character of it ends in the text.
        words: Those of :func:`s3_retriever.structure.cutting.cut_units`.
        starts: Where each unit begins, to be written.
        kinds: Their kinds, to be written.
        levels: Their levels, to be written.
    """
    found = line = 0
    inside = np.empty(len(said) // 2 + 2, np.uint32)
    for block in blocks:
        kind = block[KIND]
        starts[found], kinds[found], levels[found] = block[AT], kind | BEGINS, block[LEVEL]
        found += 1
        if block[FORM] == LINE:
            if kind != HEADING:
                sentences = cut_sentences(said, marks, lines[line : line + 1], words[3:], inside, 0)
                for k in range(sentences):
                    at = _behind_tags(points, ends[inside[k] - 1])
                    if at > starts[found - 1]:
                        starts[found], kinds[found], levels[found] = at, kind, block[LEVEL]
                        found += 1
            line += 1
        elif block[FORM] == CODED:
            begin, end = block[FROM], block[TO]
            listing, bits = points[begin : end + PADDING].copy(), flags[begin : end + PADDING].copy()
            listing[end - begin :] = 0
            bits[end - begin :] = 0
            rows = np.zeros((count_lines(listing, bits), OF_LINES), np.int64)
            look_at_lines(listing, bits, rows)
            coded = np.full(len(rows), CODE, np.uint8)
            own = starts[found - 1 :], kinds[found - 1 :], levels[found - 1 :]
            statements = cut_code(listing, bits, rows, coded, words[:3], own[0], own[1], own[2], 0)
            for k in range(found - 1, found - 1 + statements):
                starts[k] += begin
            starts[found - 1] = block[AT]
            found += max(0, statements - 1)
    return found


@njit(cache=True, nogil=True)
def _behind_tags(points: Points, at: int) -> Any:
    """Return where text or an opening tag begins behind an offset, white space and closing tags."""
    while points[at]:
        if points[at] <= 32:
            at += 1
        elif points[at] == 60 and points[at + 1] == 47:
            while points[at] and points[at] != 62:
                at += 1
            at += 1
        else:
            break
    return at
