"""Training the SAE on data whose sparse structure is known, with interruptions and without."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from s3_retriever.encode import TopKSAE, center_and_normalize
from s3_retriever.errors import CheckpointError, InvalidInputError
from s3_retriever.training.optimize import SAETrainer
from s3_retriever.training.sae_training import Epoch, TrainConfig, TrainReport, stalled, train_sae

QUICK = TrainConfig(
    n_features=64, k=4, steps=300, batch_size=512, learning_rate=1e-2, warmup=20, dead_after=5000
)


def sparse_data(n: int = 8000, d: int = 32, atoms: int = 48, active: int = 3, seed: int = 0) -> np.ndarray:
    """Positive combinations of a few of ``atoms`` random directions."""
    random = np.random.default_rng(seed)
    dictionary = center_and_normalize(random.standard_normal((atoms, d)), 0)
    codes = np.zeros((n, atoms), np.float32)
    chosen = random.random((n, atoms)).argsort(axis=1)[:, :active]
    np.put_along_axis(codes, chosen, random.uniform(0.5, 1.5, (n, active)).astype(np.float32), axis=1)
    return center_and_normalize(codes @ dictionary, 0)


def some_queries(n: int = 300, d: int = 32) -> np.ndarray:
    return np.random.default_rng(9).standard_normal((n, d)).astype(np.float32)


def assert_same(first: TopKSAE, second: TopKSAE) -> None:
    for name in ("W_enc", "b_enc", "W_dec"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def untimed(report: TrainReport) -> list[Epoch]:
    return [replace(epoch, seconds=0) for epoch in report.epochs]


@pytest.mark.long
def test_sparse_structure_is_recovered_and_unit_norm_holds() -> None:
    data = sparse_data()
    sae, report = train_sae(data, QUICK)
    assert report.quality.fvu < 0.02
    assert report.quality.l0 <= 4
    top = sae.decode(sae.encode(data))
    assert np.square(data - top).sum() / np.square(data).sum() < 0.15  # the encoder alone
    np.testing.assert_allclose(np.linalg.norm(sae.W_dec, axis=1), 1, atol=1e-5)
    assert sae.measure(data).dead_fraction == 0


@pytest.mark.long
def test_without_pursuit_the_decoder_learns_for_the_largest_activations() -> None:
    """On dense data the two picks differ most."""
    random = np.random.default_rng(0)
    data = center_and_normalize(random.standard_normal((4000, 16)) / np.arange(1, 17) ** 0.5, 0)
    errors = []
    for pursue in (True, False):
        sae, _ = train_sae(data, replace(QUICK, pursue=pursue, min_gain=0))
        errors.append(np.square(data - sae.decode(sae.encode(data))).sum())
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.long
def test_a_seed_fixes_the_result() -> None:
    data, config = sparse_data(2000), replace(QUICK, steps=40)
    (first, _), (again, _) = train_sae(data, config), train_sae(data, config)
    other, _ = train_sae(data, replace(config, seed=1))
    assert_same(first, again)
    assert not np.array_equal(first.W_dec, other.W_dec)


@pytest.mark.long
@pytest.mark.parametrize(("k_aux", "least", "most"), [(0, 0.6, 1.0), (4, 0.0, 0.1)])
def test_only_auxk_revives_dead_features(k_aux: int, least: float, most: float) -> None:
    config = replace(QUICK, k=3, k_aux=k_aux)
    data = sparse_data(4000, d=24, active=2)
    trainer = SAETrainer(config, data, np.arange(len(data)))
    trainer.bias[:40] = -1  # no unit vector activates these 40 of 64
    for _ in range(config.steps):
        trainer.step(config.learning_rate)
    assert least <= trainer.sae().measure(data).dead_fraction <= most
    assert least <= trainer.dead.mean() <= most


@pytest.mark.long
def test_the_metric_decides_which_directions_are_kept() -> None:
    data = np.random.default_rng(2).standard_normal((4000, 16)).astype(np.float32)
    data = center_and_normalize(data, 0)
    queries = some_queries(500, 16) * np.r_[np.full(4, 7.0), np.ones(12)].astype(np.float32)
    config = replace(QUICK, k=3)

    def run(query_metric: bool) -> tuple[np.ndarray, Epoch]:
        sae, report = train_sae(data, replace(config, query_metric=query_metric), queries=queries)
        left = data - sae.reconstruct(sae.encode_unit(data))
        return np.square(left).mean(axis=0), report.epochs[-1]

    (plain, before), (weighted, after) = run(False), run(True)
    assert weighted[:4].mean() < 0.9 * plain[:4].mean()
    assert weighted[4:].mean() > plain[4:].mean()
    assert after.fvu > before.fvu
    assert before.fvu_metric is not None
    assert after.fvu_metric is not None
    assert after.fvu_metric < before.fvu_metric
    assert before.recall_kept is not None
    assert after.recall_kept is not None
    assert after.recall_kept > before.recall_kept


@pytest.mark.long
def test_every_epoch_is_measured() -> None:
    seen: list[Epoch] = []
    config = replace(QUICK, steps=50, epoch_steps=20)
    _, report = train_sae(sparse_data(), config, queries=some_queries(), on_epoch=seen.append)
    assert tuple(seen) == report.epochs
    assert [epoch.step for epoch in seen] == [20, 40, 50]
    assert report.epochs[-1].step == 50
    fvus = [epoch.fvu for epoch in seen]
    assert fvus == sorted(fvus, reverse=True)
    assert seen[-1].fvu == pytest.approx(report.quality.fvu)  # 400 keys are held out: all are measured
    assert seen[-1].l0 == pytest.approx(report.quality.l0)
    recalls = [epoch.recall_kept for epoch in seen]
    assert all(recall is not None and 0.5 < recall <= 1 for recall in recalls)
    assert 0 < seen[0].seconds < seen[-1].seconds == report.epochs[-1].seconds
    _, without = train_sae(sparse_data(), config)
    assert [(e.fvu, e.fvu_metric, e.recall_kept) for e in without.epochs] == [(v, None, None) for v in fvus]


@pytest.mark.long
def test_keys_kept_exactly_keep_all_recall() -> None:
    data = np.eye(8, dtype=np.float32)[np.random.default_rng(0).integers(8, size=4000)]
    _, report = train_sae(data, replace(QUICK, n_features=32), queries=some_queries(d=8))
    assert report.epochs[-1].recall_kept == pytest.approx(1, abs=0.05)


@pytest.mark.long
def test_a_run_that_stalls_cools_down_and_ends() -> None:
    noise = np.random.default_rng(3).standard_normal((8000, 32)).astype(np.float32)
    data = center_and_normalize(sparse_data() + 0.05 * noise, 0)
    config = replace(QUICK, batch_size=64, steps=600, epoch_steps=20, cool_down=0.1, min_gain=0.05)
    _, full = train_sae(data, replace(config, min_gain=0))
    _, report = train_sae(data, config)
    assert full.epochs[-1].step == 600
    assert report.epochs[-1].step < 600
    losses = [epoch.fvu for epoch in report.epochs]
    began = (report.epochs[-1].step - 60) // 20
    assert stalled(losses[:began], config.patience, config.min_gain)
    assert not any(stalled(losses[:n], config.patience, config.min_gain) for n in range(began))
    assert losses[-1] < losses[began - 1]  # what the cool-down is for


def test_half_precision_and_few_rows_train() -> None:
    _, report = train_sae(
        sparse_data(10).astype(np.float16), replace(QUICK, steps=5), queries=some_queries(1)
    )
    assert np.isfinite(report.quality.fvu)


class Interruption(Exception):
    pass


@pytest.mark.long
@pytest.mark.parametrize("query_metric", [False, True])
def test_a_run_goes_on_from_its_checkpoint_as_if_never_interrupted(
    tmp_path: Path, query_metric: bool
) -> None:
    data, queries, path = sparse_data(), some_queries(), tmp_path / "8.0.safetensors"
    config = replace(QUICK, steps=70, epoch_steps=10, dead_after=2000, query_metric=query_metric)

    def stop(epoch: Epoch) -> None:
        if epoch.step in (20, 50):
            raise Interruption

    expected, whole = train_sae(data, config, queries=queries)
    steps = []
    for _ in range(2):
        with pytest.raises(Interruption):
            train_sae(data, config, queries=queries, checkpoint=path, on_epoch=stop)
    sae, report = train_sae(
        data, config, queries=queries, checkpoint=path, on_epoch=lambda epoch: steps.append(epoch.step)
    )
    assert steps == [60, 70]  # nothing was done twice
    assert_same(sae, expected)
    assert untimed(report) == untimed(whole)
    again, same = train_sae(data, config, queries=queries, checkpoint=path, on_epoch=stop)
    assert_same(again, expected)
    assert same == report
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.long
def test_an_early_stop_is_not_forgotten(tmp_path: Path) -> None:
    data, path = sparse_data(2000), tmp_path / "state"
    config = replace(QUICK, epoch_steps=10, patience=1, min_gain=1.0, cool_down=0.1)  # stalls at once

    def stop(epoch: Epoch) -> None:
        if epoch.step == 30:
            raise Interruption

    _, whole = train_sae(data, config)
    assert whole.epochs[-1].step == 50
    with pytest.raises(Interruption):
        train_sae(data, config, checkpoint=path, on_epoch=stop)
    _, report = train_sae(data, config, checkpoint=path)
    assert untimed(report) == untimed(whole)


CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from s3_retriever.training.sae_training import TrainConfig, train_sae
folder = Path(sys.argv[1])
config = TrainConfig(**json.loads((folder / "config.json").read_text()))
train_sae(np.load(folder / "keys.npy"), config, checkpoint=folder / "state")
"""


