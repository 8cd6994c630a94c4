"""Words for BM25 and sentence borders for spans, both in linear time and for any ``str``.

Offsets always refer to the text exactly as given: normalisation happens term by term.
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import normalize

# Scripts written without spaces between words, and Hangul, whose particles are glued to the word:
# Thai, Lao, Myanmar, Khmer, kana, Han (with extensions), Hangul syllables, half-width katakana.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
# Marks that belong inside words but are not ``\w``: Latin, Cyrillic, Hebrew, Arabic, Indic, Thai, Lao,
# Myanmar, Khmer.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u064b-\u065f\u0670"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3"
)
_RUN = re.compile(rf"([\w{_MARKS}]+)(?:['’][sS]\b)?")
_PART = re.compile(f"([{_UNSPACED}]+)|[^{_UNSPACED}]+")

# Two characters of one word: letters (digits, marks), or a letter and an apostrophe between letters.
_LETTER = rf"(?![{_UNSPACED}])[\w{_MARKS}]"
_GLUED = re.compile(rf"{_LETTER}(?:{_LETTER}|['’](?={_LETTER}))|(?<=\w)['’]{_LETTER}")

# A mark that ends a clause; where a number begins with a point, that is none.
_TRAILING = re.compile(r"\s*[.,;:!?…。、！？；：)\]}»”’](?!\w)")


def words(text: str) -> list[tuple[str, int]]:
    """Cut text into search terms.

    A term is a run of letters, digits and underscores (so ``__init__`` and ``sort_value`` are one term),
    in NFKC, case folded, without possessive ``'s`` and plural endings. Runs of scripts that do not put
    spaces between words become overlapping pairs of characters, a run of one character that character, as
    in Lucene's ``CJKBigramFilter``.

    Returns:
        (term, offset of its first character in ``text``), in order of the offsets.
    """
    found: list[tuple[str, int]] = []
    for match in _RUN.finditer(text):
        run, start = match[1], match.start()
        if run.isascii():
            found.append((_term(run), start))
            continue
        for part in _PART.finditer(run):
            first, last = part.span()
            if part[1] is None:
                found.append((_term(part[0]), start + first))
            else:
                pairs = range(first, max(last - 1, first + 1))
                found.extend((_term(run[at : min(at + 2, last)]), start + at) for at in pairs)
    return found


def splits_word(text: str, at: int) -> bool:
    """Tell whether an offset lies inside a word; between characters of scripts without spaces, none does."""
    return at > 0 and _GLUED.match(text, at - 1) is not None


def trails(text: str, at: int) -> bool:
    """Tell whether what comes at an offset belongs to what is before it: a mark that ends a clause."""
    return at > 0 and _TRAILING.match(text, at) is not None


@lru_cache(maxsize=1 << 16)
def _term(word: str) -> str:
    """Return the form under which a word is indexed; cached, so that equal terms share one object."""
    return _singular(normalize("NFKC", word).casefold())


def _singular(word: str) -> str:
    """Strip an English plural: the S-stemmer of Harman, "How effective is suffixing?", JASIS 42 (1991)."""
    if len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


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
