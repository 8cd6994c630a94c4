"""The command ``analyze``, over a copy of the tiny host."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever.cli import main
from s3_retriever.features.pairs import shipped_pairs

QUICK = ["--layers", "0, 2", "-k", "1,4", "--features", "16", "--steps", "5", "--tokens", "600"]
QUICK += ["--held-out-tokens", "100", "--row-tokens", "50"]


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> Path:
    folder = tmp_path_factory.mktemp("host") / "tiny-host"
    tiny_model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    documents, _ = shipped_pairs()
    path.write_text(
        "".join(json.dumps({"text": document.text}) + "\n" for document in documents[:20]), encoding="utf-8"
    )
    return path


def command(host: Path, text: Path, out: Path, *more: str) -> list[str]:
    return ["analyze", str(host), "--text", str(text), "--out", str(out), *QUICK, *more]


def test_analyze_writes_and_prints_a_report(
    host: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "analysis"
    assert main(command(host, text, out)) == 0
    printed, err = capsys.readouterr()
    assert err == ""
    report = (out / "report.md").read_text(encoding="utf-8")
    assert printed == f"{report}\nwrote {out}\n"
    assert report.startswith("# STA analysis of tiny-host\n")
    assert "Dual budget" in report or "No pair of these budgets" in report
    values = json.loads((out / "analysis.json").read_text(encoding="utf-8"))
    assert (values["layers"], values["budgets"]) == ([0, 2], [1, 4])
    assert sorted(path.name for path in out.iterdir()) == ["analysis.json", "report.md"]

    assert main(command(host, text, out, "--seed", "1")) == 0  # takes the place of the first
    assert json.loads((out / "analysis.json").read_text(encoding="utf-8"))["settings"]["seed"] == 1


def test_analyze_draws(host: Path, text: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "analysis"
    assert main(command(host, text, out, "--plots")) == 0
    assert {path.name for path in out.glob("*.png")} == {"errors.png", "perplexity.png"}


def test_plots_without_matplotlib_are_refused_at_once(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "analysis"
    assert main(command(tmp_path / "no-host", text, out, "--plots")) == 2
    assert capsys.readouterr().err == (
        's3-retriever: error: plots need matplotlib: pip install "s3-retriever[plots]"\n'
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-k", "2,x"], "-k takes whole numbers, such as 2,8, not '2,x'"),
        (["--layers", "1-3"], "--layers takes whole numbers, such as 2,8, not '1-3'"),
        (["-k", "17"], "k=17, n_features=16"),
        (["--layers", "4"], "layers are 0 to 3"),
        (["--tokens", "900000"], "the text is too short"),
        (["--text", "missing.jsonl"], "missing.jsonl: No such file or directory"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    host: Path,
    text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    out = tmp_path / "analysis"
    assert main(command(host, text, out, *more)) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_what_is_no_analysis_is_not_replaced(
    host: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(host, text, tmp_path)) == 2
    assert "exists and holds no analysis" in capsys.readouterr().err
    assert text.exists()
