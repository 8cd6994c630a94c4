"""The page in a real browser, over a server of the tiny host; ``make page-test`` runs it.

Skipped where there is no browser: Chromium on the path, or at the path in ``S3_BROWSER``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from server.conftest import CONFIG, running

from s3_retriever import Document, Host, S3Retriever
from s3_retriever.encode import Artifact
from s3_retriever.shown import hidden

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = os.environ.get("S3_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser: install Chromium, or set S3_BROWSER to its path"),
]
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is missing: make page-test installs it"
)

REFUSED = "the server responded with a status of 422"  # which Chromium itself says of each
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
QUESTION = "Where does the keeper store the oil?"
HOSTILE_ID = "<img src=x onerror=hacked=1>\"' \u202etxt.exe \ud83d"
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked=1'> the keeper's oil &amp; &lt; "
    "\u202egnp.\u2066exe\x00\x1b[31m \ud83d \u200bend 🧑‍🚀🇳🇴 عربي and עברית oil.\r\n"
)
LONG = (
    "".join(f"Line {i}: nothing of the kind, only cats and number {i * i}.\n" for i in range(3000))
    + "The keeper stores the oil in the cellar of the lighthouse.\n"
    + "".join(f"Line {i}: still only cats, and the number {i * i}.\n" for i in range(600))
)
FERRY = "The ferry to the island leaves the northern quay at nine in the morning, and again at noon. " * 2
DOCUMENTS = [
    Document(
        "town/harbour.txt",
        "The harbour was quiet. " * 30 + "The keeper stores the oil in the cellar. " * 2,
        "The harbour",
        {"year": 1931, "tags": ["sea", "oil"]},
    ),
    Document("bakery", "Bread is baked at four in the morning. The baker sings. " * 12, "", {"year": 2024}),
    Document(HOSTILE_ID, HOSTILE * 4, HOSTILE_ID, {"<b>key</b>": HOSTILE, "year": 1999}),
    Document("long", LONG, "", {"year": 2000}),
    Document("empty", ""),
    Document("printed", "The ferry leaves at nine.\fThe keeper keeps the oil.", pages=(0, 26)),
    Document("timetable", FERRY),
    Document("timetable, again", FERRY),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_host: Host, tiny_artifact: Artifact) -> Path:
    made = S3Retriever.from_documents(DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    folder = tmp_path_factory.mktemp("page") / "index"
    made.save(folder)
    return folder


@pytest.fixture(scope="module")
def served(index: Path, tiny_host: Host) -> Iterator[str]:
    with running(index, tiny_host, poll=1.0) as at:
        yield at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        # Containers have no user namespaces; the page is ours.
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture
def page(browser: Browser, served: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of the size that a test asks for; whatever it says on its console is an error."""
    size = getattr(request, "param", WIDE)
    context = browser.new_context(viewport=size, base_url=served, color_scheme="light")
    made = context.new_page()
    said: list[str] = []
    made.on("console", lambda message: None if REFUSED in message.text else said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("dialog", lambda dialog: said.append(dialog.message))
    made.on("request", lambda one: None if one.url.startswith(served) else said.append(one.url))
    made.set_default_timeout(120_000)
    yield made
    assert not made.evaluate("window.hacked")
    context.close()
    assert not said


both = pytest.mark.parametrize("page", [WIDE, NARROW], ids=["1280", "375"], indirect=True)


def ask(page: Page, question: str = QUESTION) -> None:
    page.goto("/")
    page.get_by_label("Question").fill(question)
    page.get_by_label("Question").press("Enter")
    settled(page)


def settled(page: Page) -> None:
    page.wait_for_load_state("networkidle")  # once after a load
    page.wait_for_selector("[aria-busy=true]", state="detached")


def api(served: str, **asked: Any) -> list[dict[str, Any]]:
    body = {"question": QUESTION, "explain": True, "titles": True, **asked}
    found: list[dict[str, Any]] = httpx.post(f"{served}/search", json=body, timeout=60).json()["spans"]
    return found


def seen(text: str) -> str:
    """Return a text as the page shows it."""
    return "".join(hidden(one) or one for one in text.replace("\r\n", "\n"))


def shown(passages: Locator) -> list[tuple[str, str, str]]:
    """Return title, text and score of passages as they stand in the page."""
    return [
        (
            one.locator("h3 a").text_content() or "",
            one.locator(".words").text_content() or "",
            (one.locator(".score").text_content() or "").removeprefix("score "),
        )
        for one in passages.all()
    ]


def expected(spans: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (seen(span["title"] or span["doc_id"]), seen(span["text"]), f"{span['score']:.3f}") for span in spans
    ]


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    fit: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fit


@both
def test_the_answers_are_those_of_the_api(page: Page, served: str) -> None:
    ask(page)
    found = api(served)
    assert shown(page.locator(".passage")) == expected(found)
    assert len(found) > 1
    assert page.get_by_role("status").text_content().startswith(f"{len(found)} passages from")  # type: ignore[union-attr]
    for card, span in zip(page.locator(".passage").all(), found, strict=True):
        lit = {(mark.text_content(), mark.get_attribute("data-start")) for mark in card.locator("mark").all()}
        # Of overlapping matches, the page cuts out the parts.
        wanted = {(one["text"], str(one["start"])) for one in span["explanation"]["words"]}
        assert {start for _, start in wanted} <= {start for _, start in lit}
        card.locator("summary").click()
        shares = [int(text.split()[0]) for text in card.locator("td.num").all_text_contents()]
        assert sum(shares) == 100
        told = [int(one) for one in re.findall(r"(\d+) %", card.locator("summary").inner_text())]
        assert sum(told) == 100
    assert fits(page)


@both
def test_filters_by_row_and_by_json(page: Page, served: str) -> None:
    page.goto("/")
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Key of condition 1").fill("year")
    page.get_by_label("Operator of condition 1").select_option(label="at most")
    page.get_by_label("Value of condition 1").fill("1999")
    page.get_by_role("button", name="Ask").click()
    settled(page)
    found = api(served, filter={"key": "year", "op": "lte", "value": 1999})
    assert found
    assert {span["doc_id"] for span in found} <= {"town/harbour.txt", HOSTILE_ID}
    assert shown(page.locator(".passage")) == expected(found)
    assert fits(page)
    page.reload()
    settled(page)
    assert page.get_by_label("Value of condition 1").input_value() == "1999"
    assert shown(page.locator(".passage")) == expected(found)
    page.get_by_label("write it as JSON").check()
    assert json.loads(page.get_by_label("Filter as JSON").input_value())["op"] == "lte"
    page.get_by_label("Filter as JSON").fill('{"year": 2024}')
    page.get_by_label("Budget").fill("40")
    page.get_by_role("button", name="Ask").click()
    settled(page)
    assert shown(page.locator(".passage")) == expected(api(served, where={"year": 2024}, token_budget=40))
    page.get_by_label("Filter as JSON").fill('{"year": ')
    page.get_by_role("button", name="Ask").click()
    assert "no JSON" in (page.get_by_role("alert").text_content() or "")
    page.get_by_label("Filter as JSON").fill('{"key": "year", "op": "gt", "value": null}')
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("alert").filter(has_text="year").wait_for()
    assert not page.locator(".passage").first.is_visible()  # they would be of another filter
    page.go_back()
    page.locator(".passage").first.wait_for()


@both
def test_a_passage_opens_its_document_and_peaks_are_jumped_to(page: Page, served: str) -> None:
    ask(page)
    found = [span for span in api(served) if span["doc_id"] == "long"]
    assert found
    best = found[0]
    link = page.locator(".passage", has_text="long").locator("h3 a").first
    link.click()
    settled(page)
    panel = page.locator("#document")
    assert panel.get_by_role("heading", name="long").is_visible()
    here = panel.locator(".in.here")
    assert here.text_content() == seen(best["text"])
    assert in_view(page, here)
    sides = {one.get_attribute("class") for one in panel.locator("#strip rect").all()}
    assert sides == {"s3", "bm25"}
    assert "highest at characters" in (panel.locator("#strip").get_attribute("aria-label") or "")
    peaks = panel.get_by_role("button", name="Peak")
    texts = []
    for i in range(min(3, peaks.count())):
        peaks.nth(i).click()
        settled(page)
        assert peaks.nth(i).get_attribute("aria-current") == "true"
        texts.append(page.url)
    assert len(set(texts)) == len(texts) > 1
    assert fits(page)
    page.go_back()
    settled(page)
    assert page.url == texts[-2]
    page.goto(texts[0])  # a link carries everything
    settled(page)
    assert panel.is_visible()
    assert page.get_by_label("Question").input_value() == QUESTION
    panel.get_by_role("button", name="Close").click()
    settled(page)
    assert not panel.is_visible()
    assert page.locator(".passage").count()


def in_view(page: Page, element: Locator) -> bool:
    box, frame = element.bounding_box(), page.locator("#text").bounding_box()
    assert box is not None
    assert frame is not None
    return box["y"] < frame["y"] + frame["height"] and box["y"] + box["height"] > frame["y"]


def test_a_long_document_is_loaded_around_a_place(page: Page) -> None:
    at = LONG.index("The keeper stores")
    page.goto(f"/?q=oil&doc=long&at={at}-{at + 58}")
    settled(page)
    text = page.locator("#text")
    loaded = len(text.locator(".body").text_content() or "")
    assert loaded < len(LONG) / 2
    assert "The keeper stores the oil" in (text.text_content() or "")
    first = text.locator(".chunk").first
    before = int(first.get_attribute("data-start") or 0)
    assert before > 0
    text.evaluate("one => { one.scrollTop = 0 }")
    page.wait_for_selector(f'#text .chunk[data-start="{before - 6000}"]', state="attached")
    settled(page)
    page.locator("#strip-box").click(position={"x": 3, "y": 20})
    settled(page)
    assert "Line 1: nothing" in (text.text_content() or "")
    body = text.locator(".body").text_content() or ""
    assert LONG.startswith(body[:1000])
    assert body in LONG
    while text.get_by_role("button", name="Show later text").count() and len(body) < 90_000:
        text.get_by_role("button", name="Show later text").click()
        settled(page)
        longer = text.locator(".body").text_content() or ""
        assert longer in LONG
        if len(longer) <= len(body):
            break
        body = longer
    assert len(body) <= 14 * 6000


@both
def test_two_modes_beside_each_other(page: Page, served: str) -> None:
    ask(page)
    page.get_by_label("Compare with").select_option("bm25")
    settled(page)
    columns = page.locator(".column")
    assert columns.count() == 2
    for column, mode in zip(columns.all(), ("hybrid", "bm25"), strict=True):
        found = api(served, mode=mode)
        assert shown(column.locator(".passage")) == expected(found)
        assert column.locator(".tag").count() == len(found)
    boxes = [one.bounding_box() for one in columns.all()]
    wide = page.viewport_size["width"] > 1000  # type: ignore[index]
    assert (boxes[0]["y"] == boxes[1]["y"]) == wide  # type: ignore[index]
    columns.last.locator("h3 a").first.click()
    settled(page)
    assert page.locator("#strip rect.bm25").count()
    assert not page.locator("#strip rect.s3").count()
    assert "by=bm25" in page.url
    assert fits(page)


@both
def test_two_indexes_beside_each_other(
    page: Page, index: Path, tiny_host: Host, tmp_path: Path, served: str
) -> None:
    assert page.goto("/")
    assert page.get_by_label("Compare with").locator("option").count() == 4
    other = S3Retriever.load(index, host=tiny_host)
    hidden_in = "The baker hides the oil in the bakery. <b>Bread</b>"
    other.update([Document("bakery", hidden_in, "", {"year": 2024})], delete=["long"])
    other.save(tmp_path / "last week")
    with running(index, tiny_host, other=tmp_path / "last week") as at:
        made = page.context.new_page()
        said: list[str] = []
        made.on("console", lambda message: said.append(message.text))
        made.on("pageerror", lambda error: said.append(str(error)))
        made.goto(f"{at}/?q={QUESTION}&budget=3000")
        settled(made)
        made.get_by_label("Compare with").select_option(label="the index last week")
        settled(made)
        columns = made.locator(".column")
        assert [one.locator("h2").inner_text().split("\n")[0] for one in columns.all()] == [
            one.format(count)
            for one, count in zip(
                ("index {} passages", "last week {} passages"),
                [len(api(f"{at}{root}", token_budget=3000)) for root in ("", "/other")],
                strict=True,
            )
        ]
        for column, root in zip(columns.all(), ("", "/other"), strict=True):
            found = api(f"{at}{root}", token_budget=3000)
            assert shown(column.locator(".passage")) == expected(found)
            assert column.locator(".tag").count() == len(found)
        assert made.locator(".tag", has_text="not found in last week").count()
        columns.last.locator(".passage", has_text="hides the oil").locator("h3 a").click()
        settled(made)
        assert made.locator("#text .body").text_content() == hidden_in
        columns.first.locator("h3 a").first.click()
        settled(made)
        made.go_back()
        settled(made)
        assert made.locator("#text .body").text_content() == hidden_in
        made.reload()
        settled(made)
        assert made.locator("#text .body").text_content() == hidden_in
        assert made.get_by_label("Compare with").input_value() == "other"
        assert fits(made)
        made.close()
        assert not said


@both
def test_a_passage_names_its_copies(page: Page, served: str) -> None:
    page.goto("/?q=When does the ferry leave?&mode=bm25")
    settled(page)
    spans = api(served, question="When does the ferry leave?", mode="bm25")
    found = next(span for span in spans if span["also_in"])
    copies = page.locator(".passage .also").first
    assert copies.locator("a").all_text_contents() == [one["doc_id"] for one in found["also_in"]]
    copies.locator("a").first.click()
    settled(page)
    assert page.locator("#doc-title").text_content() == found["also_in"][0]["doc_id"]
    assert "The ferry leaves at nine" in (page.locator("#text .body").text_content() or "")
    assert fits(page)


def test_a_passage_names_its_pages(page: Page) -> None:
    page.goto("/?q=ferry&mode=bm25")
    settled(page)
    assert re.search(r"pages? 1", page.locator(".passage .place").first.text_content() or "")


def test_dark_and_light(page: Page) -> None:
    def paper() -> int:
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)[:3]))

    page.goto("/")
    assert paper() > 600
    page.emulate_media(color_scheme="dark")
    assert paper() < 150
    page.get_by_label("Theme").select_option("light")
    assert paper() > 600
    page.get_by_label("Theme").select_option("dark")
    page.emulate_media(color_scheme="light")
    page.reload()
    assert paper() < 150
    assert page.get_by_label("Theme").input_value() == "dark"
    page.get_by_label("Theme").select_option("auto")
    assert paper() > 600


