"""Words as search terms, and the cells that they lie in."""

from __future__ import annotations

from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_work import work

from s3_retriever.index.words import _PART, _RUN, cell_terms, words

# Marks, breaks and scripts that decide borders, plus anything at all, lone surrogates included.
CRITICAL = st.text(st.sampled_from(list(" \n\t.!?…。！\"')-1aAé漢ไท\0\ud800😀")), max_size=60)
TEXT = st.one_of(CRITICAL, st.text(st.characters(codec=None), max_size=60))


def terms(text: str) -> list[str]:
    return [term for term, _ in words(text)]


def shared_out(text: str, cell_starts: np.ndarray) -> list[list[str]]:
    """The terms of each cell."""
    cells: list[list[str]] = [[] for _ in cell_starts]
    for found, places in cell_terms(text, cell_starts):
        assert places.dtype == np.int64
        for term, place in zip(found, places.tolist(), strict=True):
            cells[place].append(term)
    return cells


@given(TEXT)
def test_words_point_into_the_text_as_given(text: str) -> None:
    found = list(words(text))
    offsets = [start for _, start in found]
    assert offsets == sorted(set(offsets))
    for term, start in found:
        assert term
        # The S-stemmer changes endings only, so the first character always agrees.
        assert normalize("NFKC", text[start : start + 2]).casefold().startswith(term[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The dog's __init__ and sort_values()", ["the", "dog", "__init__", "and", "sort_value"]),
        ("flies classes statements class bus gas", ["fly", "classe", "statement", "class", "bus", "gas"]),
        ("Straße ＡＢＣ ﬁsh e\u0301te\u0301", ["strasse", "abc", "fish", "été"]),
        ("東京都 人 Python入門", ["東京", "京都", "人", "python", "入門"]),
        ("한국어 ไทย", ["한국", "국어", "ไท", "ทย"]),
        ("हिन्दी", ["हिन्दी"]),
        ("a\0b \ud800c 😀", ["a", "b", "c"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    "unit", [" ", "\n", "a", "word ", ".", "a.", "a'", "é", "漢", "ไ", "漢a", "\ud800", "1\n"]
)
def test_work_is_linear(unit: str) -> None:
    """White space alone, one word many times, one word without an end, and what else could be slow."""

    def cut(text: str) -> None:
        for _ in cell_terms(text, np.arange(0, len(text), 64)):
            pass

    once, twice = (work(cut, unit * (size // len(unit))) for size in (1_000, 2_000))
    assert twice < 2.2 * once + 100


def test_marks_are_put_in_order_a_thousand_at_a_time() -> None:
    """To sort all marks of a word takes time quadratic in them; of a hundred thousand, minutes."""
    below, above = "\u0323", "\u0300"
    assert terms("a" + 400 * (above + below)) == ["ạ" + 399 * below + 400 * above]
    (long,) = terms("a" + 100_000 * (above + below))
    assert [long.count(mark) for mark in (below, above)] == [100_000 - 1, 100_000]
    assert long[:999] == "ạ" + 498 * below + 500 * above


@given(TEXT)
def test_no_pattern_looks_further_in_vain(text: str) -> None:
    """Where its first character lets a pattern match, it does, so a failed attempt costs one character.

    And a search for all matches is linear: what an attempt has looked at is part of its match.
    """
    for pattern in (_RUN, _PART):
        for at, character in enumerate(text):
            assert bool(pattern.match(text, at)) == bool(pattern.match(character))


@given(TEXT, st.lists(st.integers(0, 60), max_size=40))
def test_cells_share_out_all_words(text: str, offsets: list[int]) -> None:
    starts = np.array(sorted(offsets), np.uint32)
    cells = shared_out(text, starts)
    if cells:
        assert [term for one in cells for term in one] == terms(text)
        for number, one in enumerate(cells[1:], 1):
            expected = [t for t, at in words(text) if starts[number] <= at]
            assert expected[: len(one)] == one


@pytest.mark.long
def test_a_long_text_is_shared_out_in_pieces() -> None:
    text = " ".join(map(str, range(50_000)))
    starts = np.arange(0, len(text), 1000)
    assert len(list(cell_terms(text, starts))) > 1
    found = shared_out(text, starts)
    assert [term for one in found for term in one] == list(map(str, range(50_000)))
    offsets = np.array([at for _, at in words(text)])
    assert list(map(len, found)) == np.diff(np.searchsorted(offsets, [*starts, len(text)])).tolist()
