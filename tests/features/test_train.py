"""Training the Top-k SAE on data whose sparse structure is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from s3_retriever.errors import InvalidInputError
from s3_retriever.features import center_and_normalize
from s3_retriever.features.train import TrainConfig, _Training, train_sae

QUICK = TrainConfig(
    n_features=64, k=4, steps=300, batch_size=512, learning_rate=1e-2, warmup=20, dead_after=5000
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are trained fastest by one thread, by far so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sparse_data(n: int = 8000, d: int = 32, atoms: int = 48, active: int = 3, seed: int = 0) -> np.ndarray:
    """Positive combinations of a few of ``atoms`` random directions."""
    random = np.random.default_rng(seed)
    dictionary = center_and_normalize(random.standard_normal((atoms, d)), 0)
    codes = np.zeros((n, atoms), np.float32)
    chosen = random.random((n, atoms)).argsort(axis=1)[:, :active]
    np.put_along_axis(codes, chosen, random.uniform(0.5, 1.5, (n, active)).astype(np.float32), axis=1)
    return center_and_normalize(codes @ dictionary, 0)


def test_sparse_structure_is_recovered_and_unit_norm_holds() -> None:
    sae, report = train_sae(sparse_data(), QUICK)
    assert report.held_out.fvu < 0.1
    assert report.train.fvu < 0.1
    assert report.held_out.l0 <= 4
    assert report.steps == 300
    np.testing.assert_allclose(np.linalg.norm(sae.W_dec, axis=1), 1, atol=1e-5)


def test_a_seed_fixes_the_result() -> None:
    data, config = sparse_data(2000), replace(QUICK, steps=40)
    (first, _), (again, _) = train_sae(data, config), train_sae(data, config)
    other, _ = train_sae(data, replace(config, seed=1))
    np.testing.assert_array_equal(first.W_enc, again.W_enc)
    np.testing.assert_array_equal(first.W_dec, again.W_dec)
    assert not np.array_equal(first.W_dec, other.W_dec)


@pytest.mark.parametrize(("k_aux", "least", "most"), [(0, 0.6, 1.0), (4, 0.0, 0.1)])
def test_only_auxk_revives_dead_features(k_aux: int, least: float, most: float) -> None:
    config = replace(QUICK, k=3, k_aux=k_aux)
    data = torch.from_numpy(sparse_data(4000, d=24, active=2))
    training = _Training(config, data, None, torch.Generator().manual_seed(0))
    with torch.no_grad():
        training.bias[:40] = -1  # no unit vector activates these 40 of 64
    for step in range(config.steps):
        training.step(step)
    assert least <= training.sae().measure(data.numpy()).dead_fraction <= most


def test_the_metric_decides_which_directions_are_kept() -> None:
    data = np.random.default_rng(2).standard_normal((4000, 16)).astype(np.float32)
    data = center_and_normalize(data, 0)
    weights = np.r_[np.full(4, 50.0), np.ones(12)]
    config = replace(QUICK, k=3)

    def error(metric: np.ndarray | None) -> np.ndarray:
        sae, _ = train_sae(data, config, metric=metric)
        return np.square(data - sae.decode(sae.encode(data))).mean(axis=0)

    plain, weighted = error(None), error(np.diag(weights))
    assert weighted[:4].mean() < 0.7 * plain[:4].mean()
    assert weighted[4:].mean() > plain[4:].mean()


def test_half_precision_and_few_rows_train() -> None:
    _, report = train_sae(sparse_data(10).astype(np.float16), replace(QUICK, steps=5))
    assert np.isfinite(report.held_out.fvu)


@pytest.mark.parametrize(
    "changes",
    [{"k": 0}, {"k": 65}, {"steps": 0}, {"n_features": 70_000}, {"learning_rate": 0.0}, {"dead_after": 0}],
)
def test_unusable_settings_are_refused(changes: dict) -> None:
    with pytest.raises(InvalidInputError, match=str(next(iter(changes.values())))):
        replace(QUICK, **changes)


def test_unusable_data_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"n >= 2, not \(1, 4\)"):
        train_sae(np.ones((1, 4), np.float32), QUICK)
    with pytest.raises(InvalidInputError, match="not finite"):
        train_sae(np.full((5, 4), np.inf, np.float16), QUICK)
    with pytest.raises(InvalidInputError, match="semi-definite"):
        train_sae(np.ones((5, 2), np.float32), QUICK, metric=np.diag([3.0, -1.0]))
