"""The commands ``export`` and ``import``, on an artifact of the tiny host."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from s3_retriever.cli import main
from s3_retriever.features import Artifact


@pytest.fixture
def folder(tmp_path: Path, tiny_artifact: Artifact) -> Path:
    """Holds an artifact, and its SAEs as ``export`` writes them."""
    tiny_artifact.save(tmp_path / "artifact")
    assert main(["export", str(tmp_path / "artifact"), "--out", str(tmp_path / "saes")]) == 0
    return tmp_path


def run_import(folder: Path, saes: str, *more: str) -> int:
    into, out = str(folder / "artifact"), str(folder / "made")
    return main(["import", str(folder / saes), "--into", into, "--out", out, *more])


def assert_mistake(err: str, *parts: str) -> None:
    assert re.fullmatch(r"s3-retriever: error: .+\n", err), err
    for part in parts:
        assert part in err


def test_what_was_exported_is_imported_unchanged(
    folder: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(folder / "artifact"), "--format", "saelens", "--out", str(folder / "again")]
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{folder / 'again' / tap}: 64 features of 16 dimensions, k = 4" for tap in ("1.0", "2.1")
    ]
    assert run_import(folder, "again") == 0
    out, err = capsys.readouterr()
    assert not err
    for line, tap in zip(out.splitlines(), ("1.0", "2.1"), strict=False):
        match = re.fullmatch(rf"tap {tap}: fvu (\S+) on the keys of the artifact's probe, (\S+) before", line)
        assert match
        assert match[1] == match[2]
    assert out.splitlines()[2:] == [f"wrote {folder / 'made'}"]  # the means are the same
    made = Artifact.load(folder / "made")
    assert made.digest == tiny_artifact.digest
    assert made.name == "made"
    assert made.provenance["import"] == {"1.0": "1.0", "2.1": "2.1"}


def test_an_sae_trained_elsewhere_takes_the_place_of_one(
    folder: Path, tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "elsewhere").mkdir()
    decoder = np.eye(32, 16, dtype=np.float32) - np.eye(32, 16, k=-16, dtype=np.float32)
    weights = {"encoder.weight": decoder, "encoder.bias": np.zeros(32, np.float32)}
    weights |= {"W_dec": decoder, "b_dec": np.zeros(16, np.float32)}
    save_file(weights, folder / "elsewhere" / "sae.safetensors")
    config = {"d_in": 16, "num_latents": 32, "k": 16}
    (folder / "elsewhere" / "cfg.json").write_text(json.dumps(config), encoding="utf-8")

    capsys.readouterr()
    assert run_import(folder, "elsewhere") == 2
    assert_mistake(capsys.readouterr().err, "s3_retriever.json", "unknown which key head the SAE is for")
    assert not (folder / "made").exists()

    statistics = json.loads((folder / "saes" / "2.1" / "s3_retriever.json").read_text(encoding="utf-8"))
    statistics["mean"] = 16 * [0]
    (folder / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    given = ["--statistics", str(folder / "statistics.json"), "--name", "mine"]
    assert run_import(folder, "elsewhere", *given) == 0
    out = capsys.readouterr().out
    assert out.startswith("tap 2.1: fvu 0.000 on the keys")  # a vector's entries and their signs: all of it
    assert out.endswith("the mean key of 2.1 is another: calibrate the artifact again\n")
    made = Artifact.load(folder / "made")
    assert made.name == "mine"
    assert made.codecs[0].sae.n_features == tiny_artifact.codecs[0].sae.n_features
    assert made.codecs[1].sae.n_features == 32
    assert made.codecs[1].quality.fvu == pytest.approx(0, abs=1e-6)


def test_mistakes_leave_nothing_behind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["export", str(folder / "artifact"), "--out", str(folder / "saes")]) == 2
    assert_mistake(capsys.readouterr().err, "saes exists and is not an empty folder")
    for saes in ("absent", "saes/1.0/cfg.json"):
        assert run_import(folder, saes) == 2
        assert_mistake(capsys.readouterr().err, "holds no SAE")
    assert run_import(folder, "saes", "--statistics", str(folder / "saes/1.0/s3_retriever.json")) == 2
    assert_mistake(capsys.readouterr().err, "--statistics is for one SAE", "holds 2")
    shutil.copytree(folder / "saes" / "1.0", folder / "saes" / "copy")
    assert run_import(folder, "saes") == 2
    assert_mistake(capsys.readouterr().err, "are both for tap 1.0")
    assert not (folder / "made").exists()
    assert run_import(folder, "saes/1.0", "--out", str(folder / "saes")) == 2
    assert_mistake(capsys.readouterr().err, "saes exists and is not an artifact")
