"""Matching pursuit: what makes its codes closer than the k strongest activations."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.encode import Codes, TopKSAE, center_and_normalize


def tied_sae(seed: int, d: int, m: int, k: int) -> TopKSAE:
    decoder = center_and_normalize(np.random.default_rng(seed).standard_normal((m, d)), 0)
    return TopKSAE(decoder.T, np.zeros(m), decoder, np.zeros(d), k)


def unit_rows(seed: int, n: int, d: int) -> np.ndarray:
    return center_and_normalize(np.random.default_rng(seed).standard_normal((n, d)), 0)


def rebuilt(sae: TopKSAE, codes: Codes) -> np.ndarray:
    return np.einsum("nk,nkd->nd", codes.weights, sae.W_dec[codes.features])


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 20),
    d=st.integers(1, 12),
    m=st.integers(1, 70),
    k=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 2),
)
def test_codes_are_unit_sorted_distinct_and_not_negative(n: int, d: int, m: int, k: int, seed: int) -> None:
    sae = tied_sae(seed, d, m, min(k, m))
    codes = sae.encode_unit(unit_rows(seed + 1, n, d))
    assert (codes.weights >= 0).all()
    assert (np.diff(codes.weights, axis=1) <= 0).all()
    for features, weights in zip(codes.features, codes.weights, strict=True):
        used = features[weights > 0]
        assert len(set(used.tolist())) == len(used)
    norms = np.linalg.norm(rebuilt(sae, codes), axis=1)
    np.testing.assert_allclose(norms[codes.weights.any(axis=1)], 1, atol=1e-4)


def test_a_sum_of_independent_features_is_found_exactly() -> None:
    random = np.random.default_rng(0)
    sae = TopKSAE(np.eye(16), np.zeros(16), np.eye(16), np.zeros(16), k=4)
    weights = random.uniform(0.2, 1, (50, 16)) * (random.random((50, 16)).argsort(axis=1) < 4)
    x = center_and_normalize(weights, 0)
    codes = sae.encode_unit(x)
    np.testing.assert_allclose(rebuilt(sae, codes), x, atol=1e-5)


def test_weights_are_the_best_for_their_features() -> None:
    sae, x = tied_sae(1, 16, 200, 5), unit_rows(2, 300, 16)
    codes = sae.encode_unit(x)
    atoms = sae.W_dec[codes.features]
    for row in np.flatnonzero((codes.weights > 0.05).all(axis=1))[:100]:  # where the sign does not bind
        best = np.linalg.lstsq(atoms[row].T, x[row], rcond=None)[0]
        np.testing.assert_allclose(codes.weights[row], best / np.linalg.norm(best @ atoms[row]), atol=0.01)


def test_the_error_is_far_below_that_of_the_strongest_activations() -> None:
    sae, x = tied_sae(3, 16, 400, 5), unit_rows(4, 2000, 16)
    strongest = sae.encode(x)
    strongest = Codes(strongest.features, sae.normalized_weights(strongest))
    errors = [np.square(rebuilt(sae, codes) - x).sum() for codes in (strongest, sae.encode_unit(x))]
    assert errors[1] < 0.6 * errors[0]


def test_a_bias_is_taken_off_first() -> None:
    plain, x = tied_sae(5, 8, 60, 4), unit_rows(6, 50, 8)
    bias = np.full(8, 0.3, np.float32)
    moved = TopKSAE(plain.W_enc, plain.b_enc, plain.W_dec, bias, plain.k)
    expected, codes = plain.encode_unit(x), moved.encode_unit(x + bias)
    np.testing.assert_allclose(rebuilt(plain, codes), rebuilt(plain, expected), atol=1e-3)
