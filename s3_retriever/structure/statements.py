"""From lines of code to statements."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import LETTER
from s3_retriever.structure.continuing import continues, goes_on
from s3_retriever.structure.kinds import BEGINS, CODE, JOINED, OPENER, Bytes, Flags, Hashes, Points, Starts
from s3_retriever.structure.lines import END, FIRST, INDENT, LAST, OTHERS, WORDS, Lines
from s3_retriever.structure.marks import fence
from s3_retriever.structure.openers import (
    CLASS,
    FUNCTION,
    NOTHING,
    has_recipe,
    has_signature,
    is_old,
    opened_by,
)
from s3_retriever.structure.scanning import word_end

_DEEPEST = 64  # levels of indentation that are told apart
_COMMENTS, _STATEMENT = 600, 1200  # characters of comments, and of a statement, that stay together


@njit(cache=True, nogil=True)
def cut_code(
    points: Points,
    flags: Flags,
    lines: Lines,
    kinds: Bytes,
    words: tuple[Hashes, ...],
    starts: Starts,
    out_kinds: Bytes,
    out_levels: Bytes,
    found: int,
) -> Any:
    """Write the statements of a piece of code; return how many units there are now.

    ``words`` are those of :func:`~s3_retriever.structure.openers.opened_by`.
    """
    n = len(lines)
    above, balance, quoted, held, commented, is_open = True, 0, np.uint32(0), False, False, False
    is_typed = False  # whether the line above may be the type of a function
    unit, base, depth = lines[0, FIRST], 0, 0
    columns = np.zeros(_DEEPEST, np.int64)  # of the lines above that are indented less and less, and whether
    classes = np.zeros(_DEEPEST, np.bool_)  # they open classes
    for i in range(n):
        row = lines[i]
        first, last = row[FIRST], row[LAST]
        if first == row[END]:
            above, is_open, commented = True, False, False
            if not quoted and balance and i + 1 < n and lines[i + 1, INDENT] <= base:
                balance = 0
            continue
        final = points[last - 1]
        mark, second = points[first], points[first + 1] if first + 1 < last else np.uint32(0)
        is_comment = not quoted and (
            (mark == 35 and second != 33)
            or (mark == 47 and (second == 47 or second == 42))
            or (mark == 42 and commented)
            or (mark == 45 and second == 45)
        )
        is_closer = mark == 41 or mark == 93 or mark == 125
        is_continued = not above and not is_comment and continues(points, flags, row, lines[i - 1], base)
        opens = NOTHING
        if not quoted and not is_comment and not is_continued and balance == 0:
            is_label = final == 58 and word_end(points, flags, first, last) == last - 1
            is_label &= not has_recipe(points, lines, i)
            if not (is_closer or is_label or mark == 123):
                while depth and columns[depth - 1] >= row[INDENT]:
                    depth -= 1
                opens = opened_by(points, flags, lines, i, words, depth > 0 and classes[depth - 1])
                depth = min(depth, _DEEPEST - 1)
                columns[depth], classes[depth] = row[INDENT], opens == CLASS
                depth += 1
        length = first - unit
        if kinds[i] & JOINED or (not above and not quoted and has_signature(points, flags, lines, i)):
            new = False
        elif quoted:
            new = above or length > _COMMENTS
        elif held:
            new = False
        elif balance > 0:
            new = length > _STATEMENT and row[INDENT] <= base + 4 and not is_closer
        elif is_closer and not above:
            new = last - first > 2 and flags[min(first + 2, last - 1)] & LETTER != 0
        elif is_comment and commented and not above:
            new = length > _COMMENTS
        elif commented and not above:
            new = opens != NOTHING or length > _COMMENTS // 2
        elif is_typed and not above and opens == FUNCTION and is_old(points, flags, row):
            new = False
        elif is_continued or (is_open and not above):
            new = length > _STATEMENT
        else:
            new = True
        if new or found == 0 or i == 0:
            starts[found], out_kinds[found], out_levels[found] = first, CODE | BEGINS, min(row[INDENT], 255)
            found += 1
            unit, base = first, row[INDENT]
            if not quoted:
                balance = 0
        if opens != NOTHING:
            out_kinds[found - 1] = OPENER | BEGINS
        fenced = fence(points, flags, row)[1] > 0 and not kinds[i] & JOINED
        is_decorator = mark == 64 and second > 64 and final != 123 and final != 59
        held = (is_decorator and not quoted and last - first < 200) or fenced
        is_typed = row[INDENT] == 0 and row[WORDS] <= 4 and flags[first] & LETTER != 0 and row[OTHERS] <= 2
        is_typed = is_typed and (flags[last - 1] & LETTER != 0 or final == 42)
        commented, above = is_comment, False
        if not is_comment:
            delta, quoted = _balance(points, first, last, quoted)
            balance = max(0, balance + delta)
        is_open = not is_comment and goes_on(points, row)
    return found


@njit(cache=True, nogil=True)
def _balance(points: Points, first: int, last: int, quoted: np.uint32) -> Any:
    """Return how many brackets a line leaves open, and the quote of a text of several lines that goes on."""
    balance, at, inside = 0, first, np.uint32(0)
    before = last - 2
    while before > first and points[before] == 32:
        before -= 1
    mark = points[max(before, first)]
    literal = mark == 61 or mark == 40 or mark == 91 or mark == 44 or mark == 58  # = ( [ , : before a brace
    while at < last:
        point = points[at]
        is_quote = point == 34 or point == 39
        triple = is_quote and at + 2 < last and points[at + 1] == point and points[at + 2] == point
        if quoted:
            if triple and point == quoted:
                quoted, at = np.uint32(0), at + 2
        elif inside:
            if point == 92:
                at += 1
            elif point == inside:
                inside = np.uint32(0)
        elif triple:
            quoted, at = point, at + 2
        elif is_quote:
            if point == 34 or (at + 1 < last and _closes(points, at, last)):
                inside = point
        elif point == 35 or (point == 47 and at + 1 < last and points[at + 1] == 47):
            break
        elif point == 40 or point == 91 or (point == 123 and (at + 1 < last or literal)):
            balance += 1
        elif point == 41 or point == 93 or (point == 125 and at > first):
            balance -= 1
        at += 1
    return balance, quoted


@njit(cache=True, nogil=True)
def _closes(points: Points, at: int, last: int) -> Any:
    end = at + 1
    while end < min(last, at + 200) and points[end] != points[at]:
        end += 1
    return end < min(last, at + 200)
