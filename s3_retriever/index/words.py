"""Words of a text as search terms, and the cells they lie in; in linear time and for any ``str``.

Offsets always refer to the text exactly as given: normalisation happens term by term.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

# Scripts written without spaces between words, and Hangul, whose particles are glued to the word:
# Thai, Lao, Myanmar, Khmer, kana, Han (with extensions), Hangul syllables, half-width katakana.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
# Marks that belong inside words but are not ``\w``: Latin, Cyrillic, Hebrew, Arabic, Indic, Thai, Lao,
# Myanmar, Khmer.
MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u064b-\u065f\u0670"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3"
)
_RUN = re.compile(rf"([\w{MARKS}]+)(?:['’][sS]\b)?")
_PART = re.compile(f"([{UNSPACED}]+)|[^{UNSPACED}]+")


_PIECE = 1 << 13  # words handled at a time
_CACHED = 64  # characters of the longest word whose term is kept for the next time
_NORMALIZED = 1000  # characters normalised at a time: a run of combining marks takes quadratic time


def words(text: str) -> Iterator[tuple[str, int]]:
    """Cut text into search terms.

    A term is a run of letters, digits and underscores (so ``__init__`` and ``sort_value`` are one term),
    in NFKC, case folded, without possessive ``'s`` and plural endings. Runs of scripts that do not put
    spaces between words become overlapping pairs of characters, a run of one character that character, as
    in Lucene's ``CJKBigramFilter``.

    Yields:
        (term, offset of its first character in ``text``), in order of the offsets.
    """
    for match in _RUN.finditer(text):
        run, start = match[1], match.start()
        if run.isascii():
            yield _term(run), start
            continue
        for part in _PART.finditer(run):
            first, last = part.span()
            if part[1] is None:
                yield _term(part[0]), start + first
            else:
                for at in range(first, max(last - 1, first + 1)):
                    yield _term(run[at : min(at + 2, last)]), start + at


def cell_terms(
    text: str, cell_starts: npt.NDArray[np.integer]
) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
    """Give every word of a document to the cell that holds its first character.

    A word before the first cell belongs to it. Memory does not grow with the text.

    Args:
        text: The document.
        cell_starts: int (c,), offset of the first character of each cell, ascending.

    Yields:
        Pieces of the document, in order: n terms, and int64 (n,), the cell of each; nothing without cells.
    """
    found = words(text) if len(cell_starts) else iter(())
    firsts = np.asarray(cell_starts, np.int64)
    while piece := list(islice(found, _PIECE)):
        starts = np.fromiter((start for _, start in piece), np.int64, len(piece))
        cells = np.searchsorted(firsts, starts, side="right") - 1
        yield [term for term, _ in piece], np.maximum(cells, 0)


def _term(word: str) -> str:
    """Return the form under which a word is indexed; equal short terms share one object."""
    return _kept_form(word) if len(word) <= _CACHED else _form(word)


def _form(word: str) -> str:
    parts = (word[at : at + _NORMALIZED] for at in range(0, len(word), _NORMALIZED))
    return _singular("".join(normalize("NFKC", part) for part in parts).casefold())


_kept_form = lru_cache(maxsize=1 << 16)(_form)


def _singular(word: str) -> str:
    """Strip an English plural: the S-stemmer of Harman, "How effective is suffixing?", JASIS 42 (1991)."""
    if len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]