@pytest.mark.long
def test_a_killed_process_loses_less_than_an_epoch(tmp_path: Path) -> None:
    data, config = sparse_data(), replace(QUICK, steps=20_000, epoch_steps=2, min_gain=0)
    np.save(tmp_path / "keys.npy", data)
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)))
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)])  # noqa: S603
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "state").exists():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.kill()
        assert child.wait() == (-signal.SIGKILL if sys.platform != "win32" else 1)
    reached: list[int] = []

    def stop(epoch: Epoch) -> None:
        reached.append(epoch.step)
        raise Interruption

    with pytest.raises(Interruption):
        train_sae(data, config, checkpoint=tmp_path / "state", on_epoch=stop)
    assert reached[0] > 2
    straight = SAETrainer(config, data, np.random.default_rng([0, 0]).permutation(8000)[400:])
    while straight.steps < reached[0]:
        straight.step(1e-2 * min((straight.steps + 1) / 21, 1))
    np.testing.assert_array_equal(load_file(tmp_path / "state")["decoder"], straight.decoder)


@pytest.mark.parametrize(
    ("changes", "rows", "message"),
    [
        ({"k": 5, "seed": 3}, 500, "k was 4, now 5, seed was 0, now 3"),
        ({}, 499, "keys was '[0-9a-f]{16}', now '[0-9a-f]{16}'"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, changes: dict, rows: int, message: str
) -> None:
    config, path = replace(QUICK, steps=2), tmp_path / "8.0.safetensors"
    train_sae(sparse_data(500), config, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        train_sae(sparse_data(500)[:rows], replace(config, **changes), checkpoint=path)
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path, config = tmp_path / "8.0.safetensors", replace(QUICK, steps=2)
    train_sae(sparse_data(500), config, checkpoint=path)
    for content in (path.read_bytes()[:-100], b"", b"\xff" * 50):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"8.0.safetensors is damaged .* delete it to start again"):
            train_sae(sparse_data(500), config, checkpoint=path)


@pytest.mark.parametrize(
    "changes",
    [
        {"k": 0},
        {"k": 65},
        {"steps": 0},
        {"n_features": 70_000},
        {"learning_rate": 0.0},
        {"dead_after": 0},
        {"cool_down": 1.5},
        {"patience": 0},
        {"seed": -1},
    ],
)
def test_unusable_settings_are_refused(changes: dict) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"{next(iter(changes))} must be .*, not {next(iter(changes.values()))}"
    ):
        replace(QUICK, **changes)


def test_unusable_data_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"n >= 2, not \(1, 4\)"):
        train_sae(np.ones((1, 4), np.float32), QUICK)
    with pytest.raises(InvalidInputError, match="not finite"):
        train_sae(np.full((5, 4), np.inf, np.float16), QUICK)
    with pytest.raises(InvalidInputError, match=r"\(n, 4\), not \(3, 2\)"):
        train_sae(np.ones((5, 4), np.float32), QUICK, queries=np.ones((3, 2)))
    with pytest.raises(InvalidInputError, match="not all zero"):
        train_sae(np.ones((5, 4), np.float32), QUICK, queries=np.zeros((3, 4)))
    with pytest.raises(InvalidInputError, match="query_metric needs queries"):
        train_sae(np.ones((5, 4), np.float32), replace(QUICK, query_metric=True))
