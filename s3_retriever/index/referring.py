"""Names by which texts refer to a document or a section: titles, file names, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.index.words import placed_words, words

NAME = "="
"""Begins the term of a name; no other term has it."""

MOST_WORDS = 12
"""Words of a name at most."""

_SHORTEST = 3  # characters of a name without its spaces
_LETTER = re.compile(r"[^\W\d_]")
_FOLDER = re.compile(r".*[/\\]", re.DOTALL)


def name_words(text: str) -> list[str]:
    """Return the words of a text as names have them: of the terms that begin at one place, the first.

    Examples:
        >>> name_words("See Neil Peart's getName()")
        ['see', 'neil', 'peart', 's', 'getname', 'name']
    """
    found, last = [], -1
    for term, start in words(text):
        if start != last:
            found.append(term)
            last = start
    return found


def placed_name_words(text: str) -> list[tuple[str, int, int]]:
    """Return what :func:`name_words` does, each with its offset and that of its end."""
    found, last = [], -1
    for term, start, end in placed_words(text):
        if start != last:
            found.append((term, start, end))
            last = start
    return found


def names_of(title: str) -> Iterator[str]:
    """Yield the terms of the names of what has a title or heading: with a number before it, and without.

    Nothing for one without letters, one shorter than three characters, or longer than :data:`MOST_WORDS`.

    Examples:
        >>> [*names_of("3.2 Oil change")]
        ['=3.2 3 2 oil change', '=oil change']
    """
    places = placed_name_words(title)
    if (
        len(places) > 1 and places[-1][1] < places[-2][2]
    ):  # in a script without spaces, where a text may go on
        del places[-1]
    found = [word for word, _, _ in places]
    first = next((i for i, word in enumerate(found) if _LETTER.search(word)), len(found))
    if sum(map(len, found[first:])) < _SHORTEST:
        return
    for own in [found, found[first:]] if first else [found]:
        if len(own) <= MOST_WORDS:
            yield NAME + " ".join(own)


def file_name(path: str) -> str:
    """Return the last part of a path."""
    return _FOLDER.sub("", path)


def spelled(
    text: Sequence[str],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return words as :func:`named` takes them: UTF-8 with a space between two, their begins and ends."""
    utf8 = [word.encode("utf-8", "surrogatepass") for word in text]
    ends = np.cumsum([len(word) + 1 for word in utf8], dtype=np.int64) - 1
    begins = np.concatenate([np.zeros(1, np.int64), ends + 1])[: len(ends)]
    return np.frombuffer(b" ".join(utf8), np.uint8), begins, ends


@njit(cache=True, nogil=True)
def named(names, offsets, text, begins, ends):  # type: ignore[no-untyped-def]
    """Return which names stand in a text, int64, in the order in which they are found there.

    Args:
        names: uint8, terms of names in UTF-8, ascending, one after the other.
        offsets: int64 (n + 1,), where each begins and ends.
        text: uint8, the words of the text.
        begins: int64 (W,), where each word begins.
        ends: int64 (W,), where it ends.
    """
    seen = np.zeros(len(offsets) - 1, np.bool_)
    found = np.empty(len(offsets) - 1, np.int64)
    n = 0
    for first in range(len(begins)):
        low = 0
        for last in range(first, min(first + MOST_WORDS, len(begins))):
            key = text[begins[first] : ends[last]]
            low, shared = _place(names, offsets, key, low)
            if shared < len(key):  # none begins so
                break
            if offsets[low + 1] - offsets[low] == 1 + len(key) and not seen[low]:
                seen[low] = True
                found[n] = low
                n += 1
    return found[:n]


@njit(cache=True, nogil=True)
def _place(names, offsets, key, low):  # type: ignore[no-untyped-def]
    """Return the first name from one on that is not less than a key, and how many bytes they share."""
    high = len(offsets) - 1
    while low < high:
        middle = (low + high) // 2
        if _less(names, offsets[middle] + 1, offsets[middle + 1], key):
            low = middle + 1
        else:
            high = middle
    shared = 0
    if low < len(offsets) - 1:
        begin, length = offsets[low] + 1, offsets[low + 1] - offsets[low] - 1
        while shared < min(length, len(key)) and names[begin + shared] == key[shared]:
            shared += 1
    return low, shared


@njit(cache=True, nogil=True)
def _less(names, begin, end, key):  # type: ignore[no-untyped-def]
    """Tell whether a name, without its mark, is less than a key."""
    i = 0
    while i < len(key):
        if begin + i == end or names[begin + i] < key[i]:
            return True
        if names[begin + i] > key[i]:
            return False
        i += 1
    return False
