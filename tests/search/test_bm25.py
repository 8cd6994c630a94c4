"""BM25 of cells whose terms are given, beside ``rank_bm25`` and ``bm25s``."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import append
from rank_bm25 import BM25Okapi

from s3_retriever.documents import Document
from s3_retriever.errors import MissingDependencyError
from s3_retriever.index import Index, Layout, SegmentBuilder, Snapshot
from s3_retriever.index.words import Asked
from s3_retriever.search.lexical import BM25, BM25S
from s3_retriever.search.lookup import TermLookup
from s3_retriever.search.rarity import RarityBoost

TERMS = st.lists(st.sampled_from("abcdefgh"), max_size=6)
CELLS = st.lists(TERMS, max_size=12)
KINDS = pytest.mark.parametrize("kind", [BM25, BM25S])


def looked_up(*segments: list[list[str]]) -> TermLookup:
    """Segments of documents of one token, and so of one cell; each is given as its terms."""
    index = Index(Layout(taps=("0.0",), n_features=(1,), k=(1,)), {})
    for number, cells in enumerate(segments):
        builder = SegmentBuilder(index.layout)
        for i, terms in enumerate(cells):
            builder.begin(Document(f"{number}/{i}", " ".join(terms)))
            builder.add(np.zeros(1), np.zeros(1), [np.zeros((1, 1), np.uint16)], [np.zeros((1, 1))])
            builder.end()
        append(index, builder.build())
    return TermLookup(index.snapshot)


class LuceneOkapi(BM25Okapi):
    """``rank_bm25`` with Lucene's idf: the reference."""

    def _calc_idf(self, nd: dict[str, int]) -> None:
        self.idf = {term: math.log(1 + (self.corpus_size - n + 0.5) / (n + 0.5)) for term, n in nd.items()}


def asking(query: list[str]) -> list[Asked]:
    return [Asked(term) for term in query]


@pytest.mark.long
@settings(deadline=None)
@given(st.lists(CELLS, max_size=3), TERMS)
def test_scores_are_those_of_rank_bm25(segments: list[list[list[str]]], query: list[str]) -> None:
    cells = [cell for segment in segments for cell in segment]
    scores = BM25().scores(looked_up(*segments), asking(query))
    assert scores.shape == (len(cells),)
    if any(cells):
        assert scores.tobytes() == LuceneOkapi(cells).get_scores(query).tobytes()


def test_scores_follow_the_formula() -> None:
    cells = [["a", "b", "a"], ["b"], ["b", "c"], []]
    n_cells, average = 4, 6 / 4
    idf = math.log(1 + (n_cells - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * 2.5 / (2 + 1.5 * (1 - 0.75 + 0.75 * 3 / average))
    np.testing.assert_allclose(
        BM25().scores(looked_up(cells), asking(["a"])), [expected, 0, 0, 0], rtol=1e-15
    )


def test_a_term_in_most_cells_still_counts_for_them() -> None:
    assert (BM25().scores(looked_up([["a"], ["a"], ["a", "b"], ["c"]]), asking(["a"]))[:3] > 0).all()


def alike(_: str) -> float:
    """All terms are as rare as can be in their language."""
    return 1.0


def test_emphasis_lets_one_rare_term_outweigh_several_common_ones() -> None:
    others = [["who", "bought", "mill", f"name{i}"] for i in range(10)]
    cells = looked_up([*others, ["name10", *"abcdefgh"], *([["other"]] * 39)])
    query = ["who", "bought", "mill", "name10"]
    plain, rare = (
        BM25().scores(cells, asking(query)),
        BM25().scores(cells, asking(query), RarityBoost(4.0, alike)),
    )
    assert plain.argmax() < 10
    assert rare.argmax() == 10
    many, one = (math.log(1 + (50 - n + 0.5) / (n + 0.5)) for n in (10, 1))
    np.testing.assert_allclose(rare[:10], plain[:10] * (many / one) ** 4, rtol=1e-12)
    assert rare[10] == plain[10]  # a term of one cell counts as ever


def test_a_word_that_is_rare_here_only_does_not_speak_for_a_name() -> None:
    cells = looked_up([["what", "happen"], ["mill", "ulvenholt"], *([["mill"]] * 8)])
    query = ["what", "happen", "mill", "ulvenholt"]
    common = {"what": 0.5, "happen": 0.7}
    scores = BM25().scores(cells, asking(query), RarityBoost(2.0, lambda word: common.get(word, 1.0)))
    plain = BM25().scores(cells, asking(query))
    assert plain.argmax() == 0
    assert scores.argmax() == 1
    idf = math.log(1 + (10 - 1 + 0.5) / (1 + 0.5))
    assert scores[0] / plain[0] == pytest.approx((0.5**2 + 0.7**2) / 2)  # both stand in one cell of ten
    assert plain[0] == pytest.approx(2 * idf * 2.5 / (1 + 1.5 * (0.25 + 0.75 * 2 / 1.2)))


@pytest.mark.long
@settings(deadline=None)
@given(CELLS, TERMS, st.floats(0, 8))
def test_bm25s_knows_emphasis_too(cells: list[list[str]], query: list[str], power: float) -> None:
    emphasis = RarityBoost(power, lambda term: 1 / (1 + ord(term) % 3))
    ours, theirs = (kind().scores(looked_up(cells), asking(query), emphasis) for kind in (BM25, BM25S))
    np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12)


@pytest.mark.long
@settings(deadline=None)
@given(CELLS, TERMS)
def test_bm25s_takes_over_with_the_same_ranking(cells: list[list[str]], query: list[str]) -> None:
    ours, theirs = (kind().scores(looked_up(cells), asking(query)) for kind in (BM25, BM25S))
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)


