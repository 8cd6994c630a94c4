from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from linear_work import work

from s3_retriever.search.text import _STOP, count_words, sentences, splits_character, splits_word, trails

# Marks, breaks and scripts that decide borders, plus anything at all, lone surrogates included.
CRITICAL = st.text(st.sampled_from(list(" \n\t.!?…。！\"')-1aAé漢ไท\0\ud800😀")), max_size=60)
TEXT = st.one_of(CRITICAL, st.text(st.characters(codec=None), max_size=60))


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@given(TEXT)
def test_sentences_cover_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


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
    once, twice = (work(sentences, unit * (size // len(unit))) for size in (1_000, 2_000))
    assert twice < 2.2 * once + 100


@given(TEXT)
def test_the_pattern_looks_no_further_in_vain(text: str) -> None:
    """Where its first character lets the pattern match, it does, so a failed attempt costs one character.

    And a search for all matches is linear: what an attempt has looked at is part of its match.
    """
    for at, character in enumerate(text):
        assert bool(_STOP.match(text, at)) == bool(_STOP.match(character))


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


@pytest.mark.parametrize(
    "character",
    [
        "e\u0301",
        "กำ",
        "กี่",
        "ក្រ",
        "ကျွန်",
        "👩\u200d👩\u200d👧",
        "👍🏽",
        "🇳🇴",
        "\u1112\u1161\u11ab",
        "\r\n",
        "हि",
    ],
)
def test_a_written_character_is_not_split(character: str) -> None:
    text = f"{character * 30} ab"
    clusters = regex.findall(r"\X", text)
    borders = {sum(map(len, clusters[:i])) for i in range(len(clusters) + 1)}
    assert {at for at in range(len(text) + 1) if not splits_character(text, at)} == borders


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one two", 2),
        ("- | -- one", 1),
        ("漢字。", 1),
        ("漢字かな", 2),
        ("a 漢字かな b", 4),
        ("x " * 50, 11),
    ],
)
def test_words_are_counted_up_to_a_number(text: str, words: int) -> None:
    assert count_words(text, 11) == words
