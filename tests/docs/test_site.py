"""What the site's own checks find; ``make docs`` runs them on the pages themselves."""

from __future__ import annotations

import logging
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mkdocs", reason="the site is built by make docs, with the extra docs")
DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))


@pytest.fixture(scope="module")
def hooks() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "mkdocs_hooks.py"))


def warnings_about(
    html: str, hooks: dict[str, Any], site: Path, caplog: pytest.LogCaptureFixture
) -> list[str]:
    (site / "guide").mkdir()
    (site / "guide" / "other.html").write_text('<h2 id="here">Here</h2>', encoding="utf-8")
    (site / "index.html").write_text(html, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        hooks["on_post_build"](SimpleNamespace(site_dir=str(site)))
    return caplog.messages


@pytest.mark.long
@pytest.mark.parametrize(
    ("html", "wrong"),
    [
        ('<a href="guide/other.html#here">', ""),
        ('<a href="https://example.org/x"><img src="data:image/png;base64,aa">', ""),
        ('<a href="guide/none.html">', "leads nowhere"),
        ('<a href="guide/other.html#there">', "names no place"),
        ('<a href="#there">', "names no place"),
        ('<img src="none.svg">', "leads nowhere"),
        ('<script src="https://example.org/x.js"></script>', "from elsewhere"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "from elsewhere"),
    ],
)
def test_links_are_followed(
    html: str, wrong: str, hooks: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    messages = warnings_about(html, hooks, tmp_path, caplog)
    assert len(messages) == bool(wrong)
    assert not wrong or wrong in messages[0]


def test_links_lead_to_what_the_site_has(hooks: dict[str, Any]) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="guide/hosts.md"))
    text = "[a](../../README.md#start) [b](../format.md) [c](../../examples/demo.py) `[d](e.md)` [f](https://g.h)"
    moved = hooks["on_page_markdown"](text, page, None, None)
    assert moved == (
        "[a](../index.md#start) [b](../format.md) [c](../files/examples/demo.py) `[d](e.md)` [f](https://g.h)"
    )


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_load_nothing(picture: Path) -> None:
    drawn = re.sub(r"<!--.*?-->|xmlns=\S+", "", picture.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "://" not in drawn
    assert "<text" in drawn


def test_the_terminal_is_drawn_with_its_colours() -> None:
    script = runpy.run_path(str(DOCS / "pictures" / "search.py"))
    drawn = script["draw"]("1. \x1b[1;33mdefault\x1b[0m value")
    assert script["QUESTION"].partition("'")[0].replace(" ", "&#160;") in drawn
    assert re.search(r">default</text>", drawn)
    assert "://" not in re.sub(r"<!--.*?-->|xmlns=\S+", "", drawn, flags=re.DOTALL)
