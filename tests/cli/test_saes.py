"""The commands ``export``, ``import`` and ``analyze``, on the tiny host and an artifact of it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_set import assert_mistake
from safetensors.numpy import save_file

from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact
from s3_retriever.training.pairs import shipped_pairs

QUICK = ["--layers", "0, 2", "-k", "1,4", "--features", "16", "--steps", "5", "--tokens", "600"]
QUICK += ["--held-out-tokens", "100", "--row-tokens", "50"]


@pytest.fixture
def folder(tmp_path: Path, tiny_artifact: Artifact) -> Path:
    """Holds an artifact, and its SAEs as ``export`` writes them."""
    tiny_artifact.save(tmp_path / "artifact")
    assert main(["export", str(tmp_path / "artifact"), "--out", str(tmp_path / "saes")]) == 0
    return tmp_path


def run_import(folder: Path, saes: str, *more: str) -> int:
    into, out = str(folder / "artifact"), str(folder / "made")
    return main(["import", str(folder / saes), "--into", into, "--out", out, *more])


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
        match = re.fullmatch(rf"tap {tap}: fvu (\S+) on the artifact's fingerprint, (\S+) before", line)
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
    status = run_import(folder, "elsewhere")
    assert_mistake(
        status, capsys.readouterr().err, "s3_retriever.json", "unknown which key head the SAE is for"
    )
    assert not (folder / "made").exists()

    statistics = json.loads((folder / "saes" / "2.1" / "s3_retriever.json").read_text(encoding="utf-8"))
    statistics["mean"] = 16 * [0]
    (folder / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    given = ["--statistics", str(folder / "statistics.json"), "--name", "mine"]
    assert run_import(folder, "elsewhere", *given) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "tap 2.1: fvu 0.000 on the artifact"
    )  # a vector's entries and their signs: all of it
    assert out.endswith("the mean key of 2.1 has changed: calibrate the artifact again\n")
    made = Artifact.load(folder / "made")
    assert made.name == "mine"
    assert made.codecs[0].sae.n_features == tiny_artifact.codecs[0].sae.n_features
    assert made.codecs[1].sae.n_features == 32
    assert made.codecs[1].quality.fvu == pytest.approx(0, abs=1e-6)


def test_mistakes_leave_nothing_behind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    status = main(["export", str(folder / "artifact"), "--out", str(folder / "saes")])
    assert_mistake(status, capsys.readouterr().err, "which is no part of an export")
    for saes in ("absent", "saes/1.0/cfg.json"):
        status = run_import(folder, saes)
        assert_mistake(status, capsys.readouterr().err, "holds no SAE")
    status = run_import(folder, "saes", "--statistics", str(folder / "saes/1.0/s3_retriever.json"))
    assert_mistake(status, capsys.readouterr().err, "--statistics is for one SAE", "holds 2")
    shutil.copytree(folder / "saes" / "1.0", folder / "saes" / "copy")
    status = run_import(folder, "saes")
    assert_mistake(status, capsys.readouterr().err, "are both for tap 1.0")
    assert not (folder / "made").exists()
    status = run_import(folder, "saes/1.0", "--out", str(folder / "saes"))
    assert_mistake(status, capsys.readouterr().err, "which is no part of an artifact")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    documents, _ = shipped_pairs()
    path.write_text(
        "".join(json.dumps({"text": document.text}) + "\n" for document in documents[:20]), encoding="utf-8"
    )
    return path


def analyze(tiny_folder: Path, text: Path, out: Path, *more: str) -> list[str]:
    return ["analyze", str(tiny_folder), "--text", str(text), "--out", str(out), *QUICK, *more]


@pytest.mark.long
def test_analyze_writes_and_prints_a_report(
    tiny_folder: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "analysis"
    assert main(analyze(tiny_folder, text, out)) == 0
    printed, err = capsys.readouterr()
    assert err == ""
    report = (out / "report.md").read_text(encoding="utf-8")
    assert printed == f"{report}\nwrote {out}\n"
    assert report.startswith("# STA analysis of tiny-host\n")
    assert "Dual budget" in report or "No pair of these budgets" in report
    values = json.loads((out / "analysis.json").read_text(encoding="utf-8"))
    assert (values["layers"], values["budgets"]) == ([0, 2], [1, 4])
    assert sorted(path.name for path in out.iterdir()) == ["analysis.json", "report.md"]

    assert main(analyze(tiny_folder, text, out, "--seed", "1")) == 0  # takes the place of the first
    assert json.loads((out / "analysis.json").read_text(encoding="utf-8"))["settings"]["seed"] == 1


@pytest.mark.long
def test_analyze_draws(tiny_folder: Path, text: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "analysis"
    assert main(analyze(tiny_folder, text, out, "--plots")) == 0
    assert {path.name for path in out.glob("*.png")} == {"errors.png", "perplexity.png"}


def test_plots_without_matplotlib_are_refused_at_once(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "analysis"
    assert main(analyze(tmp_path / "no-host", text, out, "--plots")) == 2
    assert capsys.readouterr().err == (
        's3-retriever: error: plots need matplotlib: pip install "s3-retriever[plots]"\n'
    )
    assert not out.exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-k", "2,x"], "-k takes whole numbers, such as 2,8, not '2,x'"),
        (["--layers", "1-3"], "--layers takes whole numbers, such as 2,8, not '1-3'"),
        (["-k", "17"], "17"),
        (["--held-out-tokens", "0"], "--held-out-tokens must be"),
        (["--layers", "4"], "layers are 0 to 3"),
        (["--tokens", "900000"], "the text is too short"),
        (["--text", "missing.jsonl"], "missing.jsonl: No such file or directory"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    tiny_folder: Path,
    text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    out = tmp_path / "analysis"
    assert main(analyze(tiny_folder, text, out, *more)) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_what_is_no_analysis_is_not_replaced(
    tiny_folder: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(analyze(tiny_folder, text, tmp_path)) == 2
    assert "which is no part of an analysis" in capsys.readouterr().err
    assert text.exists()
