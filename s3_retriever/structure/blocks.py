"""Which lines are headings, items of lists and prose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import CLOSER, DIGIT, LETTER, LOWER, SPACE, STOP, UPPER, WIDE
from s3_retriever.structure.headings import heading_level, is_caption
from s3_retriever.structure.kinds import (
    BLANK,
    FURNITURE,
    HEADING,
    JOINED,
    LIST,
    PROSE,
    WEAK,
    Bytes,
    Flags,
    Hashes,
    Points,
)
from s3_retriever.structure.lines import (
    DIGITS,
    END,
    FIRST,
    GAPS,
    INDENT,
    LAST,
    LETTERS,
    RULE,
    WORDS,
    Lines,
)
from s3_retriever.structure.marks import UNDERLINED, signed, underline
from s3_retriever.structure.scanning import (
    is_entry,
    marker_end,
    ordinals,
)
from s3_retriever.structure.sections import (
    APART,
    LIKELY,
    MARGIN,
    NEXT,
    TEXT,
    no_sections,
    note_marks,
    note_section,
    place_in_order,
    read_number,
)

_WRAPPED, _WRAPPED_WIDE = 30, 15  # characters after which a title can be wrapped; of Han and the like
_AHEAD = 24  # lines in which the next item of a list is looked for


@njit(cache=True, nogil=True)
def _is_wrapped(points: Points, flags: Flags, lines: Lines, i: int, item: int) -> Any:
    """Tell whether a line that looks like an item goes on with the sentence of the line before it.

    ``item`` is the last line that began one; -1 where none did.
    """
    row, above = lines[i], lines[i - 1]
    first = row[FIRST]
    number, letter = ordinals(points, flags, first, row[LAST])
    final = above[LAST] - 1
    if not (number or letter) or above[WORDS] < 3 or not (flags[final] & LOWER or points[final] == 44):
        return False
    text = marker_end(points, flags, first, row[LAST])
    if number == 1 or letter == 1 or (letter == 3 and flags[text] & DIGIT):  # "(c) 1997" is no wrapped line
        return False
    if item >= 0 and _is_next(points, flags, lines[item, FIRST], lines[item, LAST], number - 1, letter - 1):
        return False
    for k in range(i + 1, min(len(lines), i + 1 + _AHEAD)):
        begin, last = lines[k, FIRST], lines[k, LAST]
        if lines[k, INDENT] != row[INDENT] or marker_end(points, flags, begin, last) < 0:
            continue
        if _is_next(points, flags, begin, last, number + 1, letter + 1):
            return False
    return True


@njit(cache=True, nogil=True)
def _item_ends(points: Points, flags: Flags, lines: Lines, i: int, item: int) -> Any:
    """Tell whether an item ends above a line without a gap: short, with a stop, and a paragraph begins.

    ``item`` is the line that began it. What stands before the next number of the list belongs to it.
    """
    row, above = lines[i], lines[i - 1]
    first, at = row[FIRST], above[LAST] - 1
    if row[INDENT] > lines[item, INDENT] or not flags[first] & UPPER:
        return False
    while at > above[FIRST] and flags[at] & CLOSER:
        at -= 1
    if not flags[at] & (STOP | WIDE):
        return False
    end = first
    while end < row[LAST] and not flags[end] & SPACE:
        end += 1
    widest = max(row[LAST] - first, lines[item, LAST] - lines[item, FIRST])
    if (above[LAST] - above[FIRST] + end - first + 1) * 4 > widest * 3:
        return False
    number, letter = ordinals(points, flags, lines[item, FIRST], lines[item, LAST])
    if not (number or letter):
        return True
    for k in range(i + 1, min(len(lines), i + 1 + _AHEAD)):
        if _is_next(points, flags, lines[k, FIRST], lines[k, LAST], number + 1, letter + 1):
            return False
    return True


@njit(cache=True, nogil=True)
def _is_next(points: Points, flags: Flags, first: int, last: int, number: int, letter: int) -> Any:
    """Tell whether a marker at ``first`` has this number above 0, or this letter above a."""
    found, of_letter = ordinals(points, flags, first, last)
    return (number > 0 and found == number) or (letter > 0 and of_letter == letter)


@njit(cache=True, nogil=True)
def mark_rest(
    points: Points,
    flags: Flags,
    lines: Lines,
    sections: Hashes,
    captions: Hashes,
    signs: bool,
    kinds: Bytes,
    levels: Bytes,
) -> None:
    """Mark headings, list items and prose among the lines that are not marked yet, and rules as furniture.

    ``signs`` tells whether number signs mark headings. Lines of a paragraph, and those of an item, are
    marked as joined after the first.
    """
    n = len(lines)
    below = np.zeros(n + 1, np.int64)  # blank lines from each line on
    for i in range(n - 1, -1, -1):
        below[i] = below[i + 1] + 1 if lines[i, FIRST] == lines[i, END] else 0
    seen = np.zeros(8, np.int64)  # characters that underlined headings, in their order
    order = no_sections()
    above, item, depth, before = 1, False, 0, BLANK
    marked, hashed = -1, False  # the last line that began an item; whether a heading has number signs
    reach = 0  # columns that a line is indented by, at least, that goes on with an item
    for i in range(n):
        row = lines[i]
        first, last = row[FIRST], row[LAST]
        if first == row[END]:
            above += 1
            if before != LIST:
                before = BLANK
            continue
        if kinds[i]:
            before, above = kinds[i] & ~JOINED, 0
            item, depth = before == LIST, row[INDENT]
            continue
        kind, level = PROSE, 0
        point = points[first]
        rule = underline(flags, lines, kinds, i)
        if row[RULE] and not row[LETTERS] and not row[DIGITS] and last - first >= 3:
            kind = FURNITURE
            if before == HEADING and above == 0:
                kind = HEADING | JOINED
        elif signs and point == 35 and signed(points, flags, row):
            kind, level, hashed = HEADING, signed(points, flags, row), True
        elif rule and (before != PROSE or above):
            kind = HEADING
            level = _underlined(seen, rule, hashed)
        elif above and _is_wrapped_title(points, flags, lines, kinds, i, hashed or seen[1] > 0):
            kind, kinds[i + 1] = HEADING, HEADING | JOINED
            level = _underlined(seen, lines[i + 2, RULE], hashed)
        else:
            text = marker_end(points, flags, first, last)
            if text >= 0 and above == 0 and before == PROSE and _is_wrapped(points, flags, lines, i, marked):
                text = -1
            title, following = 0, i + 1 + below[i + 1]
            parts, value, dotted = read_number(points, flags, first, last)
            place = place_in_order(order, value, dotted, row[INDENT]) if parts == 1 else LIKELY
            if place < LIKELY:
                parts = 0
            if (
                above
                and point != 35
                and (text < 0 or parts)
                and place != APART
                and not is_caption(points, flags, row, captions)
            ):
                if hashed or seen[1]:
                    note_marks(order)
                title = heading_level(
                    points,
                    flags,
                    lines,
                    kinds,
                    i,
                    above,
                    below[i + 1],
                    sections,
                    parts,
                    order[MARGIN],
                    order[TEXT],
                )
                if text >= 0 and _is_listed(
                    points, flags, lines, kinds, marked if before == LIST else -1, following, value, place
                ):
                    title = 0
            if title:
                kind, level = HEADING, title
                if title < WEAK:
                    note_section(
                        order, parts, value, dotted, row[INDENT], lines[min(following, n - 1), INDENT]
                    )
            elif text >= 0:
                if before != LIST or row[INDENT] != depth:
                    reach = row[INDENT] + _is_key(points, flags, lines, i - 1, row[INDENT])
                kind, depth, item, marked = LIST, row[INDENT], True, i
                level = min(row[INDENT], 255)
            elif row[INDENT] < reach and item and is_entry(points, flags, first, last):
                kind = PROSE  # the next key
            elif item and before == LIST and above == 0 and _item_ends(points, flags, lines, i, marked):
                item = False
            elif item and before == LIST and (above == 0 or row[INDENT] > depth):
                kind, level = LIST, min(depth, 255)
                if above == 0:
                    kind |= JOINED
            elif above == 0 and before == PROSE:
                kind = PROSE | JOINED
        kinds[i], levels[i] = kind, level
        before, above = kind & ~JOINED, 0
        if before != LIST:
            item = False


@njit(cache=True, nogil=True)
def _is_key(points: Points, flags: Flags, lines: Lines, i: int, indent: int) -> Any:
    """Tell whether a line is a key of settings with nothing behind it, in the same column as its items."""
    if i < 0 or lines[i, INDENT] != indent or points[lines[i, LAST] - 1] != 58:
        return False
    return is_entry(points, flags, lines[i, FIRST], lines[i, LAST])


@njit(cache=True, nogil=True)
def _is_wrapped_title(
    points: Points, flags: Flags, lines: Lines, kinds: Bytes, i: int, underlines: bool
) -> Any:
    """Tell whether a line and the next one are an underlined title, wrapped and no sentence.

    ``underlines`` tells whether the text has headings with marks already: else hyphens may be a mere rule.
    """
    if i + 2 >= len(lines) or kinds[i + 1]:
        return False
    rule, length = underline(flags, lines, kinds, i + 1), lines[i, LAST] - lines[i, FIRST]
    if not rule or (rule != 61 and not underlines) or length > UNDERLINED:
        return False
    second = lines[i + 1]
    if 2 * (lines[i + 2, LAST] - lines[i + 2, FIRST]) < second[LAST] - second[FIRST]:
        return False
    for k in (i, i + 1):
        at, last = lines[k, FIRST], lines[k, LAST]
        if not flags[at] & (LETTER | DIGIT) or lines[k, GAPS] or is_entry(points, flags, at, last):
            return False
        if marker_end(points, flags, at, last) >= 0:
            return False
    if flags[lines[i, LAST] - 1] & (STOP | WIDE) or points[lines[i, LAST] - 1] == 58:
        return False
    final = second[LAST] - 1
    if flags[final] & (STOP | WIDE) and points[final] != 63:
        return False
    wide = points[lines[i, FIRST]] >= 0x2E80
    return length >= (_WRAPPED_WIDE if wide else _WRAPPED)


@njit(cache=True, nogil=True)
def _underlined(seen: npt.NDArray[np.int64], rule: int, hashed: bool) -> Any:
    """Return the level of a heading with this underline, and note it among those that were seen, by level.

    Below headings with number signs only an underline of equals signs is of level 1, as in Markdown.
    """
    for level in range(1, 8):
        if seen[level] == rule:
            return level
    level = 2 if hashed and rule != 61 else 1
    while level < 7 and seen[level]:
        level += 1
    seen[level] = rule
    return level


@njit(cache=True, nogil=True)
def _is_listed(
    points: Points,
    flags: Flags,
    lines: Lines,
    kinds: Bytes,
    item: int,
    following: int,
    value: int,
    place: int,
) -> Any:
    """Tell whether a numbered line is an item, by the one before it and the line that follows.

    A line whose number comes next among the sections is none unless it comes next in that list too.
    """
    if item >= 0 and (
        place != NEXT or _is_next(points, flags, lines[item, FIRST], lines[item, LAST], value - 1, 0)
    ):
        return True
    if following >= len(lines) or kinds[following]:
        return False
    first, last = lines[following, FIRST], lines[following, LAST]
    if first == lines[following, END] or marker_end(points, flags, first, last) < 0:
        return False
    return place != NEXT or _is_next(points, flags, first, last, value + 1, 0)
