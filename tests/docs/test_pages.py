"""Every page is right: its code runs as pasted, its commands are understood, its links lead somewhere.

A code block runs after those above it on the page, in an empty folder. A ``text`` block right below it is
what it prints. ``<!-- not run: why -->`` above a block leaves it out.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from s3_retriever.cli.main import COMMANDS, _parser, main
from s3_retriever.documents import Document, Span

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "integrations/*/README.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+ -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$"
    r"(\n\n^```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"(\d+\.\d+)")
LINK = re.compile(r"\]\(([^)\s#]+)")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
RUN = ("README.md", "docs/guide/command-line.md")
CORPUS = '{"_id": "a.pdf", "text": "The tide is highest at new moon.", "metadata": {"source": "a.pdf"}}\n'
QUESTIONS = '{"_id": "1", "text": "When is the tide highest?"}\n'


class Block(NamedTuple):
    """A block of a page."""

    kind: str
    body: str
    printed: str | None
    line: int


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, kind: str) -> list[Block]:
    text = text_of(page)
    return [
        Block(kind, match["body"], match["printed"], text.count("\n", 0, match.start("body")))
        for match in BLOCK.finditer(text)
        if match["kind"] == kind and not match["skip"]
    ]


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of every command in a page's console blocks, and of those in its text."""
    for block in blocks(page, "console"):
        for line in re.findall(r"^\$ (.*)$", block.body.replace("\\\n", ""), re.MULTILINE):
            yield from (shlex.split(command, comments=True) for command in line.split(" && "))
    for code in re.findall(r"`(s3-retriever [^`\n]*--out[^`\n]*|make [a-z-]+[^`\n]*)`", text_of(page)):
        yield shlex.split(code)


def assert_same(printed: str, expected: str) -> None:
    """Compare texts, whose decimal numbers may differ by a twentieth: processors sum in other orders."""
    ours, theirs = NUMBER.split(printed), NUMBER.split(expected)
    assert ours[::2] == theirs[::2], printed
    assert list(map(float, ours[1::2])) == pytest.approx(list(map(float, theirs[1::2])), rel=0.05), printed


@pytest.mark.host
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_code_runs_as_pasted(
    page: str, one_host: None, empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        code = "\n" * block.line + block.body  # so that a traceback names the line of the page
        exec(compile(code, page, "exec"), names)  # noqa: S102
        printed = capsys.readouterr().out
        if block.printed is not None:
            assert_same(printed, block.printed)


@pytest.mark.host
@pytest.mark.parametrize("page", RUN)
def test_everyday_commands_run(
    page: str, one_host: None, empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("corpus.jsonl").write_text(CORPUS, encoding="utf-8")
    Path("questions.jsonl").write_text(QUESTIONS, encoding="utf-8")
    ours = [words[1:] for words in commands(page) if words[0] == "s3-retriever"]
    assert {command[0] for command in ours} >= {"index", "search"}
    for command in ours:
        assert main(command) == 0, command
        if command[:3] == ["search", "my-index", "When is the tide highest?"]:
            assert "The tide is highest at new moon." in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_understood(page: str) -> None:
    for words in commands(page):
        understand(words)


def understand(words: list[str]) -> None:
    match words:
        case ["s3-retriever", *arguments] | ["python", "-m", "s3_retriever", *arguments]:
            try:
                _parser().parse_args(arguments)
            except SystemExit as error:
                pytest.fail(f"{shlex.join(words)}: {error}")
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), words
        case ["pip", "install", *packages]:
            for package in packages:
                extra = re.search(r"\[(\w+)\]", package)
                project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
                assert extra is None or re.search(rf"^{extra[1]} = \[", project, re.MULTILINE), words
                assert not package.startswith(".") or (ROOT / package.partition("[")[0]).is_dir(), words
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module), words
        case ["python" | "pytest", path, *_]:
            assert (ROOT / path.partition("::")[0]).exists(), words
        case ["docker", "build" | "run", *_]:
            assert (ROOT / "Dockerfile").is_file()
        case ["git" | "cd" | "export", *_]:
            pass
        case _:
            pytest.fail(f"nobody knows {shlex.join(words)!r}")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    """As a reader of the repository follows them; the site checks its own, with their anchors."""
    for link in LINK.findall(
        re.sub(r"^```.*?^```|`[^`\n]*`", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    ):
        assert "://" in link or ((ROOT / page).parent / link).exists(), link


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize(
    ("package", "page"),
    [
        ("s3_retriever", "docs/api/core.md"),
        ("llama_index.retrievers.s3", "docs/api/llama_index.md"),
        ("langchain_s3_retriever", "docs/api/langchain.md"),
    ],
)
def test_all_public_names_are_on_the_api_pages(package: str, page: str) -> None:
    shown = set(re.findall(r"^::: (\S+)", text_of(page), re.MULTILINE))
    for name in importlib.import_module(package).__all__:
        raised = name.endswith(("Error", "Warning")) and f"{package}.errors" in shown
        documented = raised or f"{package}.{name}" in shown
        assert documented, name


def test_few_blocks_are_left_out() -> None:
    marks = sum(text_of(page).count("<!-- not run: ") for page in PAGES)
    assert marks <= 10


def test_the_page_of_the_command_line_has_all_commands() -> None:
    page = (ROOT / "docs/guide/command-line.md").read_text(encoding="utf-8").partition("## All commands")[2]
    assert {command.name for command in COMMANDS} <= set(re.findall(r"`([a-z-]+)`", page))


def test_the_page_of_the_server_has_all_fields_of_spans_and_documents() -> None:
    page = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
    names = {field.name for kind in (Span, Document) for field in fields(kind)}
    assert names <= set(re.findall(r'"([a-z_0-9]+)"', page))
