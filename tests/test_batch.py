"""Several questions at once, and several callers at once: the spans that each has alone."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from index_corpus import by_row
from plain_density import plain_coactivation

from s3_retriever import Document, Host, RetrieverConfig, S3Retriever, ScanConfig, Span, errors
from s3_retriever.config import MODES, SCORINGS
from s3_retriever.encode import Artifact
from s3_retriever.encode.question import QueryRows, encode_question, encode_questions, query_rows
from s3_retriever.encode.question import _passes as passes_of
from s3_retriever.host import QueryHead, Tap
from s3_retriever.host.loading import cpu_dtype
from s3_retriever.host.one_core import OneCoreThreads
from s3_retriever.index.words import asked
from s3_retriever.search import answer, rank
from s3_retriever.search.kernels import cell_masses
from s3_retriever.search.lexical import LexicalIndex
from s3_retriever.search.workers import Workers

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
DOCUMENTS = [
    Document("harbour", "The harbour was quiet. " * 30 + "The keeper stores the oil in the cellar. " * 2),
    Document("bakery", "Bread is baked at four in the morning. The baker sings. " * 12, "", {"warm": True}),
    Document("empty", ""),
    Document("long", "".join(f"Line {i}: nothing about ships, only cats.\n" for i in range(300))),
]
QUESTIONS = [
    "Where does the keeper store the oil?",
    "When is bread baked?",
    "?",
    "Where does the keeper store the oil?",
    "why " * 40,  # too long to be read twice
    *(f"What does line {'very ' * i}{i} say about the cats and the ships?" for i in range(9)),
]


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    made = S3Retriever.from_documents(DOCUMENTS[:2], host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    made.add(DOCUMENTS[2:])
    return made


def options() -> Iterator[dict[str, Any]]:
    for mode in MODES:
        for scoring in SCORINGS:
            yield {"mode": mode, "scoring": scoring, "explain": True}
    yield {"token_budget": 40, "unit_scores": True, "top_k": 2}
    yield {"where": {"warm": True}}
    yield {"where": {"warm": "never"}}


@pytest.mark.long
@pytest.mark.parametrize("chosen", options(), ids=repr)
def test_a_batch_gives_each_question_the_spans_that_it_has_alone(
    retriever: S3Retriever, chosen: dict[str, Any]
) -> None:
    alone = [retriever.retrieve(question, **chosen) for question in QUESTIONS]
    assert retriever.retrieve_batch(QUESTIONS, **chosen) == alone
    assert retriever.retrieve_batch(iter(QUESTIONS[:3]), **chosen) == alone[:3]


@pytest.mark.long
def test_more_questions_than_wait_for_each_other_keep_their_order(retriever: S3Retriever) -> None:
    found = retriever.retrieve_batch(QUESTIONS * 6, mode="bm25")
    assert found == [retriever.retrieve(question, mode="bm25") for question in QUESTIONS] * 6
    assert retriever.retrieve_batch([]) == []


@pytest.mark.parametrize("wrong", ["one question", ["fine", " "], ["fine", 3], None, 3])
def test_what_is_no_list_of_questions_is_refused(retriever: S3Retriever, wrong: Any) -> None:
    with pytest.raises(errors.InvalidInputError, match="question"):
        retriever.retrieve_batch(wrong)


def test_one_question_beyond_the_window_is_refused(retriever: S3Retriever) -> None:
    with pytest.raises(errors.InvalidInputError, match="shorten it"):
        retriever.retrieve_batch([*QUESTIONS, "why " * 300])


def assert_queries_are_those_of_each_alone(host: Host, heads: tuple[QueryHead, ...]) -> None:
    threads = OneCoreThreads()
    for question, together in zip(QUESTIONS, encode_questions(host, QUESTIONS, heads, threads), strict=True):
        (alone,) = encode_questions(host, [question], heads, threads)
        assert together.queries.tobytes() == alone.queries.tobytes()
        assert together.tokens == alone.tokens
        assert together.ids.tolist() == alone.ids.tolist()


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("lengths", [[3000], [3000, 3000], [6000, 10, 10, 10], [1500] * 3, [32] * 9, [0], []])
def test_no_pass_is_without_a_question(lengths: list[int], mixed: bool) -> None:
    """Also where one question has more tokens than a pass should have."""
    for threads in (1, 2, 5):
        found = passes_of(lengths, threads, mixed=mixed)
        assert all(found)
        assert sorted(number for one in found for number in one) == [*range(len(lengths))]


def test_every_thread_has_passes_and_each_pass_one_length(tiny_host: Host) -> None:
    passes: list[list[int]] = []

    class Watched(OneCoreThreads):
        def map(self, function: Any, tasks: Any) -> list[Any]:
            passes.extend(tasks)
            return super().map(function, passes)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        questions = ["Why is it so?"] * 6 + ["Why " * 12] * 2 + ["Why " * 25]
        encode_questions(tiny_host, questions, (QueryHead(2, 3),), Watched())
    finally:
        torch.set_num_threads(before)
    assert sorted(i for one in passes for i in one) == list(range(9))
    assert sorted(map(len, passes)) == [1, 1, 1, 3, 3]
    assert all(len({questions[i] for i in one}) == 1 for one in passes)


def test_queries_of_a_batch_are_those_of_each_alone_bit_for_bit(tiny_host: Host) -> None:
    assert_queries_are_those_of_each_alone(tiny_host, (QueryHead(2, 3), QueryHead(0, 1)))


def test_queries_of_a_batch_are_those_of_each_alone_in_the_default_host(host: Host) -> None:
    assert_queries_are_those_of_each_alone(host, (QueryHead(5, 2), QueryHead(2, 0)))


def test_keys_of_a_batch_are_those_of_each_alone_in_the_default_host(host: Host) -> None:
    """In float32, products on several busy cores seldom have other last bits: seen on AVX2."""
    rows = [host.encode(question * n).ids for n, question in enumerate(QUESTIONS, 1)]
    taps = [Tap(0, 1), Tap(5, 2)]
    for together, row in zip(host.keys(rows, taps), rows, strict=True):
        (alone,) = host.keys([row], taps)
        if cpu_dtype() == torch.bfloat16:
            assert together.tobytes() == alone.tobytes()
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4 * np.abs(alone).max())


@pytest.mark.long
def test_several_callers_at_once_get_what_each_gets_alone(retriever: S3Retriever) -> None:
    alone = retriever.retrieve_batch(QUESTIONS)
    with ThreadPoolExecutor(4) as pool:
        batches = [pool.submit(retriever.retrieve_batch, QUESTIONS) for _ in range(3)]
        singles = [pool.submit(retriever.retrieve, question) for question in QUESTIONS]
        assert [future.result() for future in batches] == [alone] * 3
        assert [future.result() for future in singles] == alone


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
def test_a_process_that_was_forked_searches_too(retriever: S3Retriever) -> None:
    """The threads that searches share do not live in it."""
    expected: list[list[Span]] = retriever.retrieve_batch(QUESTIONS, mode="bm25")
    child = os.fork()
    if not child:
        same = retriever.retrieve_batch(QUESTIONS, mode="bm25") == expected
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.long
def test_densities_are_those_of_plain_numpy(retriever: S3Retriever) -> None:
    """Of all rows at all widths, over the masses of each row by itself."""
    snapshot, ranker = retriever.index.snapshot, retriever.ranker
    encoded = encode_question(retriever.host, QUESTIONS[0], retriever.artifact.query_heads)
    rows = query_rows(retriever.artifact, encoded.queries, ranker.scoring.n_features)
    weights = ranker.token_weights(snapshot, encoded.ids)
    masses = [
        by_row(cell_masses(snapshot.parts, row.tap, row.features, row.weights), len(weights)) for row in rows
    ]
    expected = plain_coactivation(
        np.concatenate(masses),
        ranker.scoring.row_weights(weights),
        snapshot.cell_tokens,
        snapshot.document_cells,
        list(ranker.scoring.scales),
    )
    np.testing.assert_allclose(ranker.s3(snapshot, [(encoded.ids, rows)], as_it_is)[0], expected, rtol=1e-4)


def as_it_is(_: int, density: Any) -> Any:
    """Make nothing else of a density."""
    return density


@pytest.mark.parametrize("most", [0, rank.MASS_BYTES])
def test_questions_scored_at_a_time_have_the_densities_that_each_has_alone(
    retriever: S3Retriever, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, however many are scored at a time, and however many rows each has."""
    monkeypatch.setattr(rank, "TOGETHER", 2 * rank.LANES)
    monkeypatch.setattr(rank, "MASS_BYTES", most)
    snapshot, ranker, heads = retriever.index.snapshot, retriever.ranker, retriever.artifact.query_heads
    encoded = encode_questions(retriever.host, QUESTIONS, heads)
    asked = [(one.ids, query_rows(retriever.artifact, one.queries, 16 + i)) for i, one in enumerate(encoded)]
    means: list[list[Any]] = [[] for _ in asked]
    together = ranker.s3(snapshot, asked, as_it_is, means)
    for one, density, of_one in zip(asked, together, means, strict=True):
        own: list[list[Any]] = [[]]
        (alone,) = ranker.s3(snapshot, [one], as_it_is, own)
        assert alone.tobytes() == density.tobytes()
        assert np.concatenate(own[0]).tobytes() == np.concatenate(of_one).tobytes()
    assert max(map(len, means)) > 1
    assert ranker.s3(snapshot, [], as_it_is) == []


