"""Which full stops end a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import BREAK, CLOSER, DIGIT, LETTER, LOWER, SPACE, STOP, UPPER, WIDE
from s3_retriever.structure.kinds import Flags, Hashes, Points
from s3_retriever.structure.scanning import contains, hash_word, word_end

_PARAGRAPH = 0xA7  # its sign
_THAI = 3  # letters of what is abbreviated in Thai, at most; its sentences have no stops
_NOUN = 4  # letters of what follows an ordinal, at least: what is shorter is mostly a pronoun


@njit(cache=True, nogil=True)
def is_full_stop(
    points: Points,
    flags: Flags,
    begin: int,
    stop: int,
    following: int,
    end: int,
    words: tuple[Hashes, ...],
) -> Any:
    """Tell whether a single full stop ends a sentence: no initial, abbreviation, or number of an item."""
    at = stop
    if points[begin] == 36 and flags[begin + 1] & SPACE and flags[at - 1] & SPACE:
        return False  # an argument, as in "$ pull . topic"
    while at > begin and flags[at - 1] & LETTER:
        at -= 1
    if at < stop:
        return _ends_word(points, flags, begin, at, stop, following, words)
    while at > begin and flags[at - 1] & DIGIT:
        at -= 1
    digits = stop - at
    if not digits or digits > 4:
        return True
    if points[following] == _PARAGRAPH:  # 5. §
        return False
    if _is_dated(points, flags, begin, at, following, end) or flags[following] & LOWER:
        return False
    if digits == 4:
        return True
    if _is_numbering(points, flags, begin, at):
        return False
    if at == begin or (digits <= 2 and points[at - 1] == 10):
        return False
    before = at - 1
    while before > begin and flags[before - 1] & LETTER:
        before -= 1
    after = word_end(points, flags, following, following + 16)
    if after - following >= _NOUN and contains(words[4], hash_word(points, before, at - 1)):
        return False
    if digits > 2:
        return True
    return not contains(words[1], hash_word(points, following, after))


@njit(cache=True, nogil=True)
def _ends_word(
    points: Points,
    flags: Flags,
    begin: int,
    at: int,
    stop: int,
    following: int,
    words: tuple[Hashes, ...],
) -> Any:
    """Tell whether a full stop after a word, which begins at ``at``, ends a sentence."""
    abbreviations, _, numbered, capitalised, _ = words
    letters = stop - at
    before = points[at - 1] if at > begin else np.uint32(32)
    if before == 46:
        return False  # e.g., U.S.
    point = points[at]
    if letters <= _THAI and 0xE01 <= point <= 0xE46:
        return False
    # A lower-case letter with an accent is a word, as in Vietnamese.
    is_word = flags[at] & LOWER and (0xDF <= point <= 0x24F or 0x1E00 <= point <= 0x1EFF)
    has_no_case = 0x5D0 <= point <= 0x64A  # Hebrew and Arabic, in which no word has one letter
    is_initial = letters == 1 and (flags[at] & (UPPER | LOWER) or has_no_case) and not is_word
    opens = _opens(before) and (at - begin < 2 or flags[at - 2] & SPACE)
    if is_initial and (before == 32 or before == 40 or before == 10 or opens):
        return False
    if is_initial and before == 45 and at - begin >= 2 and points[at - 2] == 46:
        return False  # J.-C.
    if letters > 1 and _roman_end(points, at, stop) == stop and _begins_sentence(points, flags, begin, at):
        return False
    if _is_doubled(points, flags, at, stop) and _is_doubled(points, flags, following, following + 2):
        return flags[following + 2] & LETTER != 0  # EE. UU.
    word = hash_word(points, at, stop)
    is_capitalised = flags[at] & UPPER and letters > 1 and flags[at + 1] & LOWER
    if contains(abbreviations, word) or (is_capitalised and contains(capitalised, word)):
        return False
    after = following + 8
    roman = _roman_end(points, following, after)
    if _is_firm(points, at, stop, following) or _is_speaker(points, flags, begin, at, stop, following):
        return False
    if (
        flags[following] & DIGIT
        or points[following] == _PARAGRAPH
        or (following + 1 < roman < after and not flags[roman] & LETTER)
    ):
        is_street = (
            letters > 3 and points[stop - 3] == 115 and points[stop - 2] == 116 and points[stop - 1] == 114
        )
        if is_street or contains(numbered, word):
            return False
    return not (flags[following] & LOWER and letters <= 4)


@njit(cache=True, nogil=True)
def _is_firm(points: Points, at: int, stop: int, following: int) -> Any:
    """Tell whether a word is that of "& Co. KG"."""
    is_co = stop - at == 2 and points[at] == 67 and points[at + 1] == 111
    return is_co and points[following] == 75 and points[following + 1] == 71


@njit(cache=True, nogil=True)
def _is_speaker(points: Points, flags: Flags, begin: int, at: int, stop: int, following: int) -> Any:
    """Tell whether a word in capitals begins a line that goes on, as in a play: "ANNA. Who is it?"."""
    if (
        (at > begin and points[at - 1] != 10)
        or stop - at < 2
        or not _begins_sentence(points, flags, begin, at)
    ):
        return False
    for place in range(at, following):
        if not flags[place] & UPPER and (place < stop or flags[place] & BREAK):
            return False
    return True


@njit(cache=True, nogil=True)
def _opens(point: np.uint32) -> Any:
    """Tell whether a character opens a quotation or a bracket."""
    return (
        point == 34
        or point == 39
        or point == 91
        or point == 0xAB
        or point == 0x2018
        or point == 0x201C
        or point == 0x201E
    )


@njit(cache=True, nogil=True)
def _roman_end(points: Points, at: int, end: int) -> Any:
    """Return where the capitals of a Roman number that begin at an offset end."""
    while at < end and (
        points[at] == 73  # I, V, X, L, C, M
        or points[at] == 86
        or points[at] == 88
        or points[at] == 76
        or points[at] == 67
        or points[at] == 77
    ):
        at += 1
    return at


@njit(cache=True, nogil=True)
def _begins_sentence(points: Points, flags: Flags, begin: int, at: int) -> Any:
    """Tell whether nothing stands between a word and the stop before it, as before "II. Rákóczi"."""
    while at > begin and flags[at - 1] & SPACE:
        at -= 1
    return at == begin or flags[at - 1] & (STOP | WIDE | CLOSER) != 0


@njit(cache=True, nogil=True)
def _is_numbering(points: Points, flags: Flags, begin: int, at: int) -> Any:
    """Tell whether a number with the parts before it, as in "8.1.", begins a block or follows a bullet."""
    while at > begin + 1 and points[at - 1] == 46 and flags[at - 2] & DIGIT:
        at -= 1
        while at > begin and flags[at - 1] & DIGIT:
            at -= 1
    if at < begin + 2 or points[at - 1] != 32:
        return at == begin
    mark = points[at - 2]
    if mark != 45 and mark != 42 and mark != 43 and mark != 0x2022:
        return False
    at -= 2
    while at > begin and points[at - 1] == 32:
        at -= 1
    return at == begin or points[at - 1] == 10


@njit(cache=True, nogil=True)
def _is_doubled(points: Points, flags: Flags, at: int, stop: int) -> Any:
    """Tell whether a word is a capital twice, an abbreviated plural of Spanish and French."""
    return stop - at == 2 and flags[at] & UPPER != 0 and points[at] == points[at + 1]


@njit(cache=True, nogil=True)
def _is_dated(points: Points, flags: Flags, begin: int, at: int, following: int, end: int) -> Any:
    """Tell whether a number that begins at ``at`` stands in a date such as "1931. 4. 5." or "4. 5. 1931"."""
    inside = at - begin >= 3 and points[at - 1] == 32 and points[at - 2] == 46 and flags[at - 3] & DIGIT
    if 0xAC00 <= points[following] <= 0xD7A3:
        return inside
    after = following
    while after < end and after - following < 5 and flags[after] & DIGIT:
        after += 1
    digits = after - following
    if digits == 4:
        return inside
    if not 1 <= digits <= 2 or after + 2 >= end or points[after] != 46 or not flags[after + 1] & SPACE:
        return False
    return flags[after + 2] & (DIGIT | LOWER) or 0xAC00 <= points[after + 2] <= 0xD7A3
