"""Which lines are code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, LOWER, SPACE, STOP, UPPER
from s3_retriever.structure.comments import are_settings, has_comments
from s3_retriever.structure.kinds import CODE, JOINED, Bytes, Flags, Hashes, Points
from s3_retriever.structure.lines import (
    COMMAS,
    END,
    FIRST,
    INDENT,
    LAST,
    LETTERS,
    LISTED,
    OTHERS,
    PIPES,
    SEMICOLONS,
    START,
    WORDS,
    Lines,
)
from s3_retriever.structure.marks import (
    has_other_headings,
    is_manual,
    is_markdown,
    mark_fences,
    refers,
    signed,
    titled,
)
from s3_retriever.structure.openers import is_target, name_end
from s3_retriever.structure.scanning import contains, hash_word, marker_end, word_end
from s3_retriever.structure.words import INSTRUCTIONS

_LOOK = 80  # characters of a line that are looked at for signs of code
_SAID = 6  # words of a line at the margin that says something
_MINIFIED = 500  # characters of a minified line, at least


@njit(cache=True, nogil=True)
def looks_like_code(points: Points, flags: Flags, row: npt.NDArray[np.int64], words: Hashes) -> Any:
    """Tell whether a line by itself looks like one of a program."""
    first, last = row[FIRST], row[LAST]
    signs = calls = assigns = joins = links = types = 0
    final, initial = points[last - 1], points[first]
    second = points[first + 1] if first + 1 < last else np.uint32(0)
    end = word_end(points, flags, first, min(last, first + 12))
    is_word = end > first and contains(words, hash_word(points, first, end))
    if final == 59 or final == 123 or final == 125 or final == 40 or final == 91 or final == 92:  # ; { }
        signs += 2
    elif (final == 58 and is_word) or final == 44:
        signs += 1
    if (
        (initial == 64 and second > 64)
        or (initial == 47 and (second == 47 or second == 42))
        or (
            initial == 35
            and (
                second == 33
                or contains(
                    words, hash_word(points, first + 1, min(last, word_end(points, flags, first + 1, last)))
                )
            )
        )
        or (initial == 60 and (second == 47 or second == 63 or second == 33 or 97 <= second <= 122))
        or ((initial == 41 or initial == 93) and row[WORDS] <= 2)
        or (initial == 34 and second == 34)
        or (initial == 40 and points[last - 2] == 41 and (final == 44 or final == 59))
        or (final == 124 and row[PIPES] == 2 and _takes_block(points, row))
    ):
        signs += 2
    signs += final == 44 and _is_property(points, flags, row)
    if _is_instruction(points, flags, first, last) or (final == 36 and points[last - 2] == 32):
        signs += 2
    if is_word:
        signs += 1 + _is_block_of_words(points, flags, row, end) + 2 * _imports(points, row, end)
    at, end = first + 1, min(last - 1, first + _LOOK)
    while at < end:
        point = points[at]
        if point == 93 and points[at + 1] == 40:  # a link of Markdown
            links += 1
            while at < end and points[at] != 41:
                at += 1
        elif point == 40 or point == 91:
            calls += flags[at - 1] & (LETTER | DIGIT) != 0 or points[at - 1] == 95
        elif point == 61:
            assigns += 1
        elif point == 58 and points[at + 1] == 58 and points[at - 1] == 32 and points[at + 2] == 32:
            types = 2  # of Haskell
        elif point == 95 or (
            (point == 46 or point == 58) and points[at - 1] != 32 and flags[at + 1] & LETTER != 0
        ):
            joins += 1
        at += 1
    signs += final == 41 and not links
    signs += (calls > 0) + (assigns > 0) + (joins > 0) + types
    return signs >= 3 or (signs == 2 and (row[WORDS] <= 6 or row[OTHERS] * 6 >= row[LETTERS]))


@njit(cache=True, nogil=True)
def _is_instruction(points: Points, flags: Flags, first: int, last: int) -> Any:
    """Tell whether a line begins like one of a Dockerfile: with a word in capitals."""
    end = first
    while end < last and 65 <= points[end] <= 90:
        end += 1
    return points[end] == 32 and end > first + 2 and contains(INSTRUCTIONS, hash_word(points, first, end))


@njit(cache=True, nogil=True)
def _is_equation(points: Points, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line has an equals sign with spaces around."""
    for at in range(row[FIRST] + 1, row[LAST] - 1):
        if points[at] == 61 and points[at - 1] == 32 and points[at + 1] == 32:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_makefile(points: Points, lines: Lines) -> Any:
    """Tell whether a text is a makefile: it has targets and variables, and hardly anything else."""
    targets = variables = total = other = 0
    recipe = False
    for i in range(len(lines)):
        row = lines[i]
        first, last = row[FIRST], row[LAST]
        if first == row[END]:
            continue
        total += 1
        for at in range(first, last - 1):
            if points[at] == 36 and (points[at + 1] == 40 or points[at + 1] == 64 or points[at + 1] == 60):
                variables += 1  # $( $@ $<
                break
        if is_target(points, lines, i):
            targets, recipe = targets + 1, True
        elif not (recipe and points[row[START]] == 9):
            is_other = points[first] != 35 and row[WORDS] > 1 and row[INDENT] == 0
            for at in range(first, last - 1):
                is_other &= points[at] != 61 and not (points[at] == 58 and points[at - 1] > 32)
            other += is_other
            recipe = row[INDENT] > 0 and recipe
    return targets > 0 and variables > 1 and other * 5 < total


