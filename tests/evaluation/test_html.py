"""The report: escaped, well-formed, without anything from outside, and readable on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from html_page import BROWSER, Page, seen_in_browser
from village_set import write_jsonl

from s3_retriever.evaluation.evaluate import EvaluateConfig, run_evaluation
from s3_retriever.evaluation.methods import WindowSystem
from s3_retriever.host import Host

pytestmark = pytest.mark.long

# What runs says so on the console, of which seen_in_browser would complain.
HOSTILE = (
    '</p><script>console.log("1")</script><img src=x onerror="console.log(2)"> \' autofocus onfocus=log(3) "'
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, wide_host: Host) -> Path:
    """A report about hostile text: in documents, titles, ids, questions, answers and the set's methods."""
    folder = tmp_path_factory.mktemp("html")
    text = f"{HOSTILE} Nobody knows. " * 8 + "\ud83d The sluice opens at noon."
    evidence = {"doc_id": HOSTILE, "start": len(text) - 25, "end": len(text)}
    write_jsonl(folder / "data" / "corpus.jsonl", [{"_id": HOSTILE, "title": HOSTILE, "text": text}])
    questions = [
        {"_id": "a", "text": f"When does {HOSTILE} open?", "answers": [HOSTILE], "evidence": [evidence]},
        {"_id": "b", "text": "W" * 300, "evidence": [evidence | {"end": len(text) - 1}]},
    ]
    write_jsonl(folder / "data" / "queries.jsonl", questions)
    systems = [WindowSystem(8, ["window-bm25"]), WindowSystem(16, ["window-bm25"])]
    config = EvaluateConfig(methods=("window-bm25",), budgets=(8, 16, 32))
    run_evaluation(folder / "data", folder / "out", config, host=wide_host, systems=systems)
    return folder / "out" / "report.html"


def test_the_page_is_well_formed_and_escaped(report: Path) -> None:
    page = Page()
    source = report.read_text(encoding="utf-8")
    page.feed(source)
    page.close()
    assert source.startswith("<!DOCTYPE html>")
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert HOSTILE in "".join(page.text)  # as text
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_nothing_is_fetched(report: Path) -> None:
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    links = [value or "" for name, value in page.attributes if name in ("href", "src", "action", "data")]
    assert all(link.startswith("data:") for link in links)
    style = re.search(r"<style>.*</style>", report.read_text(encoding="utf-8"), re.DOTALL)
    assert style and "url(" not in style[0] and "@import" not in style[0]
    assert ("name", "viewport") in page.attributes
    assert "@media print" in style[0]


def test_every_plot_is_there(report: Path) -> None:
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", report.read_text(encoding="utf-8"))
    assert captions[0] == "Evidence recall by token budget, mean of the sets"
    assert captions[-1] == "Median time of a question, by corpus length"
    assert page.tags.count("figure") == len(captions) >= 3


def test_the_worst_questions_show_what_was_found_and_what_was_not(report: Path) -> None:
    source = report.read_text(encoding="utf-8")
    assert "Where window-bm25" in source
    assert "It should have returned" in source
    assert "<mark>The sluice opens at noon" in source


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [375, 1100])
def test_a_browser_shows_it_without_complaints(report: Path, tmp_path: Path, width: int) -> None:
    wide, drawings = seen_in_browser(report, width, tmp_path)
    assert wide <= width  # the page itself never scrolls sideways
    assert drawings >= 3