@both
def test_hostile_texts_and_ids_are_text(page: Page, served: str) -> None:
    page.goto("/")
    page.get_by_label("Question").fill(f"{HOSTILE[:60]} oil")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Key of condition 1").fill("year")
    page.get_by_label("Value of condition 1").fill("1999")
    page.get_by_label("Question").press("Enter")
    settled(page)
    found = api(served, question=f"{HOSTILE[:60]} oil", where={"year": 1999})
    assert {span["doc_id"] for span in found} == {HOSTILE_ID}
    assert shown(page.locator(".passage")) == expected(found)
    page.locator(".passage summary").first.click()
    page.locator(".passage h3 a").first.click()
    settled(page)
    assert page.locator("#doc-title").text_content() == seen(HOSTILE_ID)
    assert page.locator("#text .body").text_content() == seen(HOSTILE * 4)
    assert page.locator("img").count() == 0
    assert page.locator("body script").count() == 0
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.locator("main").inner_text())
    assert page.locator("#text .char", has_text="U+202E").count() == 4
    page.locator("#doc-about button", has_text="<b>key</b>").click()
    assert page.get_by_label("Key of condition 2").input_value() == "<b>key</b>"
    assert fits(page)


def test_the_keyboard_alone_will_do(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Question").focus()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    settled(page)
    assert page.evaluate("document.activeElement.id") == "results"
    page.reload()
    settled(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the passages"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.passage') !== null")
    page.keyboard.press("Enter")
    settled(page)
    assert page.evaluate("document.activeElement.id") == "doc-title"
    nameless = page.evaluate(
        """[...document.querySelectorAll("input, select, textarea, button, a")].filter(
             (one) => !one.textContent.trim() && !one.ariaLabel && !one.labels?.length).length"""
    )
    assert nameless == 0


def test_a_question_without_an_answer_says_so(page: Page) -> None:
    page.goto("/")
    settled(page)
    named = page.locator("#document-list li").all_text_contents()
    assert len(named) == len(DOCUMENTS)
    assert named[0] == f"The harbour {len(DOCUMENTS[0].text)} characters"
    page.goto("/?q=zzzxqj&mode=bm25")
    settled(page)
    assert "no passages" in (page.get_by_role("status").text_content() or "")
    assert page.get_by_text("No word of the question stands").is_visible()
    page.goto("/?q=oil&doc=empty")
    settled(page)
    assert page.get_by_text("The document is empty.").is_visible()


def test_a_token_is_asked_for_and_kept(browser: Browser, index: Path, tiny_host: Host) -> None:
    with running(index, tiny_host, token="a secret") as url:  # noqa: S106
        context = browser.new_context(base_url=url)
        page = context.new_page()
        page.goto("/?q=oil")
        page.get_by_label("Token", exact=True).fill("wrong")
        page.get_by_label("Token", exact=True).press("Enter")
        page.get_by_role("alert").filter(has_text="token").wait_for()
        page.get_by_label("Token", exact=True).fill("a secret")
        page.get_by_label("Token", exact=True).press("Enter")
        page.locator(".passage").first.wait_for()
        assert not page.get_by_label("Token", exact=True).is_visible()
        page.reload()
        page.locator(".passage").first.wait_for()
        assert "secret" not in page.url
        context.close()
