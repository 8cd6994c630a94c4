from __future__ import annotations

import sys
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.search import cell_terms, sentences, words
from s3_retriever.search.text import _PART, _RUN, _STOP, splits_word, trails

# Marks, breaks and scripts that decide borders, plus anything at all, lone surrogates included.
CRITICAL = st.text(st.sampled_from(list(" \n\t.!?…。！\"')-1aAé漢ไท\0\ud800😀")), max_size=60)
TEXT = st.one_of(CRITICAL, st.text(st.characters(codec=None), max_size=60))


class Counted(str):
    """A text that counts the characters which are cut from it or searched."""

    taken: int = 0

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        self.taken += len(part)
        return part

    def rfind(self, part: str, start: Any = 0, end: Any = None) -> int:
        self.taken += len(range(len(self))[start:end])
        return super().rfind(part, start, end)


def work(text: str) -> int:
    """Lines run and characters taken to find sentences and words, outside of regular expressions."""
    counted, lines = Counted(text), 0

    def count(*_: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    traced = sys.gettrace()
    sys.settrace(count)
    try:
        sentences(counted)
        words(counted)
    finally:
        sys.settrace(traced)
    return lines + counted.taken


def terms(text: str) -> list[str]:
    return [term for term, _ in words(text)]


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@given(TEXT)
def test_sentences_cover_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


@given(TEXT)
def test_words_point_into_the_text_as_given(text: str) -> None:
    found = words(text)
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
    "expected",
    [
        ["One here. ", "Two here! ", "Three?"],
        ["Dr. Smith met J. M. Barrie in the U.S. in 3.5 days. ", "He paid."],
        ["See e.g. Fig. 3 (cf. Vol. 2). ", "Next."],
        ['"Stop!" he said. ', 'She said "No." ', "Well... maybe."],
        ["你好。", "世界！", "再见"],
        ["No stop at the end of this paragraph\n\n", "next paragraph"],
        ["A heading\n", "The text below it, wrapped where a line becomes\ntoo long for the page."],
        ["Items:\n", "- first\n", "- second one\n", "1. third\n", "2. fourth"],
        ["A line of prose that runs on for more than fifty characters in\nEnglish goes on."],
    ],
)
def test_sentence_borders(expected: list[str]) -> None:
    assert pieces("".join(expected)) == expected


@pytest.mark.parametrize("unit", [".", ". ", "a.", '."', "\n", "\t", "\n a", "1\n", "。", "a'", "é"])
def test_work_is_linear(unit: str) -> None:
    once, twice = (work(unit * (size // len(unit))) for size in (1_000, 2_000))
    assert twice < 2.2 * once + 100


@given(TEXT)
def test_no_pattern_looks_further_in_vain(text: str) -> None:
    """Where its first character lets a pattern match, it does, so a failed attempt costs one character.

    And a search for all matches is linear: what an attempt has looked at is part of its match.
    """
    for pattern in (_RUN, _PART, _STOP):
        for at, character in enumerate(text):
            assert bool(pattern.match(text, at)) == bool(pattern.match(character))


@given(TEXT, st.lists(st.integers(0, 60), max_size=40), st.integers(1, 5))
def test_cells_share_out_all_words(text: str, offsets: list[int], cell: int) -> None:
    starts = np.array(sorted(offsets), np.uint32)
    cells = cell_terms(text, starts, cell)
    assert len(cells) == -(-len(starts) // cell)
    if cells:
        assert [term for one in cells for term in one] == terms(text)
        for number, one in enumerate(cells[1:], 1):
            expected = [t for t, at in words(text) if starts[number * cell] <= at]
            assert expected[: len(one)] == one


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("two words_1 3", [1, 2, 5, 6, 7, 8, 9, 10]),
        ("don't 'quote' boys’ end", [1, 2, 3, 4, 8, 9, 10, 11, 15, 16, 17, 21, 22]),
        ("twenty-one, 3.14", [1, 2, 3, 4, 5, 8, 9, 15]),
        ("e\u0301t", [1, 2]),
        ("漢字とカナ ab", [7]),
        ("", []),
    ],
)
def test_words_are_split_inside_only(text: str, inside: list[int]) -> None:
    assert [at for at in range(len(text) + 2) if splits_word(text, at)] == inside


def test_marks_trail_what_is_before_them_unless_a_number_begins_with_one() -> None:
    text = "Yes (p < .05) . Then"
    assert [at for at in range(len(text)) if trails(text, at)] == [12, 13, 14]