@pytest.mark.parametrize("most", [0, rank.MASS_BYTES])
def test_questions_are_answered_beside_each_other(
    retriever: S3Retriever, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the masses of one question are all that is held."""
    monkeypatch.setattr(rank, "MASS_BYTES", most)
    ranker = replace(retriever.ranker, workers=Workers(2))
    encoded = encode_questions(retriever.host, QUESTIONS[:4], retriever.artifact.query_heads)
    asked = [(one.ids, query_rows(retriever.artifact, one.queries, 16)) for one in encoded]
    two = threading.Barrier(2, timeout=30)
    found = ranker.s3(retriever.index.snapshot, asked, lambda i, _: (two.wait() < 2, i))
    assert found == [(True, i) for i in range(4)]


@pytest.mark.parametrize("most", [0, rank.MASS_BYTES])
def test_an_error_of_one_question_is_raised(
    retriever: S3Retriever, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing waits; the next batch is answered."""
    monkeypatch.setattr(rank, "MASS_BYTES", most)
    expected = retriever.retrieve_batch(QUESTIONS)
    scores = LexicalIndex.scores

    def failing(self: Any, lookup: Any, terms: Any, boost: Any = None) -> Any:
        if terms == asked(QUESTIONS[3]):
            raise MemoryError
        return scores(self, lookup, terms, boost)

    with monkeypatch.context() as failure:
        failure.setattr(LexicalIndex, "scores", failing)
        with pytest.raises(MemoryError):
            retriever.retrieve_batch(QUESTIONS)
    assert retriever.retrieve_batch(QUESTIONS) == expected


def test_a_question_of_which_nothing_is_looked_up_has_no_density(retriever: S3Retriever) -> None:
    """Each has its turn nevertheless."""
    ranker = replace(retriever.ranker, rarity=False)
    nothing = QueryRows(0, np.zeros((0, 16), np.int32), np.zeros((0, 16), np.float32))
    asked = [(np.zeros(0, np.int32), [nothing] * len(ranker.scoring.head_weights))] * 2
    found = ranker.s3(retriever.index.snapshot, asked, lambda i, density: (i, float(density.max())))
    assert found == [(0, 0.0), (1, 0.0)]


def test_masses_of_no_more_rows_are_held_than_are_scored_at_a_time(
    retriever: S3Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the rows before are gone when the next ones are scored."""
    alive: list[weakref.ref[Any]] = []
    before: list[int] = []

    def masses(*arguments: Any) -> Any:
        before.append(sum(one() is not None for one in alive))
        made = cell_masses(*arguments)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(rank, "cell_masses", masses)
    monkeypatch.setattr(rank, "MASS_BYTES", 0)
    found = retriever.retrieve_batch(QUESTIONS[:3], mode="s3")
    assert before == [0] * len(before)
    assert len(before) > 1
    assert found[0]


@pytest.mark.parametrize("scoring", SCORINGS)
def test_densities_of_few_questions_are_held_where_they_are_large(
    retriever: S3Retriever, monkeypatch: pytest.MonkeyPatch, scoring: str
) -> None:
    sizes: list[int] = []
    answers = answer.Search.answers

    def noting(self: Any, asked: Any, understand: Any) -> Any:
        sizes.append(len(asked))
        return answers(self, asked, understand)

    options = {"mode": "hybrid", "scoring": scoring, "explain": True}
    expected = retriever.retrieve_batch(QUESTIONS, **options)
    monkeypatch.setattr(answer.Search, "answers", noting)
    assert retriever.retrieve_batch(QUESTIONS, **options) == expected
    monkeypatch.setattr(answer, "DENSITY_BYTES", 3 * 8 * retriever.index.snapshot.n_cells)
    assert retriever.retrieve_batch(QUESTIONS, **options) == expected
    assert sizes == [len(QUESTIONS), 3, 3, 3, 3, 2]
