"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Host
from s3_retriever.cli import _parser, main
from s3_retriever.host import FAMILIES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CORPUS = '{"_id": "a.pdf", "text": "The tide is highest at new moon.", "metadata": {"source": "a.pdf"}}\n'
QUESTIONS = '{"_id": "1", "text": "When is the tide highest?"}\n'
LONG = ("train", "calibrate", "fit", "pairs", "evaluate", "needles", "analyze")
COMMANDS = re.findall(r"^\$ s3-retriever (.*)$", README, re.MULTILINE)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.jsonl").write_text(CORPUS, encoding="utf-8")
    Path("questions.jsonl").write_text(QUESTIONS, encoding="utf-8")


@pytest.mark.host
def test_the_code_runs(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("my_model", "my_fused"):
        monkeypatch.setitem(FAMILIES, name, None)  # so that they are taken out again
        del FAMILIES[name]
    names: dict[str, Any] = {
        "question": "When do neap tides come?",
        "documents": ["Neap tides come a week later."],
        "model": host.model,
        "tokenizer": host.tokenizer,
    }
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", README, re.DOTALL)):
        exec(compile(code, f"README.md, block {number}", "exec"), names)  # noqa: S102
    first = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"tides 0 \d+ [\d.]+ Spring tides follow the new and the full moon\..*", first)
    assert names["retriever"].host.model is host.model


@pytest.mark.host
def test_the_commands_run(capsys: pytest.CaptureFixture[str]) -> None:
    quick = [shlex.split(command, comments=True) for command in COMMANDS if command.split()[0] not in LONG]
    assert {command[0] for command in quick} >= {"index", "search", "info"}
    for command in quick:
        assert main(command) == 0, command
    assert '"doc_id": "a.pdf"' in Path("run.jsonl").read_text(encoding="utf-8")
    assert capsys.readouterr().out.count("The tide is highest at new moon.") == 2


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith(LONG)])
def test_the_long_commands_are_understood(command: str) -> None:
    arguments = shlex.split(command, comments=True)
    assert _parser().parse_args(arguments).out == Path(arguments[arguments.index("--out") + 1])
