"""Where sentences begin within a paragraph or an item of a list."""

from __future__ import annotations

from typing import Any

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import (
    BREAK,
    CLOSER,
    DIGIT,
    LETTER,
    LOWER,
    SPACE,
    SPACED,
    STOP,
    UPPER,
    WIDE,
)
from s3_retriever.structure.filling import DOUBLE, are_entries, columns
from s3_retriever.structure.kinds import Flags, Hashes, Points, Starts
from s3_retriever.structure.lines import DIGITS, END, FIRST, INDENT, LAST, LOWERS, PAGE, WORDS, Lines
from s3_retriever.structure.scanning import (
    bracketed,
    is_entry,
    is_stamped,
    is_timed,
    item_text,
    marker_end,
    quotes,
)
from s3_retriever.structure.sections import read_number
from s3_retriever.structure.stops import is_full_stop

_PHRASE = 60  # characters after which a space ends a unit in scripts that have no stops
_NARROW, _NARROW_WIDE = 40, 32  # columns of lines that no wrapped prose has; of Han and the like
_TEXT = 4  # words of a line, at least, whose sentence goes on overleaf
_BETWEEN = 4  # lines of furniture that stand between two pages at most
_FILLED = 6  # lines above the last of a page that tell how wide it is, at most; two at least
_ENTRY = 8  # lines that an entry of a list of references takes at most


@njit(cache=True, nogil=True)
def cut_sentences(
    points: Points,
    flags: Flags,
    lines: Lines,
    words: tuple[Hashes, ...],
    starts: Starts,
    found: int,
) -> Any:
    """Write where sentences begin after the first of a block; return how many units there are now.

    Args:
        points: The text.
        flags: Bits of its characters.
        lines: Of the block.
        words: Hashes of abbreviations, of months, of abbreviations before numbers, of those with a
            capital, and of words before ordinals.
        starts: Where each unit begins, to be written.
        found: How many units there are before.
    """
    begin, end = item_text(points, flags, lines[0, FIRST], lines[0, LAST]), lines[-1, LAST]
    widest, entries = 0, False
    if len(lines) > 1:
        entries = are_entries(points, flags, lines)
        for k in range(len(lines)):
            widest = max(widest, columns(points, lines, k))
    line, unit, at = 0, begin, begin
    while at < end:
        kind = flags[at]
        if not kind & (STOP | WIDE | SPACE):
            at += 1
            continue
        if kind & SPACE:
            before, broken = at, False
            while at < end and flags[at] & SPACE:
                broken |= flags[at] & BREAK != 0
                at += 1
            if at >= end:
                break
            mark, ends = points[before - 1], False
            if mark == 59 or mark == 58:
                ends = _is_local_stop(points, flags, begin, before, at)
            if broken:
                while line + 1 < len(lines) and lines[line, END] < at and lines[line + 1, FIRST] <= at:
                    line += 1
                ends |= line > 0 and _is_deliberate(points, flags, lines, line, widest, entries)
            elif at - unit >= _PHRASE and flags[at] & SPACED:
                ends |= _is_phrase(points, flags, before, at)
            gap = at
        else:
            stop = at
            at, gap, ends = _look_at_stop(points, flags, begin, at, end, words)
            if gap >= end:
                break
            ends &= stop > unit  # a sentence is more than its stops
        if ends:
            starts[found], unit, at = gap, gap, gap
            found += 1
            while line + 1 < len(lines) and lines[line + 1, FIRST] <= gap:
                line += 1
    return found


@njit(cache=True, nogil=True)
def goes_overleaf(points: Points, flags: Flags, lines: Lines, above: int, below: int) -> Any:
    """Tell whether a sentence goes on from one line to another, over the border of a page.

    There are but blank lines and furniture between: a page begins there, or a line has its number. With a
    capital or a number it goes on only below a line as wide as those above it.
    """
    is_border, between = lines[below, PAGE] > 0, 0
    for k in range(above + 1, below):
        is_border |= lines[k, PAGE] > 0 or lines[k, DIGITS] > 0
        between += lines[k, FIRST] < lines[k, END]
    first, last, begin = lines[above, FIRST], lines[above, LAST], lines[below, FIRST]
    if not is_border or between > _BETWEEN:
        return False
    if not flags[begin] & LOWER and not _goes_on_anew(points, flags, lines, above, below):
        return False
    if last - first < _NARROW or is_entry(points, flags, first, last):
        return False
    at = last - 1
    while at > first and flags[at] & CLOSER:
        at -= 1
    return not flags[at] & (STOP | WIDE) and points[at] != 58 and lines[above, WORDS] >= _TEXT


