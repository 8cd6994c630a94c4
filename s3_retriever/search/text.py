"""Sentence borders and characters of tokens; in linear time and for any ``str``.

Offsets refer to the text exactly as given.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from s3_retriever.index.words import MARKS, UNSPACED

# Two characters of one word: letters (digits, marks), or a letter and an apostrophe between letters.
_LETTER = rf"(?![{UNSPACED}])[\w{MARKS}]"
_GLUED = re.compile(rf"{_LETTER}(?:{_LETTER}|['’](?={_LETTER}))|(?<=\w)['’]{_LETTER}")

# A word, of a name like "sort_value" a part, a character of a script without spaces, or a mark.
_PIECE = re.compile(rf"(?:(?!_){_LETTER})+|\S")

# A mark that ends a clause; where a number begins with a point, that is none. The white space before it is
# bounded, so that the cost of looking for it is.
_TRAILING = re.compile(r"\s{0,64}[.,;:!?…。、！？；：)\]}»”’](?!\w)")


def character_range(text: str, starts: NDArray[np.integer], first: int, last: int) -> tuple[int, int]:
    """Return where the tokens [first, last) begin and end in a text.

    What precedes the first token belongs to it.

    Args:
        text: The document.
        starts: int (n,), character offset of each token, ascending.
        first: First token.
        last: One past the last token.
    """
    offsets = [0 if at <= 0 else int(starts[at]) if at < len(starts) else len(text) for at in (first, last)]
    return offsets[0], offsets[1]


def splits_word(text: str, at: int) -> bool:
    """Tell whether an offset lies inside a word; between characters of scripts without spaces, none does."""
    return at > 0 and _GLUED.match(text, at - 1) is not None


def pieces(text: str) -> list[tuple[int, int]]:
    """Cut a text into words, characters of scripts without spaces, and marks; white space is in none.

    Returns:
        (start, end) character offsets, ascending.
    """
    return [match.span() for match in _PIECE.finditer(text)]


def trails(text: str, at: int) -> bool:
    """Tell whether what comes at an offset belongs to what is before it: a mark that ends a clause."""
    return at > 0 and _TRAILING.match(text, at) is not None


# Every alternative consumes all it looks at, so that a scan of the text is linear.
_STOP = re.compile(
    r"""(?: (?P<wide>[。！？｡។။]+) | (?P<marks>[.!?…؟۔।॥։።]+) )
        (?P<closers>["'”’»)\]」』）】]*) (?P<gap>\s*)
      | (?P<line>\n\s*)""",
    re.VERBOSE,
)
_MARKER = re.compile(r"(?:[-*+•‣◦–·]|#{1,6}|\d{1,3}[.)]|[A-Za-z][.)]|\([A-Za-z0-9]{1,3}\))\s")
# What a full stop follows without ending a sentence: an initial, letters with stops between them, the
# number of a list item, or one of these.
_ABBREVIATION = re.compile(
    r"""(?: (?<!\w) (?: [a-zà-ÿα-ωа-я] | (?:[^\W\d_]\.)+[^\W\d_]
      | dr|mr|mrs|ms|prof|rev|hon|st|sr|jr|gen|col|lt|sgt|capt|gov|sen|rep|pres|messrs|mme|mlle
      | vs|al|cf|viz|approx|ca|fig|figs|eq|eqs|eqn|sect|ch|chap|vol|vols|nos|pp|eds|refs|inc|ltd|corp|dept|est
      | jan|feb|apr|aug|sept|oct|nov ) | (?:\A|\n)[^\S\n]*\d{1,3} ) \Z""",
    re.VERBOSE | re.IGNORECASE,
)
_LOOK_BACK = 12
# Lines of wrapped prose are longer than this; a shorter one is a heading, an item or a paragraph's end.
_SHORT_LINE = 50


def sentences(text: str) -> list[tuple[int, int]]:
    """Cut text into sentences; white space belongs to the sentence before it.

    Borders lie after sentence-ending marks, at blank lines, before list items and headings, and after
    lines too short to be wrapped prose.

    Returns:
        (start, end) character offsets that cover the whole text without gap or overlap; [] for "".
    """
    borders = [match.end() for match in _STOP.finditer(text) if _ends_sentence(text, match)]
    if text and (not borders or borders[-1] != len(text)):
        borders.append(len(text))
    return list(zip([0, *borders[:-1]], borders, strict=True)) if borders else []


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    gap = match["line"] or match["gap"] or ""
    if gap.count("\n") > 1:
        return True
    if match["line"]:
        return _ends_line(text, match.start(), match.end())
    if match["wide"]:
        return True
    marks, end = match["marks"], match.end()
    if not gap:
        return False
    if (len(marks) > 1 or marks == "…" or match["closers"]) and text[end : end + 1].islower():
        return False  # "Stop!" he said; well... yes
    start = match.start()
    return marks != "." or not _ABBREVIATION.search(text, max(0, start - _LOOK_BACK), start)


def _ends_line(text: str, newline: int, following: int) -> bool:
    """Tell whether a single line break at ``newline`` is more than the wrapping of prose."""
    if _MARKER.match(text, following):
        return True
    earliest = newline - _SHORT_LINE
    is_short = earliest <= 0 or text.rfind("\n", earliest, newline) >= 0
    return is_short and not text[following : following + 1].islower()
