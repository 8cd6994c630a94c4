"""Training all taps of a scan, interrupted at every stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_set import DOCUMENTS, SCAN

from s3_retriever.encode import center_and_normalize
from s3_retriever.errors import CheckpointError
from s3_retriever.host import Host, Tap
from s3_retriever.host.scan import ScannedPiece, scan
from s3_retriever.training.fit import SAEOptions, train_taps
from s3_retriever.training.resume import TrainingFolder
from s3_retriever.training.sae_training import Epoch, TrainConfig, train_sae

TAPS = (Tap(0, 0), Tap(1, 1))
SETTINGS = {"host": "tiny", "text": "documents"}
QUICK = TrainConfig(n_features=32, k=4, steps=20, batch_size=64, warmup=2, epoch_steps=5)


class Interruption(Exception):
    pass


@pytest.fixture(scope="module")
def pieces(tiny_host: Host) -> list[ScannedPiece]:
    return list(scan(DOCUMENTS, tiny_host, TAPS, SCAN))


@pytest.fixture
def folder(tmp_path: Path, pieces: list[ScannedPiece]) -> TrainingFolder:
    return TrainingFolder.collect(tmp_path / "run", pieces, TAPS, 10_000, SETTINGS)


def unreadable() -> Iterator[ScannedPiece]:
    pytest.fail("the scan ran again")
    yield  # a generator, as the scan is


def test_keys_are_those_of_the_scan_and_are_scanned_once(
    folder: TrainingFolder, pieces: list[ScannedPiece]
) -> None:
    expected = np.concatenate([piece.keys for piece in pieces]).astype(np.float16)
    again = TrainingFolder.collect(folder.path, unreadable(), TAPS, 10_000, SETTINGS)
    assert again == folder
    assert (folder.n_keys, folder.dim) == (len(expected), 16)
    for t, tap in enumerate(TAPS):
        np.testing.assert_array_equal(again.keys(tap), expected[:, t])


def test_no_more_is_read_than_asked_for(tmp_path: Path, pieces: list[ScannedPiece]) -> None:
    most = len(pieces[0].keys) + 3

    def some() -> Iterator[ScannedPiece]:
        yield from pieces[:2]
        pytest.fail("read beyond the tokens asked for")

    folder = TrainingFolder.collect(tmp_path / "run", some(), TAPS, most, SETTINGS)
    assert folder.keys(TAPS[1]).shape == (most, 16)


def test_a_scan_that_was_interrupted_begins_anew(tmp_path: Path, pieces: list[ScannedPiece]) -> None:
    def broken() -> Iterator[ScannedPiece]:
        yield pieces[0]
        raise Interruption

    with pytest.raises(Interruption):
        TrainingFolder.collect(tmp_path / "run", broken(), TAPS, 10_000, SETTINGS)
    folder = TrainingFolder.collect(tmp_path / "run", pieces, TAPS, 10_000, SETTINGS)
    assert len(folder.keys(TAPS[0])) == sum(len(piece.keys) for piece in pieces)


@pytest.mark.long
def test_an_interrupted_run_trains_no_tap_twice(folder: TrainingFolder) -> None:
    seen: list[tuple[Tap, int]] = []

    def stop(tap: Tap, epoch: Epoch) -> None:
        seen.append((tap, epoch.step))
        if seen == [(TAPS[0], step) for step in (5, 10, 15, 20)] + [(TAPS[1], 5)]:
            raise Interruption

    with pytest.raises(Interruption):
        train_taps(folder, {}, {}, SAEOptions(QUICK, on_epoch=stop))
    trained = train_taps(folder, {}, {}, SAEOptions(QUICK, on_epoch=stop))
    assert seen[5:] == [(TAPS[1], step) for step in (10, 15, 20)]
    assert [codec.tap for codec in trained] == list(TAPS)
    for codec in trained:
        keys = folder.keys(codec.tap)
        np.testing.assert_allclose(codec.mean, keys.mean(axis=0, dtype=np.float64), atol=1e-6)
        straight, report = train_sae(center_and_normalize(keys, codec.mean), QUICK)
        np.testing.assert_array_equal(codec.sae.W_dec, straight.W_dec)
        assert codec.quality == report.quality


@pytest.mark.long
def test_given_means_and_queries_are_used(folder: TrainingFolder) -> None:
    means = {TAPS[0]: np.ones(16, np.float32)}
    queries = {TAPS[1]: np.eye(16, dtype=np.float32)}
    last: dict[Tap, Epoch] = {}
    first, _ = train_taps(folder, means, queries, SAEOptions(QUICK, on_epoch=last.__setitem__))
    np.testing.assert_array_equal(first.mean, means[TAPS[0]])
    assert last[TAPS[0]].recall_kept is None
    assert last[TAPS[1]].recall_kept is not None


def test_a_folder_of_another_run_is_refused(folder: TrainingFolder) -> None:
    mistakes = [
        (TAPS, 10_000, {**SETTINGS, "host": "other"}, r"keys\.json .* host was 'tiny', now 'other'"),
        (TAPS[:1], 10_000, SETTINGS, r"taps was \['0\.0', '1\.1'\], now \['0\.0'\]"),
        (TAPS, 99, SETTINGS, "max_tokens was 10000, now 99"),
    ]
    for taps, most, settings, message in mistakes:
        with pytest.raises(CheckpointError, match=message.replace(" .* ", r" .*\(")):
            TrainingFolder.collect(folder.path, unreadable(), taps, most, settings)
    train_taps(folder, {}, {}, SAEOptions(QUICK))
    with pytest.raises(CheckpointError, match="k was 4, now 5"):
        train_taps(folder, {}, {}, SAEOptions(replace(QUICK, k=5)))


@pytest.mark.parametrize("name", ["keys.json", "keys-1.1.f16"])
def test_damaged_files_are_named(folder: TrainingFolder, name: str) -> None:
    file = folder.path / name
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match=f"{name} is damaged .*delete .*again"):
        again = TrainingFolder.collect(folder.path, unreadable(), TAPS, 10_000, SETTINGS)
        train_taps(again, {}, {}, SAEOptions(QUICK))


@pytest.mark.long
def test_a_folder_is_removed_but_nothing_of_others(folder: TrainingFolder) -> None:
    train_taps(folder, {}, {}, SAEOptions(QUICK))
    (folder.path / "notes.txt").touch()
    folder.remove()
    assert [file.name for file in folder.path.iterdir()] == ["notes.txt"]
    (folder.path / "notes.txt").unlink()
    folder.remove()
    assert not folder.path.exists()