@njit(cache=True, nogil=True)
def _goes_on_anew(points: Points, flags: Flags, lines: Lines, above: int, below: int) -> Any:
    """Tell whether a sentence can go on with no small letter: its line is full, and so is the next.

    The next one may be shorter if it ends with a stop.
    """
    row, final = lines[below], lines[above, LAST] - 1
    first, last = row[FIRST], row[LAST]
    opens = points[first] == 40 or points[first] == 91  # ( [
    closes = points[final] == 41 or points[final] == 93 or points[final] == 44  # ) ] ,
    if not (flags[first] & (UPPER | DIGIT) or opens) or not (flags[final] & (LETTER | DIGIT) or closes):
        return False
    if marker_end(points, flags, first, last) >= 0 or is_entry(points, flags, first, last):
        return False
    if read_number(points, flags, first, last)[0] >= 2 or not row[LOWERS]:
        return False
    width, widest, k = columns(points, lines, above), 0, above - 1
    while k >= max(0, above - _FILLED) and lines[k, FIRST] < lines[k, END]:
        widest = max(widest, columns(points, lines, k))
        k -= 1
    if above - 1 - k < 2 or width * 10 < widest * 9 or width > widest + widest // 4:
        return False
    return columns(points, lines, below) * 4 >= widest * 3 or flags[last - 1] & STOP != 0


@njit(cache=True, nogil=True)
def _look_at_stop(
    points: Points,
    flags: Flags,
    begin: int,
    at: int,
    end: int,
    words: tuple[Hashes, ...],
) -> Any:
    """Return where the marks at an offset end, where text goes on, and whether a sentence begins there."""
    first, wide = at, False
    while at < end and flags[at] & (STOP | WIDE):
        wide |= flags[at] & WIDE != 0
        at += 1
    marks = at - first
    closed = at
    while at < end and flags[at] & CLOSER:
        at += 1
    closers = at - closed
    gap = at
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
    if first == begin or gap >= end or _goes_on(points, flags, at, gap, end, closers > 0):
        return at, gap, False
    if wide:
        ends = not (closers and gap == at and 0x3041 <= points[gap] <= 0x309F)  # と and the like go on
    elif gap == at:
        ends = False
    elif points[first] == 46 and marks == 1 and not closers:
        ends = is_full_stop(points, flags, begin, first, gap, end, words)
    else:
        ends = not ((marks > 1 or points[first] == 0x2026 or closers) and flags[gap] & LOWER)
    return at, gap, ends


@njit(cache=True, nogil=True)
def _leads(points: Points, end: int) -> Any:
    """Tell whether four dots or more, spaces between them or not, end at an offset."""
    at, dots = end - 1, 0
    while at >= 0 and dots < 4 and end - at < 16:
        if points[at] == 46 or points[at] == 0xB7:
            dots += 1
        elif points[at] == 0x2026:
            dots += 3
        elif points[at] != 32:
            break
        at -= 1
    return dots >= 4


@njit(cache=True, nogil=True)
def _goes_on(points: Points, flags: Flags, at: int, gap: int, end: int, closed: bool) -> Any:
    """Tell whether what comes after marks and a gap cannot begin a sentence: a mark, or who spoke."""
    mark = points[gap]
    if mark == 44 or mark == 59 or mark == 41 or mark == 0x3001 or mark == 0xFF0C or mark == 46:
        return True
    if flags[gap] & DIGIT and not closed and _leads(points, at):
        return True
    if flags[gap] & WIDE:
        return True
    if mark == 0x179B and points[gap + 1] == 0x17D4 and points[at - 1] == 0x17D4:  # "and so on" of Khmer
        return True
    is_dash = mark == 0x2013 or mark == 0x2014
    if gap == at or not (is_dash or mark == 45):
        return False
    broken = False
    for place in range(at, gap):
        broken |= flags[place] & BREAK != 0
    if closed and is_dash and not broken:
        return True
    after = gap + 1
    while after < end and flags[after] & SPACE:
        after += 1
    return after > gap + 1 and after < end and flags[after] & LOWER != 0 and (closed or not broken)


