"""Terms that are likely forms of one word, beside comparing them all."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.index.related import MOST, MOST_TERMS, RELATED, nearest, widened
from s3_retriever.index.terms import TermBuilder
from s3_retriever.index.words import Asked, asked

TERM = st.text("abéß語\U0001f600", min_size=1, max_size=9)


def distances(term: str, terms: set[str]) -> dict[str, int]:
    """How many characters terms that are related to one, and it, have beyond their common beginning."""
    found = {}
    for other in terms - {term}:
        shared = len([*takewhile(lambda pair: pair[0] == pair[1], zip(term, other, strict=False))])
        lengths = len(term), len(other)
        if shared >= 4 and shared >= 0.6 * max(lengths) and term[0].isalpha():
            found[other] = sum(lengths) - 2 * shared
    return found


@given(st.sets(TERM), TERM)
def test_related_terms_share_most_of_their_beginning(words: set[str], term: str) -> None:
    builder = TermBuilder()
    builder.append([(sorted(words), np.zeros(len(words), np.int64))], 1)
    postings = builder.build()
    for one in {term, *words}:
        expected = sorted(distances(one, words))
        assert postings.related(one) == expected
        assert nearest(one, words) == expected


@pytest.mark.parametrize(
    ("word", "related", "others"),
    [
        ("directed", ["direct", "director", "directing"], ["dire", "directorates-general", "redirected"]),
        ("vermieten", ["vermietet", "vermietung"], ["vermeiden", "mieten"]),
        ("договор", ["договора", "договору"], ["дог", "доверие"]),
        ("2019", [], ["20191", "2019a"]),
        ("a1388", ["a1388b"], ["a1387", "a138", "a13880", "a1380"]),
        ("python3", ["python", "pythons"], ["python2", "python31"]),
        ("lamp12oil", ["lamp12oils"], ["lamp13oil", "lamp1oil", "lamp123"]),
        ("inter", ["inters", "interna"], ["internationally"]),
    ],
)
def test_forms_of_a_word_are_related(word: str, related: list[str], others: list[str]) -> None:
    assert nearest(word, [*others, *related]) == sorted(related)


def test_of_many_the_nearest_are_taken() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [f"lamp{'s' * (i % 3)}{letter}" for i, letter in enumerate(letters)]
    words += [f"lampb{letter}" for letter in letters]
    found = nearest("lampb", words)
    by_distance = sorted((distance, word) for word, distance in distances("lampb", set(words)).items())
    assert found == sorted(word for _, word in by_distance[:MOST])
    assert len(found) == MOST < len(by_distance)


def test_a_question_asks_for_related_terms_behind_each_word() -> None:
    related = {"directed": ["director"], "film": []}
    found = widened([*asked("2 films"), *asked("directed")], lambda term: related.get(term, ()))
    assert [(one.term, one.weight, one.exact, one.start, one.end) for one in found] == [
        ("2", 1, "", 0, 1),
        ("~2", 0.3, "2", 0, 1),
        ("film", 1, "", 2, 7),
        ("~film", 0.3, "film", 2, 7),
        ("directed", 1, "", 0, 8),
        ("director", RELATED, "directed", 0, 8),
        ("~directed", 0.3, "directed", 0, 8),
    ]


def test_a_long_question_is_asked_as_it_is() -> None:
    terms = [Asked(f"word{i}") for i in range(MOST_TERMS + 1)]
    assert widened(terms, lambda _: ["words"]) == terms
    assert len(widened(terms[1:], lambda _: ["words"])) == 2 * MOST_TERMS
