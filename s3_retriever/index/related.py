"""Terms that are likely forms of one word, by how they begin: "direct", "directed", "director"."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from s3_retriever.compiled import njit
from s3_retriever.index.words import Asked

RELATED = 0.5
"""How much a term counts in a question that has a related one."""

SHARED = 0.6
"""Part of the longer of two related terms with which both begin."""

SHORTEST = 4
"""Characters with which two related terms begin at least."""

MOST = 32
"""Related terms of one that are searched."""

MOST_TERMS = 64
"""Terms of a question that has related ones searched, at most; a longer one says enough."""


def beginning(term: str) -> str:
    """Return what all related terms of one begin with; empty for one that has none, such as a number."""
    if len(term) < SHORTEST or not term[0].isalpha():
        return ""
    return term[: max(SHORTEST, math.ceil(SHARED * len(term)))]


def nearest(term: str, others: Iterable[str]) -> list[str]:
    """Return those of some terms that are related to one, the :data:`MOST` nearest, ascending.

    The fewer characters two terms have beyond their common beginning, the nearer they are. Terms with other
    numbers are none: "a1388" and "a1387".

    Examples:
        >>> nearest("python3", ["python", "python2", "python31", "pythons"])
        ['python', 'pythons']
    """
    found = []
    for other in others if beginning(term) else ():
        ends = (i for i, (own, its) in enumerate(zip(term, other, strict=False)) if own != its)
        shared = next(ends, min(len(term), len(other)))
        if (
            other != term
            and _are_related(shared, len(term), len(other))
            and not _differ_by_number(term, other, shared)
        ):
            found.append((len(term) + len(other) - 2 * shared, other))
    return sorted(other for _, other in sorted(found)[:MOST])


def _differ_by_number(term: str, other: str, shared: int) -> bool:
    """Tell whether two terms have other numbers where they begin to differ."""
    ends = [one[shared : shared + 1].isdigit() for one in (term, other)]
    return all(ends) or (any(ends) and term[shared - 1].isdigit())


@njit(cache=True, nogil=True)
def _are_related(shared, length, other):  # type: ignore[no-untyped-def]
    """Tell whether two terms of some lengths are related, with so many characters in common."""
    return shared >= SHORTEST and shared >= SHARED * max(length, other)


@njit(cache=True, nogil=True)
def related_numbers(text, offsets, key):  # type: ignore[no-untyped-def]
    """Return which of some terms are related to one and are not that, int64, ascending.

    Args:
        text: uint8, terms in UTF-8, one after the other.
        offsets: int64 (n + 1,), where each of the terms begins and ends.
        key: uint8, the one.
    """
    found = np.empty(len(offsets) - 1, np.int64)
    n = 0
    length = _characters(key)
    for number in range(len(found)):
        own = text[offsets[number] : offsets[number + 1]]
        same = 0
        while same < min(len(own), len(key)) and own[same] == key[same]:
            same += 1
        if same == len(own) == len(key):
            continue
        while 0 < same < len(own) and own[same] & 0xC0 == 0x80:  # within a character
            same -= 1
        if _are_related(_characters(key[:same]), length, _characters(own)):
            found[n] = number
            n += 1
    return found[:n]


@njit(cache=True, nogil=True)
def _characters(utf8):  # type: ignore[no-untyped-def]
    """Return how many characters some UTF-8 has: bytes that do not go on with one."""
    n = 0
    for byte in utf8:
        n += byte & 0xC0 != 0x80
    return n


def widened(terms: Sequence[Asked], related: Callable[[str], Iterable[str]]) -> list[Asked]:
    """Return the terms of a question, behind each those of a corpus that are related to it.

    Args:
        terms: Of the question.
        related: Returns the related terms of one, ascending.
    """
    if len(terms) > MOST_TERMS:
        return list(terms)
    found = []
    for one in terms:
        found.append(one)
        if not one.exact:
            weight = RELATED * one.weight
            found += [one._replace(term=other, weight=weight, exact=one.term) for other in related(one.term)]
    return found
