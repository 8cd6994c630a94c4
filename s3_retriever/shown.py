"""How people are shown an explanation: whole percents, words grouped, stretches of a passage that are lit."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from s3_retriever.documents import WordMatch

_JOINERS = "\u200c\u200d"  # which Persian, Indic scripts and emoji need within words
_MAY_HIDE = re.compile(r"[^\n\t\x20-\x7e]")


class Group(NamedTuple):
    """A word of the question and a word of the text that it met, wherever that stands.

    Attributes:
        word: Of the question.
        text: Of the text.
        s3: What S3 gave at all places together.
        bm25: What BM25 gave.
        places: How many there are.
        field: Where these are, as :class:`~s3_retriever.WordMatch` has it.
    """

    word: str
    text: str
    s3: float
    bm25: float
    places: int
    field: str = "text"

    @property
    def share(self) -> float:
        """What both gave."""
        return self.s3 + self.bm25


class Stretch(NamedTuple):
    """A part of a passage that is lit in one way.

    Attributes:
        text: The characters.
        matches: The matches that lie there, strongest first; none where it is not lit.
    """

    text: str
    matches: tuple[WordMatch, ...]


ABOVE = {
    "title": "the title",
    "path": "the path",
    "heading": "a heading",
    "opening": "a line that opens it",
    "page": "the number of its page",
}
"""What people call the fields of matches above a passage."""


def percents(shares: Sequence[float]) -> list[int]:
    """Return shares as whole percents of their sum, which add up to 100.

    Those with the largest rests are rounded up.

    Examples:
        >>> percents([1, 1, 1])
        [34, 33, 33]
    """
    total = sum(shares)
    if total <= 0:
        return [0] * len(shares)
    exact = [100 * share / total for share in shares]
    found = [int(value) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (found[i] - exact[i], i))
    for i in by_rest[: 100 - sum(found)]:
        found[i] += 1
    return found


def grouped(matches: Sequence[WordMatch]) -> list[Group]:
    """Unite the matches of equal words, upper and lower case being equal; strongest first."""
    found: dict[tuple[str, str, str], Group] = {}
    for one in matches:
        key = (one.word.casefold(), one.text.casefold(), one.field)
        old = found.get(key, Group(one.word, one.text, 0.0, 0.0, 0, one.field))
        found[key] = old._replace(s3=old.s3 + one.s3, bm25=old.bm25 + one.bm25, places=old.places + 1)
    return sorted(found.values(), key=lambda group: -group.share)


def stretches(text: str, start: int, matches: Sequence[WordMatch]) -> Iterator[Stretch]:
    """Cut a passage where a word that met something begins or ends.

    Args:
        text: The passage.
        start: Its first character, offset into the document.
        matches: With offsets into the document; those above the passage are left out.
    """
    matches = [match for match in matches if match.field == "text"]
    borders = {0, len(text)}
    for match in matches:
        borders |= {min(max(at - start, 0), len(text)) for at in (match.start, match.end)}
    ordered = sorted(borders)
    for begin, end in itertools.pairwise(ordered):
        there = (one for one in matches if one.start < start + end and one.end > start + begin)
        yield Stretch(text[begin:end], tuple(sorted(there, key=lambda one: -one.share)))


def hidden(character: str) -> str:
    r"""Return the name of a character that is invisible or changes the order of others, else "".

    Examples:
        >>> hidden("\u202e"), hidden("a")
        ('U+202E', '')
    """
    if not _MAY_HIDE.match(character) or character in _JOINERS:
        return ""
    is_hidden = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")
    return f"U+{ord(character):04X}" if is_hidden else ""
