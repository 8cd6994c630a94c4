from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from s3_retriever.errors import InvalidInputError, MissingDependencyError
from s3_retriever.search import BM25, BM25S, RankBM25
from s3_retriever.search.bm25 import Emphasis

TERMS = st.lists(st.sampled_from("abcdefgh"), max_size=6)
CELLS = st.lists(TERMS, max_size=12)
KINDS = pytest.mark.parametrize("kind", [RankBM25, BM25S])


@given(CELLS, TERMS)
def test_scores_are_those_of_rank_bm25(cells: list[list[str]], query: list[str]) -> None:
    bm25 = RankBM25(cells)
    if any(cells):
        inherited = BM25Okapi.get_scores(bm25, query)
        assert bm25.scores(query).tobytes() == inherited.tobytes()
    assert bm25.scores(query).shape == (len(cells),)


def test_scores_follow_the_formula() -> None:
    cells = [["a", "b", "a"], ["b"], ["b", "c"], []]
    n_cells, average = 4, 6 / 4
    idf = math.log(1 + (n_cells - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * 2.5 / (2 + 1.5 * (1 - 0.75 + 0.75 * 3 / average))
    np.testing.assert_allclose(RankBM25(cells).scores(["a"]), [expected, 0, 0, 0], rtol=1e-15)


def test_a_term_in_most_cells_still_counts_for_them() -> None:
    assert (RankBM25([["a"], ["a"], ["a", "b"], ["c"]]).scores(["a"])[:3] > 0).all()


def alike(_: str) -> float:
    """All terms are as rare as can be in their language."""
    return 1.0


def test_emphasis_lets_one_rare_term_outweigh_several_common_ones() -> None:
    others = [["who", "bought", "mill", f"name{i}"] for i in range(10)]
    bm25 = RankBM25([*others, ["name10", *"abcdefgh"], *([["other"]] * 39)])
    query = ["who", "bought", "mill", "name10"]
    plain, rare = bm25.scores(query), bm25.scores(query, Emphasis(4.0, alike))
    assert plain.argmax() < 10
    assert rare.argmax() == 10
    many, one = (math.log(1 + (50 - n + 0.5) / (n + 0.5)) for n in (10, 1))
    np.testing.assert_allclose(rare[:10], plain[:10] * (many / one) ** 4, rtol=1e-12)
    assert rare[10] == plain[10]  # a term of one cell counts as ever


def test_a_word_that_is_rare_here_only_does_not_speak_for_a_name() -> None:
    cells = [["what", "happens"], ["mill", "Ulvenholt"], *([["mill"]] * 8)]
    bm25, query = RankBM25(cells), ["what", "happens", "mill", "Ulvenholt"]
    common = {"what": 0.5, "happens": 0.7}
    scores = bm25.scores(query, Emphasis(2.0, lambda word: common.get(word, 1.0)))
    plain = bm25.scores(query)
    assert plain.argmax() == 0
    assert scores.argmax() == 1
    idf = math.log(1 + (10 - 1 + 0.5) / (1 + 0.5))
    assert scores[0] / plain[0] == pytest.approx((0.5**2 + 0.7**2) / 2)  # both stand in one cell of ten
    assert plain[0] == pytest.approx(2 * idf * 2.5 / (1 + 1.5 * (0.25 + 0.75 * 2 / 1.2)))


@settings(deadline=None)
@given(CELLS, TERMS, st.floats(0, 8))
def test_bm25s_knows_emphasis_too(cells: list[list[str]], query: list[str], power: float) -> None:
    emphasis = Emphasis(power, lambda term: 1 / (1 + ord(term) % 3))
    ours, theirs = RankBM25(cells).scores(query, emphasis), BM25S(cells).scores(query, emphasis)
    np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(CELLS, TERMS)
def test_bm25s_takes_over_with_the_same_ranking(cells: list[list[str]], query: list[str]) -> None:
    np.testing.assert_allclose(BM25S(cells).scores(query), RankBM25(cells).scores(query), rtol=1e-12)


def test_bm25s_ranks_a_large_corpus_alike() -> None:
    rng = np.random.default_rng(0)
    cells = [[f"w{i}" for i in rng.zipf(1.4, size=24)] for _ in range(2000)]
    query = ["w1", "w2", "w2", "w7", "w40", "unknown"]
    ours, theirs = RankBM25(cells).scores(query), BM25S(cells).scores(query)
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)
    assert len(np.unique(ours)) > 100
    order = np.argsort(-ours.round(9), kind="stable")
    assert (order == np.argsort(-theirs.round(9), kind="stable")).all()


@KINDS
@settings(deadline=None)
@given(
    st.lists(st.one_of(CELLS, st.tuples(st.floats(0, 1), st.floats(0, 1))), max_size=8),
    TERMS,
)
def test_a_changed_collection_equals_a_new_one(
    kind: type[RankBM25 | BM25S], steps: list[list[list[str]] | tuple[float, float]], query: list[str]
) -> None:
    bm25, cells = kind(), []
    for step in steps:
        if isinstance(step, tuple):
            first, last = (round(part * len(cells)) for part in sorted(step))
            bm25.remove(first, last)
            del cells[first:last]
        else:
            bm25.add(step)
            cells.extend(step)
        bm25.scores(query)
    assert bm25.n_cells == len(cells)
    assert bm25.scores(query).tobytes() == kind(cells).scores(query).tobytes()


@KINDS
@pytest.mark.parametrize("cells", [[], [[]], [[], []], [["a"], []]])
@pytest.mark.parametrize("query", [[], ["unknown"], [""]])
def test_nothing_in_common_scores_zero(
    kind: type[RankBM25 | BM25S], cells: list[list[str]], query: list[str]
) -> None:
    scores = kind(cells).scores(query)
    assert scores.dtype == np.float64
    assert scores.tolist() == [0.0] * len(cells)


@KINDS
@pytest.mark.parametrize(("first", "last"), [(-1, 1), (2, 1), (0, 4)])
def test_removing_what_is_not_there_is_refused(kind: type[BM25], first: int, last: int) -> None:
    bm25 = kind()
    bm25.add([["a"], ["b"], ["c"]])
    with pytest.raises(InvalidInputError, match="there are 3"):
        bm25.remove(first, last)
    assert bm25.n_cells == 3


def test_without_bm25s_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingDependencyError, match=r"s3-retriever\[bm25s\]"):
        BM25S()


@pytest.mark.parametrize("package", ["index", "search"])
def test_no_module_of_index_or_search_imports_torch_or_bm25s(package: str) -> None:
    code = f"import importlib, pkgutil, sys, s3_retriever.{package} as package\n"
    code += "for one in pkgutil.iter_modules(package.__path__, f'{package.__name__}.'):\n"
    code += "    importlib.import_module(one.name)\n"
    code += "assert not {'torch', 'bm25s'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
