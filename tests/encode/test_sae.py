"""Encoding with the Top-k SAE: its definition, and what the index relies on."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.encode import Codes, TopKSAE, center_and_normalize
from s3_retriever.encode.encoder import Encoder
from s3_retriever.errors import InvalidInputError


def random_sae(seed: int, d: int = 8, m: int = 40, k: int = 4, biased: bool = True) -> TopKSAE:
    random = np.random.default_rng(seed)
    decoder = center_and_normalize(random.standard_normal((m, d)), 0)
    return TopKSAE(
        W_enc=decoder.T + 0.1 * random.standard_normal((d, m)).astype(np.float32),
        b_enc=biased * 0.1 * random.standard_normal(m).astype(np.float32),
        W_dec=decoder,
        b_dec=biased * 0.1 * random.standard_normal(d).astype(np.float32),
        k=k,
    )


def dense(codes: Codes, m: int) -> np.ndarray:
    z = np.zeros((len(codes.features), m), np.float32)
    np.add.at(z, (np.arange(len(z))[:, None], codes.features), codes.weights)
    return z


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 30),
    d=st.integers(1, 12),
    m=st.integers(1, 70),
    k=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_encode_is_the_definition(n: int, d: int, m: int, k: int, seed: int) -> None:
    sae = random_sae(seed, d, m, min(k, m))
    x = np.random.default_rng(seed + 1).standard_normal((n, d)).astype(np.float32)
    codes = sae.encode(x)

    z = np.maximum((x - sae.b_dec) @ sae.W_enc + sae.b_enc, 0)
    expected = -np.sort(-z, axis=1)[:, : sae.k]
    assert codes.features.dtype == np.uint16
    assert codes.weights.dtype == np.float32
    np.testing.assert_allclose(codes.weights, expected, atol=1e-5, rtol=1e-5)  # values: so ties do not matter
    kept = dense(codes, m)
    np.testing.assert_allclose(
        kept, np.where(kept > 0, z, 0), atol=1e-5, rtol=1e-5
    )  # each weight at its own feature
    np.testing.assert_allclose(sae.decode(codes), kept @ sae.W_dec + sae.b_dec, atol=1e-4)


def test_more_rows_than_a_block_are_encoded_alike() -> None:
    sae = random_sae(0)
    x = np.random.default_rng(1).standard_normal((3000, 8)).astype(np.float32)
    codes = sae.encode(x)
    parts = [sae.encode(x[start : start + 700]) for start in range(0, 3000, 700)]
    np.testing.assert_allclose(codes.weights, np.concatenate([p.weights for p in parts]), atol=1e-5)
    assert (codes.features == np.concatenate([p.features for p in parts])).mean() > 0.999


def test_equal_activations_keep_the_lower_ids() -> None:
    sae = TopKSAE(np.ones((1, 40)), np.zeros(40), np.ones((40, 1)), np.zeros(1), k=3)
    assert sae.encode([[1.0]]).features.tolist() == [[0, 1, 2]]


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.sampled_from([1, 3, 1000]), st.integers(0, 2**32 - 1))
def test_of_whole_numbers_the_strongest_are_exact_and_ties_go_to_lower_ids(
    m: int, k: int, most: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, weight, bias = (
        rng.integers(-most, most + 1, shape).astype(np.float32) for shape in ((5, 3), (3, m), m)
    )
    codes = Encoder(weight, bias).strongest(x, min(k, m))
    values = np.maximum(x @ weight + bias, 0)
    order = np.argsort(-values, axis=1, kind="stable")[:, : min(k, m)]
    expected = np.take_along_axis(values, order, axis=1)
    np.testing.assert_array_equal(codes.weights, expected)
    np.testing.assert_array_equal(codes.features, np.where(expected > 0, order, 0))


def test_unit_codes_reconstruct_unit_vectors() -> None:
    sae = random_sae(2)
    x = np.random.default_rng(3).standard_normal((200, 8)).astype(np.float32)
    unit = sae.encode_unit(x)
    np.testing.assert_allclose(np.linalg.norm(dense(unit, 40) @ sae.W_dec, axis=1), 1, atol=1e-5)


def test_a_root_moves_the_error_to_directions_that_count_less() -> None:
    sae = random_sae(2, biased=False, k=3)
    x = center_and_normalize(np.random.default_rng(3).standard_normal((300, 8)), 0)
    weighted = replace(sae, root=np.diag(np.r_[np.full(2, 3.0), np.ones(6)]).astype(np.float32))
    plain, moved = (np.square(x - s.reconstruct(s.encode_unit(x))).mean(axis=0) for s in (sae, weighted))
    assert moved[:2].mean() < 0.7 * plain[:2].mean()
    assert moved[2:].mean() > plain[2:].mean()
    codes = weighted.encode_unit(x)
    assert (np.diff(codes.weights, axis=1) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(weighted.reconstruct(codes), axis=1), 1, atol=1e-5)
    same = replace(sae, root=np.eye(8, dtype=np.float32)).encode_unit(x)
    np.testing.assert_allclose(same.weights, sae.encode_unit(x).weights, atol=1e-5)


def test_inactive_rows_stay_zero() -> None:
    sae = random_sae(4, biased=False)
    rows = np.zeros((2, 8), np.float32)
    rows[1] = np.nan  # what a host's overflow leaves behind
    unit = sae.encode_unit(rows)
    assert not unit.weights.any()


def test_center_and_normalize() -> None:
    keys = np.random.default_rng(5).standard_normal((4, 3, 8)).astype(np.float16)
    mean = keys[0].astype(np.float32)
    out = center_and_normalize(keys, mean)
    assert out.dtype == np.float32
    assert not out[0].any()
    np.testing.assert_allclose(np.linalg.norm(out[1:], axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(
        out[2] * np.linalg.norm(keys[2] - mean, axis=-1)[:, None], keys[2] - mean, atol=1e-5
    )


def test_measure_of_a_perfect_and_of_a_useless_sae() -> None:
    x = center_and_normalize(np.abs(np.random.default_rng(6).standard_normal((50, 4))), 0)
    perfect = TopKSAE(np.eye(4), np.zeros(4), np.eye(4), np.zeros(4), k=4).measure(x)
    assert perfect.fvu < 1e-10
    assert (perfect.l0, perfect.dead_fraction) == (4, 0)
    useless = TopKSAE(np.eye(4), np.full(4, -1e3), np.eye(4), np.zeros(4), k=4).measure(np.r_[x, -x])
    assert useless.fvu == pytest.approx(1, abs=1e-5)
    assert (useless.l0, useless.dead_fraction) == (0, 1)


def test_threads_share_an_sae() -> None:
    sae = random_sae(7, d=16, m=256, k=8)
    x = np.random.default_rng(8).standard_normal((2000, 16)).astype(np.float32)
    expected, results = sae.encode(x), []
    threads = [threading.Thread(target=lambda: results.append(sae.encode(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result.weights, expected.weights)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k must be a whole number from 1 to 2, not 0"),
        ({"k": 3}, "not 3"),
        ({"b_enc": np.zeros(3)}, r"b_enc must have shape \(2,\), not \(3,\)"),
        ({"W_enc": np.full((1, 2), np.nan)}, "W_enc holds values that are not finite"),
    ],
)
def test_unusable_arrays_are_refused(changes: dict, message: str) -> None:
    good = {
        "W_enc": np.ones((1, 2)),
        "b_enc": np.zeros(2),
        "W_dec": np.ones((2, 1)),
        "b_dec": np.zeros(1),
        "k": 1,
    }
    with pytest.raises(InvalidInputError, match=message):
        TopKSAE(**{**good, **changes})


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"\(n, 8\), not \(3, 7\)"):
        random_sae(9).encode(np.zeros((3, 7)))
