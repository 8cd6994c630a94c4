"""Which lines are headings, items of lists and prose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import CLOSER, DIGIT, LETTER, LOWER, SPACE, STOP, UPPER, WIDE
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
    LEADERS,
    LETTERS,
    LOWERS,
    OTHERS,
    PIPES,
    RULE,
    UPPERS,
    WORDS,
    Lines,
)
from s3_retriever.structure.marks import UNDERLINED, signed, underline
from s3_retriever.structure.scanning import (
    contains,
    hash_word,
    is_entry,
    marker_end,
    numbered,
    ordinals,
    word_end,
)

_TITLE = 100  # characters of the longest heading that nothing marks
_WRAPPED, _WRAPPED_WIDE = 30, 15  # characters after which a title can be wrapped; of Han and the like
_AHEAD = 24  # lines in which the next item of a list is looked for


@njit(cache=True, nogil=True)
def _heading_level(
    points: Points, flags: Flags, lines: Lines, i: int, above: int, below: int, sections: Hashes
) -> Any:
    """Return the level of a heading that no mark tells: numbered, named, of capitals or merely short; else 0.

    ``above`` and ``below`` are the blank lines before and after it.
    """
    row = lines[i]
    first, last = row[FIRST], row[LAST]
    length = last - first
    if length > _TITLE or row[WORDS] > 14 or not row[LETTERS] or not above or row[LEADERS] >= 4:
        return 0
    final = points[last - 1]
    ends = flags[last - 1] & (STOP | WIDE) and final != 63
    if final == 44 or final == 59 or final == 0x3001 or final == 0xFF0C:
        return 0
    parts = numbered(points, flags, first, last)
    if parts >= 2 and not ends:
        return min(parts, 6)
    end = word_end(points, flags, first, last)
    if end < last and row[WORDS] <= 12 and not ends and flags[first] & UPPER:
        at = end + 1
        if contains(sections, hash_word(points, first, end)) and at < last and flags[at] & (DIGIT | UPPER):
            return 1
    if not ends and _is_named(points, flags, lines, i, i + 1 + below, sections):
        return 1
    if row[UPPERS] >= 4 and not row[LOWERS] and row[LETTERS] >= 4 and not ends and row[LETTERS] * 2 > length:
        return parts or 2
    if parts == 1 and below and not ends:
        return 1
    if ends or final == 58 or row[INDENT] > 8 or points[end] == 58:
        return 0
    begins = flags[first]
    if not begins & (LETTER | DIGIT) or begins & LOWER or row[OTHERS] * 3 > row[LETTERS]:
        return 0
    following = i + 1 + below
    if following >= len(lines):
        return 0
    wide = row[LETTERS] and not row[UPPERS] and not row[LOWERS]  # of a script without cases
    if length > (24 if wide else 70) or (wide and row[WORDS] > 8):
        return 0
    reach = lines[following, LAST] - lines[following, FIRST]
    if below == 0:
        return WEAK if reach > 2 * length and reach > 50 else 0
    return WEAK if reach > 1.5 * length or lines[following, PIPES] else 0


@njit(cache=True, nogil=True)
def _is_named(points: Points, flags: Flags, lines: Lines, i: int, following: int, sections: Hashes) -> Any:
    """Tell whether a line names a paragraph of a law, as "§ 5 Notice" or "Art. 12 Delivery", before text."""
    first, last = lines[i, FIRST], lines[i, LAST]
    end = first if points[first] == 0xA7 else word_end(points, flags, first, last)
    if end + 2 >= last or (end > first and points[end] != 46) or following >= len(lines):
        return False
    at = end + 1
    if not contains(sections, hash_word(points, first, at)):
        return False
    at += flags[at] & SPACE != 0
    number = at
    while at < last and flags[at] & DIGIT:
        at += 1
    if at > number and flags[at] & LOWER:
        at += 1  # § 7a
    if at == number or (at < last and not flags[at] & SPACE) or flags[min(at + 1, last - 1)] & LOWER:
        return False
    begin, reach = lines[following, FIRST], lines[following, LAST] - lines[following, FIRST]
    same = points[begin] == points[first] and points[begin + 1] == points[first + 1]
    return reach > last - first and not same


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
    points: Points, flags: Flags, lines: Lines, sections: Hashes, signs: bool, kinds: Bytes, levels: Bytes
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
    above, item, depth, before = 1, False, 0, BLANK
    marked, hashed = -1, False  # the last line that began an item; whether a heading has number signs
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
            title = 0
            if point != 35 and (text < 0 or numbered(points, flags, first, last)):
                title = _heading_level(points, flags, lines, i, above, below[i + 1], sections)
                if (
                    text >= 0
                    and title
                    and (before == LIST or _item_follows(points, flags, lines, i + 1 + below[i + 1], kinds))
                ):
                    title = 0
            if title:
                kind, level = HEADING, title
            elif text >= 0:
                kind, depth, item, marked = LIST, row[INDENT], True, i
                level = min(row[INDENT], 255)
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
def _item_follows(points: Points, flags: Flags, lines: Lines, i: int, kinds: Bytes) -> Any:
    if i >= len(lines) or kinds[i] or lines[i, FIRST] == lines[i, END]:
        return False
    return marker_end(points, flags, lines[i, FIRST], lines[i, LAST]) >= 0