@pytest.mark.long
def test_bm25s_ranks_a_large_corpus_alike() -> None:
    rng = np.random.default_rng(0)
    cells = [[f"w{i}" for i in rng.zipf(1.4, size=24)] for _ in range(2000)]
    query = ["w1", "w2", "w2", "w7", "w40", "unknown"]
    ours, theirs = (
        kind().scores(looked_up(cells[:700], cells[700:]), asking(query)) for kind in (BM25, BM25S)
    )
    assert ours.tobytes() == LuceneOkapi(cells).get_scores(query).tobytes()
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)
    assert len(np.unique(ours)) > 100
    order = np.argsort(-ours.round(9), kind="stable")
    assert (order == np.argsort(-theirs.round(9), kind="stable")).all()


def test_bm25s_keeps_what_it_made_of_each_version_that_somebody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two searches at once of two versions do not make it anew in turn; one that is gone takes it along."""
    made: list[weakref.ref[object]] = []
    make = BM25S._matrix_of

    def noting(self: BM25S, of: Snapshot) -> object:
        matrix = make(self, of)
        made.append(weakref.ref(matrix))
        return matrix

    monkeypatch.setattr(BM25S, "_matrix_of", noting)
    backend, versions = BM25S(), [looked_up([["a"], ["b"]]), looked_up([["a"], ["a", "c"]])]
    for _ in range(3):
        for one in versions:
            assert backend.scores(one, asking(["a"])).any()
    assert len(made) == 2
    del one
    versions.pop(0)
    gc.collect()
    assert [matrix() is None for matrix in made] == [True, False]


@KINDS
@pytest.mark.parametrize("cells", [[], [[]], [[], []], [["a"], []]])
@pytest.mark.parametrize("query", [[], ["unknown"], [""]])
def test_nothing_in_common_scores_zero(
    kind: type[BM25 | BM25S], cells: list[list[str]], query: list[str]
) -> None:
    scores = kind().scores(looked_up(cells), asking(query))
    assert scores.dtype == np.float64
    assert scores.tolist() == [0.0] * len(cells)


def test_without_bm25s_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingDependencyError, match=r"s3-retriever\[bm25s\]"):
        BM25S()


@pytest.mark.long
@pytest.mark.parametrize("package", ["index", "search"])
def test_no_module_of_index_or_search_imports_torch_or_bm25s(package: str) -> None:
    code = f"import importlib, pkgutil, sys, s3_retriever.{package} as package\n"
    code += "for one in pkgutil.iter_modules(package.__path__, f'{package.__name__}.'):\n"
    code += "    importlib.import_module(one.name)\n"
    code += "assert not {'torch', 'bm25s'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