@njit(cache=True, nogil=True)
def _is_local_stop(points: Points, flags: Flags, begin: int, before: int, following: int) -> Any:
    """Tell whether a semicolon ends a question of Greek, or a colon a sentence of Armenian."""
    mark = points[before - 1]
    if mark == 59:
        first, last, letters = 0x370, 0x3FF, 2
    elif mark == 58:
        first, last, letters = 0x531, 0x587, 1
    else:
        return False
    if before - 1 - letters < begin:
        return False
    for at in range(before - 1 - letters, before - 1):
        point = points[at]
        is_greek = mark == 59 and 0x1F00 <= point <= 0x1FFF
        if not flags[at] & LETTER or not (first <= point <= last or is_greek):
            return False
    return flags[following] & UPPER and first <= points[following] <= last


@njit(cache=True, nogil=True)
def _is_phrase(points: Points, flags: Flags, before: int, at: int) -> Any:
    """Tell whether a phrase of Thai, Lao or Tibetan begins after a gap; no stop or sign of repetition."""
    if not (flags[before - 1] & SPACED and flags[at] & SPACED) or flags[at] & WIDE:
        return False
    return points[at] != 0x0E46 and points[at] != 0x0EC6


@njit(cache=True, nogil=True)
def _is_deliberate(points: Points, flags: Flags, lines: Lines, line: int, widest: int, entries: bool) -> Any:
    """Tell whether the break before a line of a paragraph is more than wrapping."""
    above, below = lines[line - 1], lines[line]
    at, last = below[FIRST], below[LAST]
    if (
        is_timed(points, flags, at, last)
        or is_stamped(points, flags, at, last)
        or (entries and below[INDENT] <= lines[0, INDENT])
    ):
        return True
    if points[at] == 46 and points[at + 1] == 46 and flags[at + 2] & SPACE:  # a mark of reStructuredText
        return True
    if is_entry(points, flags, at, last) and is_entry(points, flags, above[FIRST], above[LAST]):
        return True
    if _is_reference(points, flags, lines, line):
        return True
    if marker_end(points, flags, at, last) >= 0:  # it begins no item, or it would be in another block
        return False
    mark = points[at]
    if mark == 62:  # quoted mail
        depth, is_blank = quotes(points, flags, at, last)
        above_depth, above_is_blank = quotes(points, flags, above[FIRST], above[LAST])
        if is_blank or above_is_blank or depth > above_depth:
            return not is_blank
    if mark == 62 or (mark == 35 and points[above[FIRST]] == mark):  # that, or comments
        while at < last - 1 and (points[at] == mark or flags[at] & SPACE):
            at += 1
    if flags[at] & LOWER:
        return False
    begin = at
    while at < last and not flags[at] & SPACE:
        at += 1
    word, length = at - begin, columns(points, lines, line - 1)
    is_wide = points[below[FIRST]] >= DOUBLE
    if is_wide:
        word = 3
        if points[above[LAST] - 1] == 0x3001 or points[above[LAST] - 1] == 0xFF0C:
            return False
    return length < (_NARROW_WIDE if is_wide else _NARROW) or (length + word + 1) * 4 <= widest * 3


@njit(cache=True, nogil=True)
def _is_reference(points: Points, flags: Flags, lines: Lines, line: int) -> Any:
    """Tell whether a line begins with the number in brackets that is next to that of a line above."""
    number = bracketed(points, flags, lines[line, FIRST], lines[line, LAST])
    if number < 2:
        return False
    for k in range(line - 1, max(-1, line - 1 - _ENTRY), -1):
        if bracketed(points, flags, lines[k, FIRST], lines[k, LAST]) == number - 1:
            return True
    return False
