"""Names of sections and documents, found in texts that refer to them, beside a plain search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.index.referring import MOST_WORDS, NAME, file_name, name_words, names_of, placed_name_words
from s3_retriever.index.terms import TermBuilder

WORDS = st.lists(st.sampled_from(["a", "ab", "b", "é", "éa", "語", "\U0001f600", "\ud800"]), max_size=20)


@given(st.lists(WORDS.filter(bool), max_size=12), WORDS, st.sets(st.sampled_from(["#a", "<", "=", ">", "p"])))
def test_names_that_stand_in_a_text_are_found(
    names: list[list[str]], text: list[str], others: set[str]
) -> None:
    terms = {NAME + " ".join(name) for name in names}
    builder = TermBuilder()
    builder.append([(sorted(terms | others), np.zeros(len(terms | others), np.int64))], 1)
    runs = {
        NAME + " ".join(text[first : first + n])
        for first in range(len(text))
        for n in range(1, min(MOST_WORDS, len(text) - first) + 1)
    }
    found = builder.build().names(text)
    assert len(found) == len(set(found))
    assert {*found} == terms & runs


def test_an_empty_word_parts_two_texts() -> None:
    builder = TermBuilder()
    builder.append([(["=oil change"], np.zeros(1, np.int64))], 1)
    postings = builder.build()
    assert postings.names(["the", "oil", "change"]) == ["=oil change"]
    assert postings.names(["the", "oil", "", "change"]) == []


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("3.2 Oil change", "See Oil change on page 7."),
        ("## OIL CHANGE", "as oil change says"),
        ("Chapter IV: The Keeper", "in chapter IV, the keeper, he says"),
        ("Über uns", "siehe ÜBER UNS"),
        ("東京タワー", "彼は東京タワーを見た"),
        ("Neil Peart", "the band's Neil Peart's drums"),
        ("Straße", "in der STRASSE"),
        ("getUserById", "it calls getUserById(7)"),
        ("install.md", "read docs/install.md first"),
    ],
)
def test_a_text_names_what_has_a_title(title: str, text: str) -> None:
    words = " ".join(name_words(text))
    assert any(f" {name.removeprefix(NAME)} " in f" {words} " for name in names_of(title))


@pytest.mark.parametrize("title", ["", "12", "3.2", "A", "§ 7", "no", "2019-04-03", "* * *", "very " * 13])
def test_what_is_no_name(title: str) -> None:
    assert [*names_of(title)] == []


def test_words_of_a_name_stand_where_it_is_said() -> None:
    text = "See  Ne\u00adil Peart's ２ Straßen, getName() — 東京"
    assert [word for word, _, _ in placed_name_words(text)] == name_words(text)
    places = [(start, end) for _, start, end in placed_name_words(text)]
    written = [text[start:end] for start, end in places]
    assert written == ["See", "Ne\u00adil", "Peart", "２", "Straßen", "getName", "Name", "東京", "京"]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b/c.md", "c.md"), ("a\\b.txt", "b.txt"), ("c.md", "c.md"), ("", ""), ("a\n/b", "b")],
)
def test_the_name_of_a_file_is_the_last_part_of_its_path(path: str, name: str) -> None:
    assert file_name(path) == name
