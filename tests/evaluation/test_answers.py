from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.evaluation.metrics import answer_hit, exact_match, f1, normalize_answer


def test_normalisation_is_that_of_squad() -> None:
    assert normalize_answer("  The cat's  Pyjamas, an  A-team!") == "cats pyjamas ateam"
    assert normalize_answer("a the AN") == ""


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "overlap"),
    [
        ("The Beatles.", ["Beatles"], 1, 1),
        ("by John Lennon", ["John Winston Lennon", "McCartney"], 0, 2 * 2 / (3 + 3)),
        ("red red blue", ["red"], 0, 2 * 1 / (3 + 1)),  # a word counts as often as both have it
        ("nobody", ["John"], 0, 0),
        ("", ["John"], 0, 0),
        ("the", ["a"], 1, 1),  # nothing is left of either
        ("John", [], 0, 0),
    ],
)
def test_exact_match_and_f1(prediction: str, answers: list[str], exact: float, overlap: float) -> None:
    assert exact_match(prediction, answers) == exact
    assert f1(prediction, answers) == pytest.approx(overlap)


@pytest.mark.long
@given(prediction=st.text("abc the.", max_size=12), answers=st.lists(st.text("abc the.", max_size=12)))
def test_f1_is_at_least_exact_match(prediction: str, answers: list[str]) -> None:
    assert 0 <= exact_match(prediction, answers) <= f1(prediction, answers) <= 1
    for answer in answers:
        assert f1(prediction, [answer]) == f1(answer, [prediction]) <= f1(prediction, answers)


def test_an_answer_is_found_as_whole_words() -> None:
    passages = ["He was born in the Aargau,", "in 1871."]
    assert answer_hit(passages, ["1871"]) == 1
    assert answer_hit(passages, ["nowhere", "the aargau"]) == 1
    assert answer_hit(passages, ["187"]) == 0
    assert answer_hit(passages, ["Aargau in 1871"]) == 0  # two passages are not one
    assert answer_hit(passages, ["the"]) == 0  # nothing is left of it
    assert answer_hit([], ["1871"]) == 0
