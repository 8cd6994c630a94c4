"""The command line as a whole: help, errors, signals."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_set import assert_mistake, write_lines

from s3_retriever.cli.main import COMMANDS, _parser, main
from s3_retriever.cli.shared import Command


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["search", "nowhere", "why?"], "nowhere"),
        (["search", "nowhere", "--queries", "none.jsonl"], "none.jsonl: No such file"),
        (["search", "nowhere"], "give a question, or --queries"),
        (["search", "nowhere", "why?", "--queries", "q.jsonl"], "give a question, or --queries"),
        (["search", "nowhere", "why?", "--out", "run.jsonl"], "--out goes with --queries"),
        (["search", "nowhere", "--queries", "q.jsonl", "--explain"], "--explain go with a single question"),
        (["index", "none.jsonl", "--out", "index"], "none.jsonl is no file and no folder"),
        (["info", "nowhere"], "nowhere"),
    ],
)
def test_other_mistakes_are_one_line(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_mistake(main(arguments), capsys.readouterr().err, part)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["find"],
        ["index", "corpus.jsonl"],
        ["search", "index", "why?", "--token-budget", "0"],
        ["search", "index", "why?", "--token-budget", "many"],
        ["search", "index", "why?", "--mode", "dense"],
        ["search", "index", "why?", "--bias-tokens", "-1"],
        ["search", "index", "why?", "--top-k", "0"],
        ["search", "index", "why?", "--where", "source"],
        ["search", "index", "why?", "--where", "=a.pdf"],
    ],
)
def test_arguments_that_cannot_be_parsed_have_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("s3-retriever: error: ")
    assert line.endswith(" --help)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "--ray", "manuals", "--out", "index"], "'manuals' is no address"),
        (["index", "--ray", "manuals", "notes", "--out", "index"], "'manuals' is no address"),
        (["index", "--out", "index", "--ray", "s3://bucket/manuals"], "'s3://bucket/manuals' is no address"),
        (["index", "notes", "--out", "index", "--ray", ""], "'' is no address"),
        (["serve", "--ray", "index"], "write paths before --ray, or --ray=local"),
        (["serve", "--allowed-host", "a", "index"], "required: DIR; --allowed-host took all that follows"),
        (["mcp", "--http", "--cors-origin", "a", "b"], "write DIR before it"),
        (["evaluate", "--out", "e", "--meth", "s3", "data"], "--methods took all that follows"),
        (["serve", "--allowed-host=a"], "required: DIR (see"),
        (["evaluate", "data", "--methods", "s3"], "required: --out (see"),
        (["search", "--json"], "required: DIR, question (see"),
    ],
)
def test_an_option_that_takes_a_path_for_its_value_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert_mistake(2, capsys.readouterr().err, said)


@pytest.mark.parametrize("address", ["auto", "local", "ray://head:10001", "10.0.0.1:6379", "[::1]:6379"])
def test_addresses_of_clusters_are_understood(address: str) -> None:
    for arguments in (["index", "manuals", "--out", "index"], ["serve", "index"]):
        assert _parser().parse_args([*arguments, "--ray", address]).ray == address
        assert _parser().parse_args([arguments[0], f"--ray={address}", *arguments[1:]]).ray == address


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_shows_examples_and_each_is_understood(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command.name, "--help"])
    assert stopped.value.code == 0
    examples = capsys.readouterr().out.split("example:\n")[1].splitlines()
    assert examples == [f"  s3-retriever {line}" for line in command.examples]
    assert examples
    for line in examples:
        args = _parser().parse_args(shlex.split(line)[1:])
        assert args.run is command.run


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = "".join(capsys.readouterr().out.split())
    for command in COMMANDS:
        assert f"{command.name}{command.summary}".replace(" ", "") in out


@pytest.mark.long
def test_help_and_usage_errors_load_no_model_library() -> None:
    code = "import sys; from s3_retriever.cli.main import _parser; _parser().format_help(); "
    code += "print({'torch', 'transformers', 'numba'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert result.stdout.strip() == "set()"


@pytest.mark.long
def test_as_a_program_it_survives_a_reader_that_leaves(indexed: Path, tmp_path: Path) -> None:
    many = [{"_id": str(i), "text": "Where is the oil?"} for i in range(400)]
    queries = write_lines(tmp_path / "q.jsonl", many)
    command = [
        sys.executable,
        "-m",
        "s3_retriever",
        "search",
        str(indexed / "index"),
        "--queries",
        str(queries),
    ]
    with subprocess.Popen(  # noqa: S603
        [*command, "--host", str(indexed / "host"), "--mode", "bm25"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["query_id"] == "0"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_as_one_to_nowhere(closed: str, indexed: Path) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "s3_retriever", "info"]
    for index, status in ((indexed / "index", 0), (indexed / "nothing", 2)):
        ended = subprocess.run([*command, str(index)], capture_output=True, text=True, check=False)  # noqa: S603
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr
        assert (ended.stdout == "") == (">&-" in closed.split() or status == 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "", "--out", "index"], "argument PATH: is empty"),
        (["index", "manuals", "--out", ""], "argument --out: is empty"),
        (["sync", "manuals", ""], "argument DIR: is empty"),
        (["search", "", "why?"], "argument DIR: is empty"),
        (["info", ""], "argument DIR: is empty"),
        (["serve", "index", "--host", ""], "argument --host: is empty"),
        (["train", "--text", "", "--out", "made"], "argument --text: is empty"),
    ],
)
def test_an_empty_path_is_not_the_working_folder(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell gives one where a variable is not set."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert_mistake(2, capsys.readouterr().err, said)


@pytest.mark.parametrize("command", ["train", "analyze"])
@pytest.mark.parametrize(("text", "said"), [(".", "Is a directory"), ("no.jsonl", "no.jsonl, line 1: no")])
def test_a_text_that_cannot_be_read_is_said_before_a_host_is_loaded(
    command: str,
    text: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "no.jsonl", [{"title": "x"}])
    host = ["no-host"] if command == "analyze" else ["--host", "no-host"]
    assert_mistake(main([command, *host, "--text", text, "--out", "made"]), capsys.readouterr().err, said)
