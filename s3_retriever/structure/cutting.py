"""From lines with their kinds to units: sentences, items, rows, statements, members."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import (
    BREAK,
    CLOSER,
    DIGIT,
    LETTER,
    LOWER,
    PADDING,
    SPACE,
    SPACED,
    STOP,
    UPPER,
    WIDE,
)
from s3_retriever.structure.kinds import (
    BEGINS,
    CODE,
    DATA,
    JOINED,
    LIST,
    PROSE,
    Bytes,
    Flags,
    Hashes,
    Points,
    Starts,
)
from s3_retriever.structure.lines import END, FIRST, LAST, Lines
from s3_retriever.structure.scanning import contains, hash_word, is_entry, is_timed, word_end
from s3_retriever.structure.statements import cut_code

_PHRASE = 60  # characters after which a space ends a unit in scripts that have no stops
_NARROW, _NARROW_WIDE = 40, 16  # characters of lines that no wrapped prose has; of Han and the like


@njit(cache=True, nogil=True)
def cut_units(
    points: Points,
    flags: Flags,
    lines: Lines,
    kinds: Bytes,
    levels: Bytes,
    words: tuple[Hashes, Hashes, Hashes, Hashes, Hashes],
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
        words: Hashes of abbreviations, of months, of words that open functions, and other blocks, and of
            abbreviations before numbers.
        starts: Where each unit begins, to be written.
        out_kinds: Their kinds, to be written.
        out_levels: Their levels, to be written.
    """
    n, found, i = len(lines), 0, 0
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
                words[2],
                words[3],
                starts,
                out_kinds,
                out_levels,
                found,
            )
            i = end
            continue
        while end < n and kinds[end] & JOINED and lines[end, FIRST] < lines[end, END]:
            end += 1
        starts[found], out_kinds[found], out_levels[found] = row[FIRST], kind | BEGINS, levels[i]
        found += 1
        if kind in (PROSE, LIST):
            first = found
            found = _cut_sentences(points, flags, lines[i:end], words[0], words[1], words[4], starts, found)
            out_kinds[first:found] = kind
            out_levels[first:found] = levels[i]
        i = end
    return found


@njit(cache=True, nogil=True)
def _cut_sentences(
    points: Points,
    flags: Flags,
    lines: Lines,
    abbreviations: Hashes,
    months: Hashes,
    numbered: Hashes,
    starts: Starts,
    found: int,
) -> Any:
    """Write where sentences begin after the first of a block; return how many units there are now."""
    begin, end = lines[0, FIRST], lines[-1, LAST]
    widest = 0
    for k in range(len(lines)):
        widest = max(widest, lines[k, LAST] - lines[k, FIRST])
    line, unit, at = 0, begin, begin
    while at < end:
        kind = flags[at]
        if not kind & (STOP | WIDE | SPACE):
            at += 1
            continue
        if kind & SPACE:
            before, broken, gap = at, False, at
            while gap < end and flags[gap] & SPACE:
                broken |= flags[gap] & BREAK != 0
                gap += 1
            at = gap
            if at >= end:
                break
            if broken:
                while line + 1 < len(lines) and lines[line, END] < at:
                    if lines[line + 1, FIRST] > at:
                        break
                    line += 1
                if line and _is_deliberate(points, flags, lines[line - 1], lines[line], widest):
                    starts[found], unit = at, at
                    found += 1
            elif at - unit >= _PHRASE and flags[before - 1] & SPACED and flags[at] & SPACED:
                starts[found], unit = at, at
                found += 1
            continue
        first, wide = at, False
        while at < end and flags[at] & (STOP | WIDE):
            wide |= flags[at] & WIDE != 0
            at += 1
        marks = at - first
        closed = at
        while at < end and flags[at] & CLOSER:
            at += 1
        closers = at - closed
        gap, broken = at, False
        while gap < end and flags[gap] & SPACE:
            gap += 1
        if gap > at and gap + 1 < end and flags[gap] & CLOSER:  # "as in this text . ''"
            after = gap
            while after < end and flags[after] & CLOSER:
                after += 1
            if after < end and flags[after] & SPACE and (after - gap > 1 or points[gap] > 0x7F):
                closers, at, gap = after - gap, after, after
                while gap < end and flags[gap] & SPACE:
                    gap += 1
        if gap >= end:
            break
        following = flags[gap]
        if wide:
            ends = not (closers and gap == at and 0x3041 <= points[gap] <= 0x309F)  # と and the like go on
        elif gap == at:
            ends = False
        elif points[first] == 46 and marks == 1 and not closers:
            ends = _is_full_stop(points, flags, begin, first, gap, abbreviations, months, numbered)
        else:
            ends = not ((marks > 1 or points[first] == 0x2026 or closers) and following & LOWER)
        mark = points[gap]
        if mark == 44 or mark == 59 or mark == 41 or mark == 0x3001 or mark == 0xFF0C:
            ends = False
        if ends:
            starts[found], unit, at = gap, gap, gap
            found += 1
            while line + 1 < len(lines) and lines[line + 1, FIRST] <= gap:
                line += 1
    return found


