"""From lines with their kinds to units: sentences, items, rows, statements, members."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import PADDING
from s3_retriever.structure.kinds import (
    BEGINS,
    CODE,
    DATA,
    FURNITURE,
    JOINED,
    LIST,
    PROSE,
    Bytes,
    Flags,
    Hashes,
    Points,
    Starts,
)
from s3_retriever.structure.lines import END, FIRST, Lines
from s3_retriever.structure.records import cut_record
from s3_retriever.structure.sentences import cut_sentences, goes_overleaf
from s3_retriever.structure.statements import cut_code


@njit(cache=True, nogil=True)
def cut_units(
    points: Points,
    flags: Flags,
    lines: Lines,
    kinds: Bytes,
    levels: Bytes,
    words: tuple[Hashes, ...],
    starts: Starts,
    out_kinds: Bytes,
    out_levels: Bytes,
) -> Any:
    """Write the units of a text and return how many there are.

    Args:
        points: The text.
        flags: Bits of its characters.
        lines: Of the text.
        kinds: Of the lines.
        levels: Of the lines.
        words: Hashes of words that open functions and classes, of those of classes, and of those that open
            other blocks; of abbreviations, of months, of abbreviations before numbers, of those with a
            capital, and of words before ordinals.
        starts: Where each unit begins, to be written.
        out_kinds: Their kinds, to be written.
        out_levels: Their levels, to be written.
    """
    n, found, i = len(lines), 0, 0
    above, kept = -1, 0  # the last line before furniture if it is one of text, and the units up to it
    while i < n:
        row = lines[i]
        if row[FIRST] == row[END]:
            i += 1
            continue
        kind = kinds[i] & ~JOINED
        end = i + 1
        if kind == CODE:
            while end < n and (kinds[end] & ~JOINED == CODE or lines[end, FIRST] == lines[end, END]):
                end += 1
            found = cut_code(
                points,
                flags,
                lines[i:end],
                kinds[i:end],
                words[:3],
                starts,
                out_kinds,
                out_levels,
                found,
            )
            i, above = end, -1
            continue
        while end < n and kinds[end] & JOINED:
            end += 1
        if kind == PROSE and above >= 0 and goes_overleaf(points, flags, lines, above, i):
            found = kept
        else:
            starts[found], out_kinds[found], out_levels[found] = row[FIRST], kind | BEGINS, levels[i]
            found += 1
        if kind in (PROSE, LIST):
            first = found
            found = cut_sentences(points, flags, lines[i:end], words[3:], starts, found)
            out_kinds[first:found] = kind
            out_levels[first:found] = levels[i]
            above, kept = end - 1, found
        elif kind != FURNITURE:
            above = -1
        if kind == DATA:
            found = cut_record(points, flags, lines[i:end], words[3:], starts, out_kinds, out_levels, found)
        i = end
    return found


@njit(cache=True, nogil=True)
def cut_members(points: Points, flags: Flags, starts: Starts, out_kinds: Bytes, out_levels: Bytes) -> Any:
    """Write the members of JSON: what begins an object's entry, or an object or array in an array.

    The first member of an object that has no key stands in one unit with its bracket. The level of a unit is
    the depth of its key, or of the last bracket without one that opens in it: members stand below it.
    """
    n, depth, at, found = len(points) - PADDING, 0, 0, 0
    objects = np.zeros(256, np.bool_)  # whether the innermost open brackets, by depth, are objects
    inside, fresh, before = False, True, np.uint32(0)
    while at < n:
        point = points[at]
        if inside:
            if point == 92:
                at += 1
            elif point == 34:
                inside = False
            at += 1
            continue
        if point <= 32 or point == 0xFEFF:
            at += 1
            continue
        if fresh and point != 93 and point != 125:
            is_member = objects[min(depth, 255)] or point == 123 or point == 91 or depth == 0
            if is_member and (found == 0 or at > starts[found - 1]):
                starts[found], out_kinds[found], out_levels[found] = at, DATA | BEGINS, min(depth, 255)
                found += 1
        fresh = point == 44 or (point == 125 and depth == 1) or (point == 93 and depth == 1)
        if point == 34:
            inside = True
        elif point == 123 or point == 91:
            if before == 58 or before == 91:
                out_levels[found - 1] = min(depth, 255)
            fresh = before == 58
            depth += 1
            objects[min(depth, 255)] = point == 123
        elif point == 125 or point == 93:
            depth = max(0, depth - 1)
        before = point
        at += 1
    return found
