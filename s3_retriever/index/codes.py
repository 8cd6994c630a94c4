"""Codes that a question names: numbers of orders and parts, of errors, standards and tickets.

A code is written without a space and has digits: "A1293", "BRG-204-17", "0x80070005", "10.1038/nature12373".
Each of its words may stand elsewhere too. Who names a code wants what has all of it, best of all together.
So does who names something by a word and a number, see :mod:`s3_retriever.index.designations`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from s3_retriever.index.designations import DESIGNATION, designations
from s3_retriever.index.scripts import UNSPACED
from s3_retriever.index.words import FOLDED, Asked, asked

TOGETHER = " "
"""Stands between the words of a term that is had where all of them are; no word has it."""

CODE = 5.0
"""How much a code of one word counts in a question once more."""

SCATTERED = 3.0
"""How much a code of several words counts where all of them are, beside each of them."""

WHOLE = 3.0
"""How much it counts where they stand together as one designation, beside that."""

DESIGNATED = 0.5
"""How much any other designation counts beside its words, such as a word and the number behind it."""

NUMBER = 1.0
"""How much the number of a designation counts above what it heads: "4.3 Costs" has no word before it."""

MOST_CODES = 16
"""Codes of a question that count, the first ones, and designations: a stack trace has hundreds."""

MOST_WORDS = 16
"""Words of a code; what has more, such as a long address, is none."""

_LETTER = rf"(?![{UNSPACED}])\w"
_WRITTEN = re.compile(rf"{_LETTER}(?:[-\u2010\u2011/._:]?{_LETTER})*")
_PART = re.compile(r"[^\W_]+")
_USUAL = re.compile(r"\d{1,4}|\d+[^\W\d_]{1,3}|[^\W\d_]+")  # a short number, "2nd", "50mm" or "90s", a word
_NAMED = re.compile(r"[^\W\d_]+[\W_](?:.*[\W_])?\d{3}|.*[A-Z]")  # letters before a number, or capitals
_DOTTED = re.compile(r"\d+(?:\.\d+){2,}")  # an address, a version
_YEARS = range(1000, 2101)


def codes(question: str) -> list[Asked]:
    """Return the codes that a question names, each as a term of all its words, and its designations.

    Each word is taken as it is written, not in its weaker forms.

    Examples:
        >>> [one.term for one in codes("Is BRG-204-17 newer than A1293, of the 2nd of May 2024?")]
        ['brg 204 17', 'a1293', '@brg 204 17', '@a 1293', '@may 2024', '@2024']
        >>> [one.term for one in codes("Wie oft ist KÜHL-380 zu spülen?")]
        ['kühl 380', '@kühl 380']
    """
    found: dict[str, tuple[int, int]] = {}
    for match in _WRITTEN.finditer(question):
        if _is_code(match[0]):
            words = dict.fromkeys(_words(match[0]))
            if len(words) <= MOST_WORDS:
                found.setdefault(TOGETHER.join(words), match.span())
    named = list(found.items())[:MOST_CODES]
    terms = [
        Asked(term, SCATTERED if TOGETHER in term else CODE, start=start, end=end, is_name=True)
        for term, (start, end) in named
    ]
    once: dict[str, Asked] = {}
    for one in _designated(question, terms):
        once.setdefault(one.term, one)
    return [*terms, *once.values()]


def _designated(question: str, known: Sequence[Asked]) -> Iterator[Asked]:
    """Yield the designations of a question, and their numbers where these stand apart.

    Args:
        question: As it was asked.
        known: Its codes.
    """
    for term, start, end, number in islice(designations(question), MOST_CODES):
        of_code = [one for one in known if one.start <= number and end <= one.end]
        is_whole = any(one.start <= start and TOGETHER in one.term for one in of_code)
        yield Asked(term, WHOLE if is_whole else DESIGNATED, start=start, end=end, is_name=True)
        if start < number and not of_code:
            for word in islice(_words(question[number:end]), 1):
                yield Asked(DESIGNATION + word, NUMBER, start=number, end=end, is_name=True)


def _words(written: str) -> Iterator[str]:
    """Yield the words of what is written, not in their weaker forms."""
    return (one.term for one in asked(written) if not one.exact and one.weight >= 1 - FOLDED)


def _is_code(written: str) -> bool:
    """Whether what is written without a space is a code, and no day, measure, ordinal or year."""
    parts = _PART.findall(written)
    if _DOTTED.fullmatch(written) or not all(_USUAL.fullmatch(part) for part in parts):
        return True
    numbers = [part for part in parts if part.isdecimal()]
    if any(len(number) == 4 and int(number) not in _YEARS for number in numbers):
        return True
    return bool(numbers) and not parts[0].isdecimal() and _NAMED.match(written) is not None
