"""The calibration on disk, and what heads look like."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_set import DOCUMENTS, PAIRS, SCAN
from rich.console import Console

from s3_retriever.encode import Artifact
from s3_retriever.encode.calibration import Calibration
from s3_retriever.errors import ArtifactError, InvalidInputError, MissingDependencyError
from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.training.calibrate import CalibrateConfig, calibrate_heads
from s3_retriever.training.heatmap import heat_table, save_heat_map

HEADS = (QueryHead(1, 3), QueryHead(0, 1))
QUICK = CalibrateConfig(epochs=1, passage_cells=16, passages=3)


@pytest.fixture(scope="module")
def made(tiny_host: Host) -> Calibration:
    made, corpus = calibrate_heads(
        tiny_host, "made", HEADS, DOCUMENTS, PAIRS, config=QUICK, report={"seen": 1}, scan_config=SCAN
    )
    assert tuple(made.key_means) == corpus.taps
    np.testing.assert_array_equal(list(made.key_means.values()), corpus.key_means)
    return made


def test_what_is_loaded_is_saved_bit_for_bit(made: Calibration, tmp_path: Path) -> None:
    made.save(tmp_path / "one")
    loaded = Calibration.load(tmp_path / "one")
    loaded.save(tmp_path / "two")
    for name in ("calibration.json", "calibration.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert loaded.taps == (Tap(0, 0), Tap(1, 1))
    assert loaded.query_heads == HEADS
    assert loaded.report["seen"] == 1
    assert loaded.report["pairs"] == len(PAIRS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_damage_and_other_folders_are_named(made: Calibration, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    made.save(folder)
    tensors = folder / "calibration.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="truncated or altered"):
        Calibration.load(folder)
    header = folder / "calibration.json"
    header.write_text(json.dumps({**json.loads(header.read_text(encoding="utf-8")), "version": 9}))
    with pytest.raises(ArtifactError, match="format version 9; this release reads up to 2"):
        Calibration.load(folder)
    with pytest.raises(ArtifactError, match="no calibration"):
        Calibration.load(tmp_path)
    with pytest.raises(InvalidInputError, match="is no part of a calibration"):
        made.save(tmp_path)


def test_parts_that_do_not_fit_are_refused(made: Calibration) -> None:
    first, second = made.key_means.values()
    with pytest.raises(ArtifactError, match="a calibration needs at least one tap"):
        replace(made, key_means={})
    with pytest.raises(ArtifactError, match=r"query head 1\.3 asks tap 1\.1, which the calibration does not"):
        replace(made, key_means={Tap(0, 0): first, Tap(3, 1): second})
    with pytest.raises(ArtifactError, match="of a calibration must fit 2 taps of dimension 16"):
        replace(made, key_means={Tap(0, 0): first, Tap(1, 1): second[:3]})
    with pytest.raises(ArtifactError, match="of a calibration must fit 3 taps"):
        replace(made, key_means={**made.key_means, Tap(3, 1): first})


def test_an_artifact_without_its_saes_is_a_calibration(tiny_artifact: Artifact, tmp_path: Path) -> None:
    Calibration.of(tiny_artifact).save(tmp_path / "of")
    loaded = Calibration.load(tmp_path / "of")
    again = loaded.with_saes(tiny_artifact.name, tiny_artifact.codecs)
    assert again.digest == tiny_artifact.digest


def test_heads_are_needed(tiny_host: Host) -> None:
    with pytest.raises(InvalidInputError, match="needs query heads"):
        calibrate_heads(tiny_host, "none", (), DOCUMENTS, PAIRS, scan_config=SCAN)


RECALLS = {QueryHead(0, 0): 0.5, QueryHead(0, 1): 0.0, QueryHead(2, 0): 0.25}


def test_a_heat_table_shows_each_head_in_its_layer() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(heat_table(RECALLS, [QueryHead(0, 0)]))
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["layer", "0", "1"],
        ["0", "█50*", "0"],
        ["2", "▒25"],
    ]
    assert heat_table({QueryHead(0, 0): 0.0}).row_count == 1  # nothing found is no division by zero


def test_a_heat_map_is_a_png_or_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "heads.png"
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match=r"s3-retriever\[plots\]"):
            save_heat_map(path, RECALLS)
        return
    save_heat_map(path, RECALLS, [QueryHead(0, 0)], title="tiny")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [one.name for one in tmp_path.iterdir()] == ["heads.png"]
