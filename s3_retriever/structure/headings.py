"""How deep a heading is that no mark tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER, LOWER, SPACE, STOP, UPPER, WIDE
from s3_retriever.structure.kinds import FURNITURE, WEAK, Bytes, Flags, Hashes, Points
from s3_retriever.structure.lines import (
    END,
    FIRST,
    INDENT,
    LAST,
    LEADERS,
    LETTERS,
    LOWERS,
    OTHERS,
    PIPES,
    UPPERS,
    WORDS,
    Lines,
)
from s3_retriever.structure.scanning import contains, hash_word, word_end

_TITLE = 100  # characters of the longest heading that nothing marks
_CUT = 40  # characters of a line, at least, that a page cuts from the rest of its sentence
_BORDERS = 24  # lines that the furniture between two pages may take


@njit(cache=True, nogil=True)
def heading_level(
    points: Points,
    flags: Flags,
    lines: Lines,
    kinds: Bytes,
    i: int,
    above: int,
    below: int,
    sections: Hashes,
    parts: int,
    top: int,
    text: int,
) -> Any:
    """Return the level of a heading that no mark tells: numbered, named, of capitals or merely short; else 0.

    ``above`` and ``below`` are the blank lines before and after it, ``parts`` those of its number.
    Capitals that are indented by more than ``top`` columns are below other headings; ``text`` is the
    indent of what is below the last one.
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
    if parts >= 2 and not ends:
        return min(parts, 6)
    end = word_end(points, flags, first, last)
    if end < last and row[WORDS] <= 12 and not ends and flags[first] & UPPER:
        at = end + 1
        if contains(sections, hash_word(points, first, end)) and at < last and flags[at] & (DIGIT | UPPER):
            return 0 if not below and _is_sentence(flags, lines, i, at) else 1
    if not ends and _is_named(points, flags, lines, i, i + 1 + below, sections):
        return 1
    if row[UPPERS] >= 4 and not row[LOWERS] and row[LETTERS] >= 4 and not ends and row[LETTERS] * 2 > length:
        return parts or _capital_level(lines, i, below, top, text)
    if _is_cut(flags, lines, kinds, i):
        return 0
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
def is_caption(points: Points, flags: Flags, row: npt.NDArray[np.int64], captions: Hashes) -> Any:
    """Tell whether a line begins with the name and the number of a figure or a table."""
    first, last = row[FIRST], row[LAST]
    end = word_end(points, flags, first, last)
    if end == first or not contains(captions, hash_word(points, first, end)):
        return False
    end += points[end] == 46
    at = end + 1
    if at >= last or not flags[end] & SPACE:
        return False
    stop = word_end(points, flags, at, last)
    romans = 0
    for k in range(at, stop):
        romans += points[k] == 73 or points[k] == 86 or points[k] == 88
    return flags[at] & DIGIT != 0 or (flags[at] & UPPER != 0 and (stop == at + 1 or romans == stop - at))


@njit(cache=True, nogil=True)
def _is_sentence(flags: Flags, lines: Lines, i: int, at: int) -> Any:
    """Tell whether a line goes on in small letters behind the number at an offset, or in the next line."""
    while at < lines[i, LAST] and not flags[at] & SPACE:
        at += 1
    goes_on = at + 1 < lines[i, LAST] and flags[at + 1] & LOWER
    return i + 1 < len(lines) and (goes_on or flags[lines[i + 1, FIRST]] & LOWER) != 0


@njit(cache=True, nogil=True)
def _is_cut(flags: Flags, lines: Lines, kinds: Bytes, i: int) -> Any:
    """Tell whether a long line goes on in small letters below blank lines and furniture."""
    following = i + 1
    while following < min(len(lines), i + _BORDERS) and (
        kinds[following] == FURNITURE or lines[following, FIRST] == lines[following, END]
    ):
        following += 1
    return (
        lines[i, LAST] - lines[i, FIRST] >= _CUT
        and following < len(lines)
        and not kinds[following]
        and flags[lines[following, FIRST]] & LOWER != 0
    )


@njit(cache=True, nogil=True)
def _capital_level(lines: Lines, i: int, below: int, top: int, text: int) -> Any:
    """Return the level of a line of capitals; 0 of a term above what it means.

    Those that are indented by more than ``top`` columns are below others, but for centred ones.
    """
    indent, following = lines[i, INDENT], i + 1 + below
    reach = lines[following, INDENT] if following < len(lines) else 0
    if indent <= top or (reach < indent and top >= 0):
        return 2
    return WEAK if below or reach == indent or indent < text else 0


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
