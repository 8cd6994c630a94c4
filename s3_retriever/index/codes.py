"""Codes that a question names: numbers of orders and parts, of errors, standards and tickets.

A code is written without a space and has digits: "A1293", "BRG-204-17", "0x80070005", "10.1038/nature12373".
Each of its words may stand elsewhere too. Who names a code wants what has all of it.
"""

from __future__ import annotations

import re

from s3_retriever.index.scripts import UNSPACED
from s3_retriever.index.words import FOLDED, Asked, asked

TOGETHER = " "
"""Stands between the words of a term that is had where all of them are; no word has it."""

CODE = 5.0
"""How much a code counts in a question beside the words that it is made of."""

MOST_CODES = 16
"""Codes of a question that count, the first ones: a stack trace has hundreds."""

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
    """Return the codes that a question names, each as a term of all its words.

    Each word is taken as it is written, not in its weaker forms.

    Examples:
        >>> [one.term for one in codes("Is BRG-204-17 newer than A1293, of the 2nd of May 2024?")]
        ['brg 204 17', 'a1293']
        >>> [one.term for one in codes("Wie oft ist KÜHL-380 zu spülen?")]
        ['kühl 380']
    """
    found: dict[str, tuple[int, int]] = {}
    for match in _WRITTEN.finditer(question):
        if _is_code(match[0]):
            whole = (one.term for one in asked(match[0]) if not one.exact and one.weight >= 1 - FOLDED)
            words = dict.fromkeys(whole)
            if len(words) <= MOST_WORDS:
                found.setdefault(TOGETHER.join(words), match.span())
    named = list(found.items())[:MOST_CODES]
    return [Asked(term, CODE, start=start, end=end, is_name=True) for term, (start, end) in named]


def _is_code(written: str) -> bool:
    """Whether what is written without a space is a code, and no day, measure, ordinal or year."""
    parts = _PART.findall(written)
    if _DOTTED.fullmatch(written) or not all(_USUAL.fullmatch(part) for part in parts):
        return True
    numbers = [part for part in parts if part.isdecimal()]
    if any(len(number) == 4 and int(number) not in _YEARS for number in numbers):
        return True
    return bool(numbers) and not parts[0].isdecimal() and _NAMED.match(written) is not None
