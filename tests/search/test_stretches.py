"""BM25 around some cells alone is BM25 of the whole corpus there, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_density import borders

from s3_retriever.search.density import Scale
from s3_retriever.search.rarity import RarityBoost
from s3_retriever.search.scoring import Scoring, lexical_density
from s3_retriever.search.stretches import Stretches


@dataclass(frozen=True)
class Corpus:
    """What a density depends on, of documents of some numbers of cells."""

    document_cells: np.ndarray
    document_characters: np.ndarray
    are_code: np.ndarray
    tables: np.ndarray

    @property
    def n_cells(self) -> int:
        return int(self.document_cells[-1])


def corpus(sizes: list[int], seed: int = 0) -> Corpus:
    random = np.random.default_rng(seed)
    characters = (np.array(sizes) * random.uniform(1, 120, len(sizes))).astype(np.int64)
    cells = borders(sizes)
    large = np.array([[first + 3, end] for first, end in pairwise(cells) if end - first > 50], np.int64)
    return Corpus(cells, characters, random.random(len(sizes)) < 0.4, large.reshape(-1, 2))


@given(
    st.data(),
    st.lists(st.sampled_from([0, 1, 2, 7, 100, 700]), min_size=1, max_size=6).filter(any),
    st.booleans(),
    st.sampled_from([{0.5: 1.0}, {0.5: 1.0, 3.0: 0.2}, {0.5: 1.0, np.inf: 0.3}]),
)
def test_the_density_around_some_cells_is_that_of_the_whole(
    data: st.DataObject, sizes: list[int], alone: bool, widths: dict[float, float]
) -> None:
    whole = corpus(sizes, data.draw(st.integers(0, 9)))
    n = int(whole.document_cells[-1])
    cells = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=5)), np.int64)
    scores = np.random.default_rng(n).exponential(1, (3, n))
    scoring = Scoring(scales=(Scale(1.0),), head_weights=(), bm25_widths=widths, bm25_rarity=2.0)

    def scored(boost: RarityBoost | None) -> np.ndarray:
        return scores[int(boost.power) if boost else 0]

    def density(stretches: Stretches) -> np.ndarray:
        return lexical_density(scoring, stretches, scored, lambda _: 1.0, alone=alone)

    near = Stretches.around(whole, cells, scoring.all_bm25_widths)
    assert np.array_equal(density(near)[near.places(cells)], density(Stretches.whole(whole))[cells])


@pytest.mark.parametrize("size", [1000, 100_000])
def test_what_lies_around_some_cells_does_not_grow_with_their_document(size: int) -> None:
    near = Stretches.around(corpus([size]), np.array([3, 500, 502, size - 1]), [0.5, 2.0])
    assert len(near.cells) < 4 * (2 * 25 + 1)
    assert len(near.borders) - 1 == 3
