"""What a run of characters is searched for as: its words, their parts, and weaker forms of both.

A run is normalised first and cut then; the place of every character in the run as given is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple
from unicodedata import combining, decimal, decomposition, is_normalized, normalize

from s3_retriever.index.scripts import ATTACHED, FOLLOWING, IGNORABLE, MARKS, STACKING, UNSPACED

DIGITS = 0.4
"""How much digits between the separators of a number or a date count in a question; the whole counts 1."""

SINGLE = 0.1
"""How much a character counts in a question beside the pairs that it is in."""

MARKER = "~"
"""Begins the term of a word without its accents; no other term has it."""

HYPHENATION = r"(?:[-\u2010\u2011]|(?<=\xad))[ \t]{0,8}\r?\n[ \t]{0,64}"
"""A hyphen at a line's end, its break, the next line's indent; bounded, as looking for it costs."""

DATE = (
    r"(?:[0-9]{4}(?P<mark>[-/])[0-9]{1,2}(?P=mark)[0-9]{1,2}|[0-9]{1,2}(?P<other>[-/])[0-9]{1,2}(?P=other)[0-9]{4})"
    r"(?:(?!\w|[-/][0-9])|(?=T[0-9]))"
)
"""A day in figures, as 2026-11-30, 30/11/2026 or 2026-11-30T12:00."""

APOSTROPHES = "\u02bb\u02bc"
"""Apostrophes that Unicode has as letters, of Ukrainian, Uzbek and Hawaiian; they part words as others do."""

_JOINT = "\n"  # stands for a hyphenation once a run is normalised
_HYPHENATION = re.compile(HYPHENATION)
_IGNORED = re.compile(f"[{IGNORABLE}]+")
# Digits and separators other than those of ASCII; and a nikhahit of Thai or Lao before a mark of tone, which
# comes first where it is part of an "am".
_UNUSUAL = re.compile(r"[^\D0-9]|[\u066b\u066c]|\u0e4d[\u0e48-\u0e4b]|\u0ecd[\u0ec8-\u0ecb]")
_ARABIC = re.compile("[\u0620-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc]")
_APART = "\u2044"  # parts "10" and what NFKC makes of "²" or "½" behind it
_IN_A_ROW = ("plain", "<super>", "<sub>")  # ways to write digits, of which several make a number
_NORMALIZED = 1000  # characters normalised at a time: a run of combining marks takes quadratic time
_SHORT = 8  # characters of the longest word whose normalised form is kept

_LETTERS = rf"(?:(?![{UNSPACED}{APOSTROPHES}])[\w{MARKS}])+"
_CUT = re.compile(
    rf"([{UNSPACED}]+)|{_LETTERS}(?:(?:(?<=[0-9])[.,'’ ](?=[0-9])|(?<![\d_]){_JOINT}(?![\d_])){_LETTERS})*"
)
_DATE = re.compile(DATE)
_BETWEEN_DATE = re.compile("[-/]")
_CHARACTER = re.compile(rf".(?:[{STACKING}][^{ATTACHED}]|[{ATTACHED}])*")
_SEPARATORS = re.compile(r"[.,'’ ]")
_NUMBER = re.compile(r"[0-9]+(?:[.,'’ ][0-9]+)+")
_MEASURE = re.compile(r"([0-9]+(?:[.,'’ ][0-9]+)*)([^\W\d_]+)")  # "1.5kg"
_VERSION = re.compile(r"([^\W\d_]+)([0-9]+(?:\.[0-9]+)+)")  # "v2.10.1"
_PARTS = re.compile(r"[A-Z]{2,}s(?![A-Za-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_FEW, _LONG = 4, 3  # a word is taken into few parts, or into parts of so many characters on average

# Letters that Unicode does not decompose, those of Arabic that are written for each other, and signs of
# transliteration: of hamza and ayn, of the soft and the hard sign.
_PLAIN = str.maketrans(
    {
        **dict(zip("øđðłħŧıɨƶىیةکہھەۃ", "oddlhtiizييهكهههه", strict=True)),
        **dict.fromkeys("\u02b9\u02ba\u02be\u02bf", ""),
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
    }
)


# Of Devanagari: a nasal before a consonant of its row, and a candrabindu, are written as an anusvara too.
_NASAL = re.compile(
    "ङ\u094d(?=[क-घ])|ञ\u094d(?=[च-झ])|ण\u094d(?=[ट-ढ])|न\u094d(?=[त-ध])|म\u094d(?=[प-भ])|\u0901"
)

# Letters of Malayalam without a vowel, which were written as a letter with a virama before Unicode 5.1.
_CHILLUS = str.maketrans(
    {chillu: f"{letter}\u0d4d" for chillu, letter in zip("ൺൻർൽൾൿ", "ണനരലളക", strict=True)}
)


class Form(NamedTuple):
    """A term of a run of characters.

    Attributes:
        term: As it is indexed.
        start: Where its first character stands in the run.
        end: Where the character after its last one stands.
        weight: How much it counts in a question; 0 where it is not asked for.
    """

    term: str
    start: int
    end: int
    weight: float = 1.0


def _kept_where_short(function: Callable[[str], str]) -> Callable[[str], str]:
    """Let a function of words keep what it returned for short ones, such as pairs of characters."""
    kept = lru_cache(maxsize=1 << 16)(function)
    return lambda word: kept(word) if len(word) <= _SHORT else function(word)


def forms(run: str) -> Iterator[Form]:
    """Yield the words of a run of letters, digits and marks and their parts, in order of their places.

    Args:
        run: What :data:`s3_retriever.index.words.RUN` matches.
    """
    if _DATE.fullmatch(run):
        yield Form(_BETWEEN_DATE.sub(".", run), 0, len(run))
        yield from _each(_BETWEEN_DATE.split(run), range(len(run) + 1), DIGITS)
        return
    text, places = _normalized(run)
    for match in _CUT.finditer(text):
        piece, (first, last) = match[0], match.span()
        after = last
        while places[after] == places[last - 1]:  # of one character that stands for several
            after += 1
        own = [*places[first:last], places[after]]
        cut = _pairs if match[1] is not None else _numbers if _SEPARATORS.search(piece) else _word
        for form in cut(piece, own):
            # A part of what one character stands for, as of "\u0e33" in NFKC, has that character's place.
            yield form if form.end > form.start else form._replace(end=form.start + 1)


def folded(term: str) -> str:
    """Return a term without accents and vowel marks; Indic vowels stay, which are letters."""
    return term if term.isascii() else _folded(term)


@_kept_where_short
def _folded(term: str) -> str:
    plain = "".join(one for one in _normalize("NFKD", term) if not _is_accent(one))
    return _NASAL.sub("\u0902", _normalize("NFKC", plain).translate(_PLAIN)) or term


def _is_accent(character: str) -> bool:
    """Whether a mark is left out: by its class, those of Latin, Greek, Hebrew, Arabic, and nuktas."""
    order = combining(character)
    return order >= 200 or 10 <= order <= 36 or order in (1, 7)


def _normalized(run: str) -> tuple[str, Sequence[int]]:
    """Return a run in NFKC without what says nothing, and the places of its n characters and of its end.

    Digits of any script, and the Arabic separators of numbers, become those of ASCII.
    """
    if run.isascii() and _JOINT not in run:
        return run, range(len(run) + 1)
    if not _IGNORED.search(run) and _JOINT not in run and is_normalized("NFKC", run):
        return _UNUSUAL.sub(_usual, run), range(len(run) + 1)
    text: list[str] = []
    places: list[int] = []
    before = ""
    for cluster, place in _clusters(run):
        clean = _IGNORED.sub("", normalize("NFKC", cluster))
        way = _way_of_digits(cluster[0], clean)
        if before and way and (way != before or way not in _IN_A_ROW):
            clean = _APART + clean
        before = way if clean[-1:].isdecimal() else ""
        text.append(clean)
        places += [place] * len(clean)
    return _UNUSUAL.sub(_usual, "".join(text)), [*places, len(run)]


def _way_of_digits(character: str, clean: str) -> str:
    """Return in which way a character that begins with a digit in NFKC is written; empty for others."""
    if not clean[:1].isdecimal():
        return ""
    return "plain" if character.isdecimal() else decomposition(character).split(" ")[0]


def _usual(match: re.Match[str]) -> str:
    if len(match[0]) > 1:
        return match[0][::-1]
    return {"\u066b": ".", "\u066c": ","}.get(match[0]) or str(decimal(match[0], match[0]))


def _clusters(run: str) -> Iterator[tuple[str, int]]:
    """Yield characters with those that Unicode may compose with them, and where they begin in the run."""
    cluster, start, at = "", 0, 0
    while at < len(run):
        joint = _HYPHENATION.match(run, at)
        character = _JOINT if joint or _is_joiner(run, at) else run[at]
        goes_on = _IGNORED.match(character) or (cluster != _JOINT and _follows(character))
        if joint or character == _JOINT or not goes_on:
            if cluster:
                yield cluster, start
            cluster, start = character, at
        elif not _IGNORED.match(character):
            if not cluster or len(cluster) == _NORMALIZED:
                if cluster:
                    yield cluster, start
                cluster, start = "", at
            cluster += character
        at = joint.end() if joint else at + 1
    if cluster:
        yield cluster, start


def _is_joiner(run: str, at: int) -> bool:
    """Whether a zero-width non-joiner stands between Arabic letters, where it parts a word."""
    if run[at] != "\u200c":
        return False
    return bool(at and _ARABIC.match(run, at - 1) and _ARABIC.match(run, at + 1))


@lru_cache(maxsize=1 << 12)
def _follows(character: str) -> bool:
    """Whether a character may be composed with the one before, or change places with it."""
    first = normalize("NFKD", character)[0]
    return combining(first) > 0 or first in FOLLOWING


def _pairs(piece: str, places: Sequence[int]) -> Iterator[Form]:
    """Yield the pairs of characters of a script without spaces, and each character."""
    found = [match.span() for match in _CHARACTER.finditer(piece)]
    for i, (begin, end) in enumerate(found):
        if i + 1 < len(found):
            after = found[i + 1][1]
            yield Form(term_of(piece[begin:after]), places[begin], places[after])
        yield Form(term_of(piece[begin:end]), places[begin], places[end], SINGLE if len(found) > 1 else 1.0)


def _numbers(piece: str, places: Sequence[int]) -> Iterator[Form]:
    """Yield the numbers of a piece; one where a space parts thousands, else each by itself."""
    if " " not in piece or (_NUMBER.fullmatch(piece) and _value(piece)):
        yield from _number(piece, places)
        return
    first = 0
    for part in piece.split(" "):
        yield from (_number if _SEPARATORS.search(part) else _word)(
            part, places[first : first + len(part) + 1]
        )
        first += len(part) + 1


def _number(piece: str, places: Sequence[int]) -> Iterator[Form]:
    """Yield a number with separators and, unless they part thousands, what stands between them.

    Letters behind it are a word of their own, as a unit is. Behind the letters of a version, as of "v2.10",
    the number is one of its own.
    """
    if measure := _MEASURE.fullmatch(piece):
        middle = measure.end(1)
        yield from _number(measure[1], places[: middle + 1])
        yield from _word(measure[2], places[middle:])
        return
    if version := _VERSION.fullmatch(piece):
        middle, name = version.end(1), piece.split(".", 1)[0]
        yield Form(term_of(piece), places[0], places[-1])
        of_name = _word(name, places[: len(name) + 1], DIGITS)
        yield from (form for form in of_name if form.start < places[middle])
        yield from _number(version[2], places[middle:])
        return
    parts = _SEPARATORS.split(piece)
    whole = _value(piece) if _NUMBER.fullmatch(piece) else ""
    if not whole and set(_SEPARATORS.findall(piece)) == {"."}:
        whole = piece
    if whole:
        yield Form(term_of(whole.replace(_JOINT, "")), places[0], places[-1])
    parts_thousands = len(parts) > 1 + whole.count(".")
    if whole and parts_thousands and "." in whole:
        middle = len(piece) - len(parts[-1])
        yield Form(whole.partition(".")[0], places[0], places[middle - 1], DIGITS)
        if " " not in piece:
            yield Form(parts[-1], places[middle], places[-1], DIGITS)
    if not parts_thousands or " " in piece or not whole:
        yield from _each(parts, places, DIGITS if whole else 1.0)


def _each(parts: Sequence[str], places: Sequence[int], weight: float = 1.0) -> Iterator[Form]:
    """Yield the words of a piece that has a character between each two of them."""
    first = 0
    for part in parts:
        yield from _word(part, places[first : first + len(part) + 1], weight)
        first += len(part) + 1


def _value(number: str) -> str:
    """Return a number without separators of thousands and with a point before its decimals.

    An empty string where it is none: more separators that are no thousands.
    """
    groups, marks = _SEPARATORS.split(number), _SEPARATORS.findall(number)
    if _are_thousands(groups, marks):
        return "".join(groups)
    if marks[-1] in ".," and (
        len(marks) == 1 or (_are_thousands(groups[:-1], marks[:-1]) and marks[-1] != marks[0])
    ):
        return "".join(groups[:-1]) + "." + groups[-1]
    return ""


def _are_thousands(groups: Sequence[str], marks: Sequence[str]) -> bool:
    """Whether digits are grouped as 1,234,567 or, in India, 12,34,567; by one mark."""
    if len(set(marks)) != 1 or groups[0].startswith("0") or len(groups[-1]) != 3:
        return False
    sizes = {len(group) for group in groups[1:-1]}
    return (sizes <= {3} and len(groups[0]) <= 3) or (
        sizes == {2} and len(groups[0]) <= 2 and marks[0] == ","
    )


def _word(piece: str, places: Sequence[int], weight: float = 1.0) -> Iterator[Form]:
    """Yield a word and the parts that it is made of, as ``getUserById`` of four.

    A question asks for parts of two characters or more, and for no single one: that of a name such as "CoV"
    would only repeat it. Of a number with a unit, as "3MB", it asks for both. One that was hyphenated is a
    word, and so is what stands on either line.
    """
    if _JOINT in piece:
        yield Form(term_of(piece.replace(_JOINT, "")), places[0], places[-1], weight)
        yield from _each(piece.split(_JOINT), places, weight)
        return
    yield Form(term_of(piece), places[0], places[-1], weight)
    parts = _parts(piece)
    several = sum(end - begin > 1 for begin, end in parts) > 1
    has_unit = not several and _MEASURE.fullmatch(piece) is not None
    for begin, end in parts:
        asked = weight if several and end - begin > 1 else DIGITS * weight if has_unit else 0.0
        yield Form(term_of(piece[begin:end]), places[begin], places[end], asked)


def _parts(piece: str) -> list[tuple[int, int]]:
    """Return where the parts of a word begin and end; none where it is in one piece."""
    rest = piece[1:]
    if piece.isalpha() and (not rest or rest.islower() or all(map(str.isupper, piece))):
        return []
    shape = piece if piece.isascii() else "".join(map(_shape, piece))
    parts, start = [], 0
    for chunk in shape.split("_"):
        found = [match.span() for match in _PARTS.finditer(chunk)]
        if len(found) > _FEW and len(chunk) < _LONG * len(found):
            found = [(0, len(chunk))]
        parts += [(start + begin, start + end) for begin, end in found]
        start += len(chunk) + 1
    is_part = (
        (end - begin > 1 or piece[begin].isdigit()) and end - begin < len(piece) for begin, end in parts
    )
    return [part for part, kept in zip(parts, is_part, strict=True) if kept]


def _shape(character: str) -> str:
    """Return an ASCII character of the same kind."""
    if character.isascii():
        return character
    return "A" if character.isupper() else "a"


def term_of(word: str) -> str:
    """Return the form under which a word in NFKC is indexed."""
    return _singular(word.lower()) if word.isascii() else _of_letters(word)


@_kept_where_short
def _of_letters(word: str) -> str:
    lower = _normalize("NFKC", word.casefold()).translate(_CHILLUS)
    return _singular(lower.replace("i\u0307", "i").replace("ı", "i"))  # as Turkish and others write them


def _normalize(form: Literal["NFKC", "NFKD"], word: str) -> str:
    parts = (word[at : at + _NORMALIZED] for at in range(0, len(word), _NORMALIZED))
    return "".join(normalize(form, part) for part in parts)


def _singular(word: str) -> str:
    """Strip an English plural: the S-stemmer of Harman, "How effective is suffixing?", JASIS 42 (1991)."""
    if len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word if word.endswith(("us", "ss")) else word[:-1]
