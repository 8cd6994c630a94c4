"""Designations in a text: codes of several words, and words with the numbers behind them; in linear time.

"BRG-226-10" is one, and so are "XR 500", "Section 4.3" and "§ 12". Each part may stand anywhere in a text; a
designation says that they stand together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from unicodedata import decimal, normalize

from s3_retriever.index.forms import term_of
from s3_retriever.index.scripts import MARKS, UNSPACED

DESIGNATION = "@"
"""Begins the term of a designation; no other term has it."""

MOST_PARTS = 16
"""Parts of a designation; what has more, such as a long address, is none."""

_LONGEST = 100  # characters of one
_GROUPS = 3  # of digits, apart, that are one without a letter: an address, a number in groups
_READ = 48  # characters before a number
_LETTER = rf"(?:(?![{UNSPACED}])(?:[^\W_]|[{MARKS}]))"
_JOINT = "-\u2010\u2011/._:"
_NUMBER = re.compile(r"\d")
_BEFORE = re.compile(rf"(?:{_LETTER}[{_JOINT}]?)+$")
_WRITTEN = re.compile(rf"{_LETTER}+(?:[{_JOINT}]{_LETTER}+)*")
_WORD = re.compile(rf"(?:(?<![^\W\d_])(?:(?!\d){_LETTER})+|[{UNSPACED}§])$")
_BETWEEN = (" \xa0", "#№", " \xa0", ".")  # a word and its number, from behind, one of each at most
_GOES_ON = re.compile(r"[,'’]\d")
_MEASURE = re.compile(r"\d+[^\W\d_]{2,}")  # "2nd", "50mm"
_PARTS = re.compile(rf"(?:[^\W\d_]|[{MARKS}])+|\d+|§")


class Designation(NamedTuple):
    """A designation in a text.

    Attributes:
        term: As it is indexed: its mark, then its parts.
        start: Where it begins in the text.
        end: Where it ends there.
        number: Where its number begins, if that has a word before it and apart; else ``start``.
    """

    term: str
    start: int
    end: int
    number: int


def designations(text: str) -> Iterator[Designation]:
    """Yield the designations of a text, in the order of their numbers.

    Examples:
        >>> [one.term for one in designations("Take BRG-226-10 for the XR 500, see Section 4.3.")]
        ['@brg 226 10', '@xr 500', '@section 4 3']
    """
    at = 0
    while match := _NUMBER.search(text, at):
        number = match.start()
        start = _begin(text, at, number)
        written = _WRITTEN.match(text, start)
        end = written.end() if written else number + 1
        word = None
        if start == number and not _GOES_ON.match(text, end):
            word = _word_before(text, at, number)
        first = start if word is None else word
        at = end
        if end - first <= _LONGEST and not _MEASURE.fullmatch(text, start, end):
            parts = _parts(text[first:end])
            has_letter = not all(map(str.isdecimal, parts))
            if (1 if has_letter else _GROUPS - 1) < len(parts) <= MOST_PARTS:
                yield Designation(
                    DESIGNATION + " ".join(parts), first, end, number if first < start else first
                )


def _begin(text: str, least: int, number: int) -> int:
    """Return where what a number is part of begins, which is written without a space."""
    if number == least or text[number - 1].isspace():
        return number
    before = _BEFORE.search(text, max(least, number - _READ), number)
    return before.start() if before else number


def _word_before(text: str, least: int, number: int) -> int | None:
    """Return where the word before a number begins, None where there is none."""
    end = number
    for between in _BETWEEN:
        if end > least and text[end - 1] in between:
            end -= 1
    if end == least or text[end - 1].isspace():
        return None
    word = _WORD.search(text, max(least, end - _READ), end)
    return word.start() if word else None


def _parts(written: str) -> list[str]:
    if not written.isascii():
        written = "".join(str(decimal(one, one)) for one in normalize("NFKC", written))
    return [term_of(part) for part in _PARTS.findall(written)]
