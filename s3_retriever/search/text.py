"""Sentence borders and characters of tokens; in linear time and for any ``str``.

Offsets refer to the text exactly as given.
"""

from __future__ import annotations

import re
from itertools import islice

import numpy as np
import regex
from numpy.typing import NDArray

from s3_retriever.index.scripts import MARKS, UNSPACED

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


_SAFE = re.compile(r"[\x00-\x7f][\x20-\x7f]")  # between such two characters, one ends and another begins
_CLUSTER = regex.compile(r"\X")
_LONGEST = 64  # characters looked back at


def splits_character(text: str, at: int) -> bool:
    """Tell whether an offset lies inside a written character: a grapheme cluster of Unicode (UAX 29).

    Such are a letter with its marks, syllables of Thai, Khmer or Burmese, an emoji of several parts, a flag.
    """
    if not 0 < at < len(text) or _SAFE.match(text, at - 1):
        return False
    begin = max(0, at - _LONGEST)
    safe = [match.start() + 1 for match in _SAFE.finditer(text, begin, at)]
    begin = safe[-1] if safe else begin
    while begin < at:
        match = _CLUSTER.match(text, begin, at + 1)
        begin = match.end() if match else begin + 1
    return begin > at


_NUMBER = re.compile(  # "1,234.56", "1 234", "10:30", "2024-05-03", "192.168.0.1", "-5 %", "$5"
    r"(?:(?<![\w.])[-+\u2212])?[$€£¥₹]?"
    r"(?:(?<![\w.,])\d{1,3}(?:[ \xa0\u2009\u202f]\d{3}(?!\d))+|\d+)"
    r"(?:[.,:'’/\u2010-\u2013\u066b\u066c\uff0c\uff0e-]\d+)*(?:[ \xa0]?[%‰°$€£¥₹](?!\d))?"
)
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,15}://|\bwww\.)[^\s<>\"“”\u3000-\u9fff\uff00-\uffef]{1,256}(?<=[\w/=&#%~-])"
    r"|[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+",
    re.IGNORECASE,
)
_FIGURES, _URL = 32, 256  # characters of the longest number, as longer ones are lists, and of an address


def splits_number(text: str, at: int) -> bool:
    """Tell whether an offset lies inside a number, a date or a time, or between one and its sign."""
    return _lies_in(_NUMBER, text, at, _FIGURES)


def splits_address(text: str, at: int) -> bool:
    """Tell whether an offset lies inside an URL or an e-mail address of usual length."""
    if text[at : at + 1].isspace() or text[at - 1 : at].isspace():
        return False
    around = text[max(0, at - _URL) : at + _URL]
    return any(sign in around for sign in ("://", "@", "www.")) and _lies_in(_ADDRESS, text, at, _URL)


def _lies_in(pattern: re.Pattern[str], text: str, at: int, most: int) -> bool:
    """Tell whether an offset lies inside a match of at most so many characters."""
    for match in pattern.finditer(text, max(0, at - most), at + most):
        if match.end() > at:
            return match.start() < at and match.end() - match.start() <= most
    return False


UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")
"""A character of a script without spaces between words."""

_WORD = re.compile(r"\w\S*")


def count_words(text: str, most: int) -> int:
    """Count words by the white space between them, up to ``most``.

    Two characters of a script without spaces are one. What has neither letters nor digits is none.
    """
    found = 0
    for match in islice(_WORD.finditer(text), most):
        word = match[0]
        found += (
            1 if word.isascii() else max(1, (len(UNSPACED_CHARACTER.findall(word, 0, 2 * most)) + 1) // 2)
        )
    return min(found, most)


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
# Characters that tell whether a sentence begins: a short line and its break before, a list marker after.
_AROUND = 64
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


def sentence_borders(text: str, starts: NDArray[np.uint32], low: int, high: int) -> list[int]:
    """Return the sentence borders among the tokens ``low`` to ``high``, ascending, as token numbers.

    A border is the token that holds the first character of a sentence; the end of the document is one too.
    Only the text of these tokens and a little around it is read, so the cost does not grow with the document.
    """
    begin, end = character_range(text, starts, low, high)
    base = max(0, begin - _AROUND)
    found = sentences(text[base : end + _AROUND])
    # Where reading began is no border, unless the document does so too.
    offsets = np.array([base + start for start, _ in found[1 if base else 0 :]], starts.dtype)
    # Some tokenizers count the space before a word as part of its token.
    tokens = np.maximum(np.searchsorted(starts, offsets, side="right") - 1, 0)
    kept = tokens[(starts[tokens] >= begin) & (starts[tokens] <= end)]
    inside = np.clip(kept, low, high)  # tokens that share a character have the same offset
    return sorted({*inside.tolist(), *([high] if high == len(starts) else [])})
