"""Mistakes in ``evaluate`` and ``needles``; what they measure is tested with the evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_set import assert_mistake

from s3_retriever.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["evaluate", "data", "--quick", "--lengths"], "with --lengths, ask fewer --questions"),
        (["evaluate", "data", "--questions", "0"], "error: --questions must be"),
        (["evaluate", "data", "--read-up-to", "0"], "error: --read-up-to must be"),
        (["evaluate", "data", "--methods", "s3", "s3"], "error: --methods must be"),
        (["needles", "--per-depth", "0"], "error: --per-depth must be"),
        (["needles", "--distractors", "-1"], "error: --distractors must be"),
        (["needles", "--text", "a.txt", "--data", "data"], "give --text or --data, not both"),
        (["needles", "--text", "a.txt"], "a.txt: No such file"),
    ],
)
def test_a_mistake_is_one_line_in_terms_of_options_and_writes_nothing(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_mistake(main([*arguments, "--out", "out"]), capsys.readouterr().err, part)
    assert list(tmp_path.iterdir()) == []
