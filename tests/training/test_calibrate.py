"""Calibration: its density is that of search, and it learns which head tells something."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from calibration_set import DOCUMENTS, PAIRS, SCAN, made_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import by_row

from s3_retriever import Host, RetrieverConfig, S3Retriever
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.index.layout import CELL
from s3_retriever.search.coactivation import coactivation, grouped
from s3_retriever.search.kernels import cell_masses
from s3_retriever.search.scoring import FUSED_RARITY, FUSED_WIDTHS, Scoring
from s3_retriever.training.calibrate import CalibrateConfig, calibrate
from s3_retriever.training.corpus import DenseCorpus, Example, read_dense_corpus
from s3_retriever.training.density import LearnedDensity

LENGTHS = [320, 150, 0, 500, 33]
SHORT = CalibrateConfig(epochs=4, passage_cells=8, passages=4, map_rate=1e-2, constant_rate=5e-2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are computed fastest by one thread, by far so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def whole_documents(corpus: DenseCorpus, size: int) -> np.ndarray:
    """Passages that hold one document each and together all cells, in order."""
    rows = []
    for first, last in zip(corpus.document_cells, corpus.document_cells[1:], strict=False):
        if last > first:
            rows.append(np.append(np.arange(first, last), np.full(size - (last - first), -1)))
    return np.stack(rows)


def density_with_other_constants(corpus: DenseCorpus, config: CalibrateConfig, seed: int) -> LearnedDensity:
    """The density with all that can be learned moved from where it starts."""
    random = torch.Generator().manual_seed(seed)
    model = LearnedDensity(corpus, config.sigmas, config.temperature)
    with torch.no_grad():
        for parameter in model.parameters():
            step = torch.randn(parameter.shape, generator=random)
            parameter += 0.5 * step
    return model


def search_density(corpus: DenseCorpus, example: Example, maps: np.ndarray, scoring: Scoring) -> np.ndarray:
    """What search computes of exact scores."""
    real = np.arange(CELL) < corpus.tokens[:, None]
    masses = []
    for head, tap in enumerate(corpus.head_taps):
        scores = np.einsum(
            "nd,ctd->nct", example.queries[:, head] @ maps[head], corpus.keys[tap].astype(float)
        )
        masses.append((np.expm1(scores) * real).sum(axis=2).astype(np.float32))
    return coactivation(
        grouped(np.concatenate(masses)),
        scoring.row_weights(example.token_weights),
        corpus.tokens,
        corpus.document_cells,
        scoring.scales,
    )


def assert_same_density(corpus: DenseCorpus, config: CalibrateConfig, seed: int) -> None:
    model = density_with_other_constants(corpus, config, seed)
    cells = whole_documents(corpus, config.passage_cells)
    maps = model.maps.detach().numpy()
    for example in corpus.examples:
        logits = model.density(example, cells).detach().numpy()[cells >= 0]
        expected = search_density(corpus, example, maps, model.scoring())
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 400), min_size=2, max_size=6).filter(lambda ls: sum(ls) > 200),
    sigmas=st.lists(st.sampled_from([0.3, 1.0, 2.5, 12.0, math.inf]), min_size=1, max_size=4),
    size=st.integers(13, 20),
    seed=st.integers(0, 1000),
)
def test_the_density_is_that_of_search(lengths: list[int], sigmas: list[float], size: int, seed: int) -> None:
    corpus = made_corpus(lengths, n=2, seed=seed)
    config = CalibrateConfig(sigmas=tuple(sigmas), passage_cells=size)
    assert_same_density(corpus, config, seed)


def test_the_density_is_that_of_search_on_real_text(tiny_host: Host, tiny_artifact: Artifact) -> None:
    corpus = read_dense_corpus(tiny_host, DOCUMENTS, PAIRS, tiny_artifact.query_heads, scan_config=SCAN)
    config = CalibrateConfig(temperature=0.5)
    model = density_with_other_constants(corpus, config, seed=0)
    logits = model.density(corpus.examples[0], whole_documents(corpus, 128)).detach().numpy()
    assert np.ptp(logits) > 0.5  # constants would agree with anything
    assert_same_density(corpus, config, seed=0)


@pytest.mark.long
def test_the_density_is_that_of_an_index(tiny_host: Host, tiny_artifact: Artifact) -> None:
    """Through postings and quantised weights, all features asked for: same cells, nearly same numbers."""
    heads, codecs = tiny_artifact.query_heads, tiny_artifact.codecs
    means = {codec.tap: codec.mean for codec in codecs}
    corpus = read_dense_corpus(tiny_host, DOCUMENTS, PAIRS, heads, key_means=means, scan_config=SCAN)
    for codec, keys in zip(codecs, corpus.keys, strict=True):
        flat = keys.reshape(-1, codec.sae.dim).astype(np.float32)
        rebuilt = codec.sae.decode(codec.sae.encode_unit(flat)) - codec.sae.b_dec
        keys[:] = (rebuilt * flat.any(axis=1, keepdims=True)).reshape(keys.shape)
    model = density_with_other_constants(corpus, CalibrateConfig(temperature=0.2), seed=0)
    with torch.no_grad():
        model.maps *= 0.3
    retriever = S3Retriever.from_documents(
        DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=RetrieverConfig(scan=SCAN)
    )
    snapshot = retriever.index.snapshot
    cells = whole_documents(corpus, 128)
    for example in corpus.examples:
        masses = []
        for head, tap in enumerate(corpus.head_taps):
            asked = example.queries[:, head] @ model.maps[head].detach().numpy()
            weights = (asked @ codecs[tap].sae.W_dec.T).astype(np.float32)
            features = np.tile(np.arange(weights.shape[1], dtype=np.int32), (len(weights), 1))
            masses.append(by_row(cell_masses(snapshot.parts, tap, features, weights), len(features)))
        scoring = model.scoring()
        expected = coactivation(
            grouped(np.concatenate(masses)),
            scoring.row_weights(example.token_weights),
            snapshot.cell_tokens,
            snapshot.document_cells,
            scoring.scales,
        )
        logits = model.density(example, cells).detach().numpy()[cells >= 0]
        np.testing.assert_allclose(logits, expected, atol=0.03 * np.ptp(expected))


def test_the_loss_is_the_cross_entropy_of_the_evidence() -> None:
    corpus = made_corpus(LENGTHS, n=1)
    example = replace(corpus.examples[0], cells=np.array([3, 12]), weights=np.array([0.25, 0.75], np.float32))
    model = density_with_other_constants(corpus, CalibrateConfig(passage_cells=16), seed=0)
    cells = whole_documents(corpus, 16)
    logits = model.density(example, cells).detach().numpy()[cells >= 0].astype(float)
    log_shares = logits - np.log(np.exp(logits).sum())
    expected = -(0.25 * log_shares[3] + 0.75 * log_shares[12])
    assert float(model.loss(example, cells).detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
def test_an_informative_head_gets_more_weight_and_the_loss_falls() -> None:
    corpus = made_corpus(LENGTHS, informative=(False, True, False))
    config = replace(SHORT, epochs=8, batch_size=4, constant_rate=0.1)
    learned = calibrate(corpus, corpus.examples, config)
    assert len(learned.losses) == 8
    assert learned.losses[-1] < 0.5 * learned.losses[0]
    noise, told, other_noise = np.array(learned.scoring.head_weights).sum(axis=1)
    assert told > 2 * max(noise, other_noise)
    assert [scale.sigma for scale in learned.scoring.scales] == list(SHORT.sigmas)
    assert learned.scoring.bm25_widths == FUSED_WIDTHS
    assert learned.scoring.bm25_rarity == FUSED_RARITY
    assert Scoring.from_json(learned.scoring.to_json()) == learned.scoring


@pytest.mark.long
def test_a_seed_fixes_the_result() -> None:
    corpus = made_corpus(LENGTHS)
    config = replace(SHORT, epochs=1)
    first, again = (calibrate(corpus, corpus.examples, config) for _ in range(2))
    other = calibrate(corpus, corpus.examples, replace(config, seed=1))
    np.testing.assert_array_equal(first.maps, again.maps)
    assert first.scoring == again.scoring
    assert first.losses == again.losses
    assert not np.array_equal(first.maps, other.maps)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 400), min_size=1, max_size=5).filter(any),
    size=st.integers(1, 12),
    passages=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_passages_hold_the_evidence_and_no_border(
    lengths: list[int], size: int, passages: int, seed: int
) -> None:
    corpus = made_corpus(lengths, n=1, seed=seed)
    (example,) = corpus.examples
    cells = corpus.draw_passages(example, size, passages, np.random.default_rng(seed))
    assert cells.shape[1] == size
    assert len(cells) >= passages
    assert np.isin(example.cells, cells).all()
    for row in cells:
        known = row[row >= 0]
        assert len(known)
        np.testing.assert_array_equal(known, np.arange(known[0], known[0] + len(known)))
        assert len(set(np.searchsorted(corpus.document_cells, known, side="right").tolist())) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": -1},
        {"map_rate": 0.0},
        {"temperature": math.nan},
        {"passages": 1},
        {"passage_cells": 1.5},
        {"seed": -1},
        {"held_out_share": 1.0},
        {"sigmas": (1.0, 0.0)},
        {"sigmas": ()},
    ],
)
def test_settings_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(InvalidInputError, match=re.escape(f", not {value}")) as raised:
        CalibrateConfig(**wrong)
    assert str(raised.value).startswith(f"{name} must be ")


def test_examples_are_needed() -> None:
    with pytest.raises(InvalidInputError, match="got none"):
        calibrate(made_corpus(LENGTHS, n=1), ())


def test_a_loss_out_of_bounds_is_an_error_rather_than_an_artifact_of_nan() -> None:
    corpus = made_corpus(LENGTHS, n=2)
    with pytest.raises(InvalidInputError, match=r"the loss became (nan|inf).* temperature below 500"):
        calibrate(corpus, corpus.examples, replace(SHORT, epochs=1, temperature=500.0))