@njit(cache=True, nogil=True)
def _imports(points: Points, row: npt.NDArray[np.int64], end: int) -> Any:
    """Tell whether a line, whose first word ends at an offset, is like "from a import b" or "import a, b"."""
    first, last = row[FIRST], row[LAST]
    initial, second = points[first], points[first + 1]
    if initial == 102 and second == 114:  # from
        at = end + 1
        while at < last and points[at] != 32:
            at += 1
        if at + 8 >= last or points[at + 7] != 32:
            return False
        for place, point in enumerate((105, 109, 112, 111, 114, 116)):  # import
            if points[at + 1 + place] != point:
                return False
        return True
    if not (initial == 105 and second == 109) and not (initial == 101 and second == 120):  # import, export
        return False
    if points[end + 1] == 123 or points[end + 1] == 42:  # { *
        return True
    return initial == 105 and row[COMMAS] + row[LISTED] > 0 and row[WORDS] == row[LISTED] + 2


@njit(cache=True, nogil=True)
def _is_property(points: Points, flags: Flags, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line is a name, a colon and a text, a pattern or a list, as in objects of JavaScript."""
    end = word_end(points, flags, row[FIRST], row[LAST])
    mark = points[end + 2]
    is_value = mark == 34 or mark == 39 or mark == 47 or mark == 91 or mark == 96  # " ' / [ `
    return end > row[FIRST] and points[end] == 58 and points[end + 1] == 32 and is_value


@njit(cache=True, nogil=True)
def _takes_block(points: Points, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line that ends with the second of two pipes ends as in "each do |x|" or "each { |x|"."""
    at = row[LAST] - 2
    while points[at] != 124:
        at -= 1
    if at - row[FIRST] < 4 or points[at - 1] != 32:
        return False
    return points[at - 2] == 123 or (points[at - 2] == 111 and points[at - 3] == 100 and points[at - 4] == 32)


@njit(cache=True, nogil=True)
def _is_block_of_words(points: Points, flags: Flags, row: npt.NDArray[np.int64], end: int) -> Any:
    """Tell whether a line, whose first word ends at an offset, reads like "end", "def full?" or "class A"."""
    first, last = row[FIRST], row[LAST]
    if not flags[first] & LOWER or row[WORDS] > 4 or row[OTHERS] > 2:
        return False
    ends_by_do = points[last - 1] == 111 and points[last - 2] == 100 and points[last - 3] == 32
    is_def = points[first] == 100 and points[first + 1] == 101 and points[first + 2] == 102
    is_name = row[WORDS] > 1 and flags[end + 1] & UPPER and not flags[last - 1] & STOP
    is_class = end - first >= 5 and (points[first] == 99 or points[first] == 109)  # class, module
    return row[WORDS] == 1 or ends_by_do or is_def or (is_class and is_name)


@njit(cache=True, nogil=True)
def is_program(points: Points, flags: Flags, lines: Lines, words: Hashes, kinds: Bytes) -> Any:
    """Tell whether a quarter of the lines that are not marked look like code and have no backslash first."""
    total = coded = 0
    for i in range(len(lines)):
        row = lines[i]
        if not kinds[i] and row[FIRST] < row[END]:
            total += 1
            coded += points[row[FIRST]] != 92 and looks_like_code(points, flags, row, words)
    return 4 * coded >= total > 0


@njit(cache=True, nogil=True)
def _is_noted(points: Points, flags: Flags, block: Lines, signs: bool) -> Any:
    """Tell whether a block begins with a comment behind a number sign, maybe with an empty line of one."""
    first = block[0, FIRST]
    if points[first] != 35 or not flags[first + 1] & SPACE or (signs and signed(points, flags, block[0])):
        return False
    return first + 1 < block[0, LAST] or (len(block) > 1 and points[block[1, FIRST]] == 35)


@njit(cache=True, nogil=True)
def _mark_comments(points: Points, lines: Lines, kinds: Bytes, likely: npt.NDArray[np.bool_]) -> None:
    """Mark as likely code the lines of comments from "/*" to "*/", whatever they say."""
    begin = -1
    for i in range(len(lines)):
        first, last = lines[i, FIRST], lines[i, LAST]
        if kinds[i] & ~JOINED == CODE:
            begin = -1
        elif last - first >= 2:
            if points[first] == 47 and points[first + 1] == 42 and begin < 0:
                begin = i
            if points[last - 1] == 47 and points[last - 2] == 42 and begin >= 0:
                likely[begin : i + 1] = True
                begin = -1


@njit(cache=True, nogil=True)
def _is_minified(points: Points, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a long line is a program without line breaks: braces, and semicolons without gaps."""
    first, last = row[FIRST], row[LAST]
    length = last - first
    if length < _MINIFIED or row[SEMICOLONS] * 500 < length:
        return False
    braces = 0
    for at in range(first, last):
        braces += points[at] == 123 or points[at] == 125
    return braces * 200 >= length and (row[SEMICOLONS] + row[COMMAS]) * 50 >= length


@njit(cache=True, nogil=True)
def mark_code(
    points: Points, flags: Flags, lines: Lines, words: Hashes, kinds: Bytes, marked_up: bool
) -> Any:
    """Mark lines of code, and return whether number signs mark headings, and not comments only.

    Code are lines between fences, texts that are code, blocks most of whose lines are, and those that begin
    with a comment and hold no prose. Headings in Markdown and titles of a manual page are in no block. A text
    that is ``marked_up`` is no program, and its markup has told its listings.
    """
    n = len(lines)
    fences = mark_fences(points, flags, lines, kinds, marked_up)
    markdown = not marked_up and is_markdown(points, flags, lines, kinds, fences)
    manual = not marked_up and not markdown and is_manual(lines)
    noted = not (marked_up or markdown) and has_comments(points, flags, lines, kinds)
    signs = marked_up or markdown or not (noted or manual or has_other_headings(points, flags, lines, kinds))
    settings = noted and are_settings(points, flags, lines, kinds)
    likely, told, apart = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    total = coded = said = size = minified = 0
    for i in range(n):
        row = lines[i]
        first, last = row[FIRST], row[LAST]
        if kinds[i] or first == row[END]:
            apart[i] = True
            continue
        if noted and not settings and points[first] == 35:  # a comment tells nothing of what is around it
            continue
        total += 1
        if (markdown and signed(points, flags, row)) or (manual and titled(lines, i)):
            apart[i] = True
            continue
        is_item = markdown and (points[first] == 124 or marker_end(points, flags, first, last) >= 0)
        if not (is_item or (manual and refers(points, flags, row))):
            likely[i] = looks_like_code(points, flags, row, words)
            if i and likely[i - 1] and not likely[i]:
                likely[i] = _is_equation(points, row) and name_end(points, flags, lines, i) > 0
    _mark_comments(points, lines, kinds, likely)
    for i in range(n):
        row = lines[i]
        if apart[i]:
            continue
        is_said = not likely[i] and row[WORDS] >= _SAID and flags[row[FIRST]] & LETTER != 0
        coded += likely[i]
        said += is_said and row[INDENT] == 0
        told[i] = is_said and row[OTHERS] * 6 < row[LETTERS]
        size += row[LAST] - row[FIRST]
        minified += (row[LAST] - row[FIRST]) * _is_minified(points, row)
    # A program has a third of such lines and hardly any prose at the margin; a manual with listings has much.
    shebang = n > 0 and lines[0, FIRST] == 0 and points[0] == 35 and points[1] == 33
    mostly = total >= 3 and (coded * 5 >= total * 3 or (coded * 20 >= total * 7 and said * 10 < total))
    told_so = shebang or (not markdown and not manual and _is_makefile(points, lines))
    whole = not marked_up and (told_so or ((mostly or minified * 2 > size) and not markdown and not manual))
    begin = 0
    while begin < n:
        if apart[begin]:
            begin += 1
            continue
        end, found, is_told = begin, 0, False
        while end < n and not apart[end]:
            found += likely[end]
            is_told |= told[end]
            end += 1
        begun = not is_told and _is_noted(points, flags, lines[begin:end], signs)
        begun &= not (settings and are_settings(points, flags, lines[begin:end], kinds[begin:end]))
        if whole or (end - begin >= 2 and (found * 2 > end - begin or begun)):
            kinds[begin:end] = CODE
        begin = end
    return signs
