"""What the kernels compute, against plain NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import LAYOUT, append, build, by_row, question, scan

from s3_retriever.errors import InvalidInputError
from s3_retriever.index import BLOCK, CELL, Index
from s3_retriever.index.postings import cells_of_tokens
from s3_retriever.search import kernels
from s3_retriever.search.workers import Workers

LENGTHS = st.lists(st.integers(0, 100), max_size=6)


def index_of(*segments):
    index = Index(LAYOUT, {})
    for segment in segments:
        append(index, segment)
    return index


def held_by(docs, token):
    """Cells of some documents that hold a token."""
    return sum(np.count_nonzero(doc.by_cell(doc.ids == token)) for doc in docs)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=6), st.integers(0, 2**31))
def test_the_cells_of_tokens_are_those_of_live_documents(corpus, seed):
    docs = [scan(f"d{i}", n, seed + i) for i, (n, _) in enumerate(corpus)]
    index = index_of(build(docs[:3]), build(docs[3:]))
    index.delete([doc.document.id for doc, (_, is_gone) in zip(docs, corpus, strict=True) if is_gone])
    left = [doc for doc, (_, is_gone) in zip(docs, corpus, strict=True) if not is_gone]
    found = index.snapshot.cells_of_tokens
    np.testing.assert_array_equal(found, [held_by(left, token) for token in range(len(found))])
    assert not any((doc.ids >= len(found)).any() for doc in left)


def test_absurd_ids_of_tokens_fill_no_memory():
    ids = np.array([3, 2**32 - 1, 3], np.uint32)
    found = cells_of_tokens(ids, np.array([0, 3]), np.array([0]))
    assert len(found) < 2**23
    assert found.tolist()[:5] == [0, 0, 0, 1, 0]


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(0, 2**31), st.sampled_from([0, 1]))
def test_scores_equal_a_plain_reference(lengths, seed, tap):
    docs = [scan(f"d{i}", n, seed + i) for i, n in enumerate(lengths)]
    snapshot = index_of(build(docs)).snapshot
    features, weights = question(tap, seed)
    masses = by_row(kernels.cell_masses(snapshot.parts, tap, features, weights), len(features))
    assert masses.shape == (len(features), snapshot.n_cells)
    used = np.where(features < 0, 0, weights)
    counted = np.arange(0, LAYOUT.n_features[tap], 3, dtype=np.int32)
    rarity = np.linspace(0.1, 2, len(counted), dtype=np.float32)
    counts = kernels.cell_counts(snapshot.parts, tap, counted, rarity)
    for i, doc in enumerate(docs):
        cells = slice(*snapshot.document_cells[i : i + 2])
        stored = doc.stored(tap)
        scores = np.einsum("rf,nrf->rn", used, stored[:, features], dtype=np.float64)
        np.testing.assert_allclose(masses[:, cells], doc.by_cell(np.expm1(scores)), rtol=2e-3, atol=1e-4)
        present = (stored[:, counted] > 0) @ rarity
        np.testing.assert_allclose(counts[cells], doc.by_cell(present), rtol=1e-5)
        np.testing.assert_array_equal(
            kernels.contributions(snapshot.place(i), (0, doc.n_tokens), tap, features, weights),
            used[:, :, None] * stored[:, features].transpose(1, 2, 0),
        )
        assert snapshot.cell_tokens[cells].tolist() == doc.by_cell(np.ones(doc.n_tokens)).tolist()
    of_tokens = snapshot.cells_of_tokens
    np.testing.assert_array_equal(of_tokens, [held_by(docs, token) for token in range(len(of_tokens))])
    assert not held_by(docs, len(of_tokens))
    expected = sum(((doc.stored(tap) > 0).sum(0) for doc in docs), np.zeros(LAYOUT.n_features[tap]))
    np.testing.assert_array_equal(snapshot.frequencies(tap), expected)


@pytest.mark.long
@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("lengths", [(0, 40), (40, 0, 70), (0,), (BLOCK + 40, 0, 33)])
def test_segments_without_a_token_change_nothing(n_threads, lengths):
    docs = [scan(f"d{i}", n, i) for i, n in enumerate(lengths)]
    snapshot = index_of(*(build([doc]) for doc in docs)).snapshot
    features, weights = question(0, 0)
    found = kernels.cell_masses(snapshot.parts, 0, features, weights, Workers(n_threads))
    whole = index_of(build([doc for doc in docs if doc.n_tokens])).snapshot
    np.testing.assert_array_equal(found, kernels.cell_masses(whole.parts, 0, features, weights))
    nothing = kernels.cell_masses(snapshot.parts, 0, features[:0], weights[:0], Workers(n_threads))
    assert nothing.size == 0


@pytest.mark.long
def test_a_documents_scores_do_not_depend_on_where_it_lies():
    """Bit for bit: alone, in another segment, and across the border of two blocks."""
    small, large = scan("small", 90, 1), scan("large", BLOCK + 777, 2)
    front = scan("front", BLOCK - 2 * CELL - 5, 3)  # ``small`` then begins two cells before the border
    features, weights = question(0, 4)
    parts = index_of(build([small]), build([large])).snapshot
    together = index_of(build([front, small, large], piece=10_000)).snapshot
    for doc_id in ("small", "large"):
        a, b = (snapshot.find(doc_id) for snapshot in (parts, together))
        for tap in (0, 1):
            cells_a = slice(*parts.document_cells[a : a + 2])
            cells_b = slice(*together.document_cells[b : b + 2])
            masses_a = kernels.cell_masses(parts.parts, tap, features, weights)[:, cells_a]
            np.testing.assert_array_equal(
                masses_a, kernels.cell_masses(together.parts, tap, features, weights)[:, cells_b]
            )
            assert not masses_a[-1, :, len(features) % kernels.LANES :].any()
            assert masses_a.any()
            np.testing.assert_array_equal(
                kernels.contributions(parts.place(a), (3, 80), tap, features, weights),
                kernels.contributions(together.place(b), (3, 80), tap, features, weights),
            )


def test_extreme_scores_saturate_and_stay_finite():
    doc = scan("d", 64, 0)
    features = np.arange(20, dtype=np.int32)[None]
    for weight in (1e4, -1e4):
        masses = kernels.cell_masses(
            index_of(build([doc])).snapshot.parts, 0, features, np.full((1, 20), weight, np.float32)
        )
        assert np.isfinite(masses).all()
        assert (masses <= CELL * np.exp(20) * 1.01).all()
        assert (masses >= -CELL).all()


def test_rows_of_several_taps_are_those_of_each_tap():
    snapshot = index_of(build([scan("d", 500, 0)]), build([scan("e", 500, 1)])).snapshot
    asked = [question(tap, tap, rows=rows) for tap, rows in ((1, 5), (0, 30), (1, 7))]
    taps = np.repeat([1, 0, 1], [5, 30, 7])
    features, weights = map(np.concatenate, zip(*asked, strict=True))
    masses = by_row(kernels.cell_masses(snapshot.parts, taps, features, weights), 42)
    alone = [
        by_row(kernels.cell_masses(snapshot.parts, tap, *rows), len(rows[0]))
        for tap, rows in zip((1, 0, 1), asked, strict=True)
    ]
    np.testing.assert_array_equal(masses, np.concatenate(alone))


def test_many_threads_may_search_at_once():
    """With threads to share the work or without, alone or at once: the same, bit for bit."""
    snapshot = index_of(build([scan("d", 50_000, 0)]), build([scan("e", 500, 1)])).snapshot
    features, weights = question(0, 0, rows=40)
    alone = kernels.cell_masses(snapshot.parts, 0, features, weights)
    workers = Workers(3)
    with ThreadPoolExecutor(4) as pool:
        tasks = [
            pool.submit(kernels.cell_masses, snapshot.parts, 0, features, weights, [workers, None][i % 2])
            for i in range(8)
        ]
        for task in tasks:
            np.testing.assert_array_equal(task.result(), alone)


@pytest.mark.parametrize(
    ("features", "weights"),
    [([[20]], [[1.0]]), ([[-2]], [[1.0]]), ([[0]], [[np.nan]]), ([[0, 1]], [[1.0]]), ([0], [1.0])],
)
def test_rows_that_do_not_fit_are_refused(features, weights):
    snapshot = index_of(build([scan("d", 40, 0)])).snapshot
    with pytest.raises(InvalidInputError):
        kernels.cell_masses(snapshot.parts, 0, np.array(features, np.int32), np.array(weights, np.float32))


def test_explanations_stay_within_the_document():
    snapshot = index_of(build([scan("d", 40, 0), scan("e", 40, 1)])).snapshot
    with pytest.raises(InvalidInputError, match="'d'"):
        kernels.contributions(snapshot.place(0), (0, 41), 0, *question(0, 0))


def test_an_empty_index_answers_with_nothing():
    snapshot = Index(LAYOUT, {}).snapshot
    features, weights = question(0, 0)
    assert kernels.cell_masses(snapshot.parts, 0, features, weights).shape == (1, 0, kernels.LANES)
    assert kernels.cell_counts(snapshot.parts, 0, features[0], weights[0]).shape == (0,)
    assert snapshot.document_cells.tolist() == [0]
    assert snapshot.frequencies(0).sum() == snapshot.n_tokens == snapshot.n_cells == len(snapshot) == 0