@njit(cache=True, nogil=True)
def _is_full_stop(
    points: Points,
    flags: Flags,
    begin: int,
    stop: int,
    following: int,
    abbreviations: Hashes,
    months: Hashes,
    numbered: Hashes,
) -> Any:
    """Tell whether a single full stop ends a sentence: no initial, abbreviation, or number of an item."""
    at = stop
    while at > begin and flags[at - 1] & LETTER:
        at -= 1
    letters = stop - at
    lower = flags[following] & LOWER
    if letters:
        before = points[at - 1] if at > begin else np.uint32(32)
        if before == 46:
            return False  # e.g., U.S.
        point = points[at]
        # A lower-case letter with an accent is a word, as in Vietnamese.
        is_word = flags[at] & LOWER and (0xDF <= point <= 0x24F or 0x1E00 <= point <= 0x1EFF)
        has_no_case = 0x5D0 <= point <= 0x64A  # Hebrew and Arabic, in which no word has one letter
        is_initial = letters == 1 and (flags[at] & (UPPER | LOWER) or has_no_case) and not is_word
        if is_initial and (before == 32 or before == 40 or before == 10):
            return False
        word = hash_word(points, at, stop)
        if contains(abbreviations, word) or (flags[following] & DIGIT and contains(numbered, word)):
            return False
        return not (lower and letters <= 4)
    while at > begin and flags[at - 1] & DIGIT:
        at -= 1
    digits = stop - at
    if digits and digits <= 3:
        if at == begin or points[at - 1] == 10:
            return False
        if digits <= 2:
            end = word_end(points, flags, following, following + 16)
            if lower or contains(months, hash_word(points, following, end)):
                return False
    return True


@njit(cache=True, nogil=True)
def _is_deliberate(
    points: Points, flags: Flags, above: npt.NDArray[np.int64], below: npt.NDArray[np.int64], widest: int
) -> Any:
    """Tell whether the break between two lines of a paragraph is more than wrapping."""
    at, last = below[FIRST], below[LAST]
    if is_timed(points, flags, at, last):
        return True
    if is_entry(points, flags, at, last) and is_entry(points, flags, above[FIRST], above[LAST]):
        return True
    if points[at] == 62 and points[above[FIRST]] == 62:  # quoted mail
        while at < last - 1 and (points[at] == 62 or flags[at] & SPACE):
            at += 1
    if flags[at] & LOWER:
        return False
    begin = at
    while at < last and not flags[at] & SPACE:
        at += 1
    word, length = at - begin, above[LAST] - above[FIRST]
    is_wide = points[below[FIRST]] >= 0x2E80
    if is_wide:
        word = 1
    return length < (_NARROW_WIDE if is_wide else _NARROW) or (length + word + 1) * 4 <= widest * 3


@njit(cache=True, nogil=True)
def cut_members(points: Points, flags: Flags, starts: Starts, out_kinds: Bytes, out_levels: Bytes) -> Any:
    """Write the members of JSON: what begins an object's entry, or an object or array in an array."""
    n, depth, at, found = len(points) - PADDING, 0, 0, 0
    objects = np.zeros(256, np.bool_)  # whether the innermost open brackets, by depth, are objects
    inside, fresh = False, True
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
            depth += 1
            objects[min(depth, 255)] = point == 123
            fresh = point == 123 and depth > 1 and False
        elif point == 125 or point == 93:
            depth = max(0, depth - 1)
        at += 1
    return found
