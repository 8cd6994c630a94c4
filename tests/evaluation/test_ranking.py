from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.evaluation import Region
from s3_retriever.evaluation.metrics import hit, ndcg, ranked_documents, reciprocal_rank

GRADES = st.dictionaries(st.sampled_from("abcdefghijklmno"), st.integers(-1, 3))


def test_documents_are_ranked_by_their_best_region() -> None:
    assert ranked_documents([Region("b", 5, 9), Region("a", 0, 4), Region("b", 0, 4)]) == ["b", "a"]


def test_gain_by_hand() -> None:
    relevant = {"a": 2, "b": 1, "c": 0}
    # found at ranks 2 and 4: b with 1, a with 2; ideal: a, then b
    gain, ideal = 1 / math.log2(3) + 2 / math.log2(5), 2 + 1 / math.log2(3)
    assert ndcg(["x", "b", "c", "a"], relevant) == pytest.approx(gain / ideal)
    assert reciprocal_rank(["x", "b", "c", "a"], relevant) == 1 / 2
    assert hit(["c", "x"], relevant) == reciprocal_rank(["c", "x"], relevant) == ndcg(["c"], relevant) == 0


def test_only_ten_ranks_count() -> None:
    others = [f"x{i}" for i in range(10)]
    assert hit([*others[:9], "a"], {"a": 1}) == 1
    assert reciprocal_rank([*others[:9], "a"], {"a": 1}) == 1 / 10
    assert hit([*others, "a"], {"a": 1}) == ndcg([*others, "a"], {"a": 1}) == 0


@pytest.mark.long
@given(ranking=st.permutations("abcdefghijklmno"), relevant=GRADES)
def test_gain_is_a_share_of_the_ideal(ranking: list[str], relevant: dict[str, int]) -> None:
    assert 0 <= ndcg(ranking, relevant) <= 1 + 1e-9
    best = sorted(ranking, key=lambda doc_id: -relevant.get(doc_id, 0))
    has_any = any(grade > 0 for grade in relevant.values())
    assert ndcg(best, relevant) == pytest.approx(float(has_any)) == hit(best, relevant)
