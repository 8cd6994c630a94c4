"""Sketches of keys, and what a survey makes of them, on the tiny host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_set import DOCUMENTS, PAIRS, SCAN

from s3_retriever.errors import InvalidInputError
from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.training.corpus import read_dense_corpus
from s3_retriever.training.density import HeadScores
from s3_retriever.training.pairs import draw_texts, limit, shipped_pairs, split_pairs
from s3_retriever.training.sketch import mean_keys
from s3_retriever.training.survey import HeadComparison, SurveyConfig, candidates, survey_host

HEADS = (QueryHead(2, 3), QueryHead(0, 1), QueryHead(2, 2))
TAPS = (Tap(0, 0), Tap(2, 1))
FOUND = HeadComparison(questions=20, chosen=0.6, random=0.2, every=0.4, misled=0.1, error=0.05)


def test_a_sketch_of_all_dimensions_is_a_rotation(tiny_host: Host) -> None:
    means = mean_keys(tiny_host, DOCUMENTS, TAPS, scan_config=SCAN)
    dense = read_dense_corpus(tiny_host, DOCUMENTS, PAIRS, HEADS, key_means=means, scan_config=SCAN)
    sketch = read_dense_corpus(
        tiny_host, DOCUMENTS, PAIRS, HEADS, key_means=means, sketch_dim=99, scan_config=SCAN
    )
    assert sketch.keys.shape == dense.keys.shape
    rng = np.random.default_rng(0)
    for one, other in zip(dense.examples, sketch.examples, strict=True):
        cells = dense.draw_passages(one, 8, 3, rng)
        expected, found = HeadScores.of(dense, one, cells), HeadScores.of(sketch, other, cells)
        np.testing.assert_allclose(found.densities, expected.densities, rtol=2e-2, atol=1e-2)
        np.testing.assert_array_equal(found.evidence, expected.evidence)


def test_a_sketch_needs_the_means(tiny_host: Host) -> None:
    with pytest.raises(InvalidInputError, match="give key_means"):
        read_dense_corpus(tiny_host, DOCUMENTS, PAIRS, HEADS, sketch_dim=8, scan_config=SCAN)


@pytest.mark.long
def test_a_smaller_sketch_keeps_most_of_every_dot_product(tiny_host: Host) -> None:
    means = mean_keys(tiny_host, DOCUMENTS, TAPS, scan_config=SCAN)
    settings = {"key_means": means, "scan_config": SCAN}
    dense = read_dense_corpus(tiny_host, DOCUMENTS, PAIRS, HEADS, **settings)
    sketch = read_dense_corpus(tiny_host, DOCUMENTS, PAIRS, HEADS, sketch_dim=8, **settings)
    assert sketch.keys.shape[-1] == 8
    for head, tap in enumerate(dense.head_taps):
        exact, near = (
            np.concatenate([one.queries[:, head] for one in corpus.examples])
            @ corpus.keys[tap].reshape(-1, corpus.keys.shape[-1]).astype(np.float32).T
            for corpus in (dense, sketch)
        )
        assert np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.8


def test_mean_keys_are_those_of_the_text(tiny_host: Host) -> None:
    found = mean_keys(tiny_host, DOCUMENTS[:1], TAPS, scan_config=SCAN)
    keys = tiny_host.keys([tiny_host.encode(DOCUMENTS[0].text).ids[:200]], TAPS)[0]
    for tap, mean in zip(TAPS, keys.mean(axis=0), strict=True):
        assert np.corrcoef(found[tap], mean)[0, 1] > 0.8


def test_candidates_are_the_first_third_of_the_layers_unless_said_otherwise(tiny_host: Host) -> None:
    assert {head.layer for head in candidates(tiny_host, None)} == {0, 1}
    assert len(candidates(tiny_host, 3)) == 16
    for layer in (-1, 4):
        with pytest.raises(
            InvalidInputError, match=f"max_layer must be a whole number from 0 to 3, not {layer}"
        ):
            candidates(tiny_host, layer)


@pytest.mark.long
def test_a_survey_reports_every_head_and_is_fixed_by_its_seed(tiny_host: Host) -> None:
    config = SurveyConfig(max_layer=1, n_taps=2, n_heads=3, sketch_dim=8, passage_cells=16)
    found = survey_host(tiny_host, DOCUMENTS, PAIRS, config, scan_config=SCAN)
    assert set(found.choice.alone) == set(candidates(tiny_host, 1))
    assert 1 <= len(found.choice.heads) <= 3
    assert found.comparison is not None
    assert found.comparison.questions == 1
    assert found.comparison.useful is None  # one question tells nothing
    assert found.to_json()["held_out"]["questions"] == 1
    assert survey_host(tiny_host, DOCUMENTS, PAIRS, config, scan_config=SCAN) == found
    whole = replace(config, held_out_share=0)
    assert survey_host(tiny_host, DOCUMENTS, PAIRS, whole, scan_config=SCAN).comparison is None


@pytest.mark.long
def test_the_heads_of_an_untrained_host_are_not_useful_and_one_that_matches_is(
    tiny_folder: Path, matching_folder: Path
) -> None:
    documents, pairs = shipped_pairs()
    config = SurveyConfig(pairs=40, tokens=30_000)
    untrained = survey_host(Host.load(tiny_folder), documents, pairs, config).comparison
    assert untrained is not None
    assert untrained.useful is False
    matching = survey_host(Host.load(matching_folder), documents, pairs, config)
    assert matching.choice.heads[0] == QueryHead(0, 3)
    assert max(matching.choice.alone.values()) == matching.choice.alone[QueryHead(0, 3)]


def test_useful_is_what_the_right_question_finds() -> None:
    assert FOUND.useful
    assert FOUND.beats_random
    assert not replace(FOUND, misled=0.5).useful
    assert not replace(FOUND, random=0.55).beats_random
    assert replace(FOUND, questions=3).useful is None


@pytest.mark.parametrize(
    "name", ["n_taps", "n_heads", "sketch_dim", "passage_cells", "passages", "draws", "pairs", "tokens"]
)
def test_settings_out_of_range_are_named(name: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{name} must be a whole number, \d or more, not 0"):
        SurveyConfig(**{name: 0})


def test_whole_documents_are_drawn_until_there_are_enough() -> None:
    documents, pairs = shipped_pairs()
    kept, asked = limit(documents, pairs, max_pairs=50, max_tokens=40_000, count=len, seed=0)
    assert 0 < len(asked) <= 50
    assert sum(len(document.text) for document in kept) <= 40_000
    names = {document.id for document in kept}
    assert asked == [pair for pair in pairs if pair.doc_id in names]
    assert names == {pair.doc_id for pair in asked}
    assert limit(documents, pairs, max_pairs=10**6, max_tokens=10**9, count=len, seed=0)[1] == pairs
    assert len(limit(documents, pairs, max_pairs=1, max_tokens=1, count=len, seed=0)[0]) == 1


def test_texts_are_drawn_from_all_over_the_documents() -> None:
    documents, _ = shipped_pairs()
    drawn = draw_texts(documents, max_tokens=30_000, count=len, seed=0)
    assert 20_000 < sum(len(passage.text) for passage in drawn) <= 30_000
    assert len({passage.id for passage in drawn}) == len(drawn) > 2
    assert draw_texts(documents, max_tokens=0, count=len, seed=0) == []
    taken = {drawn[0].id, documents[5].id}
    others = draw_texts(documents, max_tokens=10**9, count=len, seed=0, taken=taken)
    assert not taken & {part for passage in others for part in (passage.id, passage.id.partition("#")[0])}
    assert drawn[1] in others


def test_of_two_documents_or_more_one_is_held_out_whatever_the_seed() -> None:
    pairs = [replace(pair, doc_id=name) for pair, name in zip(PAIRS, "abc", strict=True)]
    for seed in range(20):
        for fraction in (0.01, 0.99):
            kept, out = split_pairs(pairs, fraction, seed)
            assert kept
            assert out
    assert split_pairs(pairs, 0, 0) == (pairs, [])
    assert all(split_pairs(pairs[:1], 0.9, seed) == (pairs[:1], []) for seed in range(20))
