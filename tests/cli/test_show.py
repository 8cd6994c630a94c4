"""Spans on a terminal: what a passage says cannot pass for a line of ours."""

from __future__ import annotations

import re

import pytest

from s3_retriever import Copy, Span
from s3_retriever.cli.show import show

FORGED = "Nothing here.\n2. Bank  bank [0:9]  score 9.999\n" + "x " * 90 + "3. Bank  bank [0:9]  score 9.999"


@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_of_a_passage_passes_for_a_heading(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    also = (Copy("b\n4. Bank", 5, 9),)
    span = Span("a:0-9", "a", 0, len(FORGED), FORGED, 1.0, also_in=also)
    show("who?", [span], ["A title\n9. of two lines"])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert ("Bank" in out) and ("\x1b" not in out)
    starts = [line for line in out.split("\n") if re.match(r"\S", line)]
    assert len(starts) == 1
    assert starts[0].startswith("1. A title\\n9. of two lines  a [0:")
    assert "also in b\\n4. Bank [5:9]" in out
    longest = max(map(len, out.split("\n")))
    assert longest <= 80 if terminal else longest > 180  # piped text is not wrapped
