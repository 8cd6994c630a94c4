"""What a notebook shows: every text is text, percents add up, lit words are those that met."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever import Explanation, Profile, Span, WordMatch
from s3_retriever.documents import Copy, Spans
from s3_retriever.shown import grouped, hidden, percents, stretches

HOSTILE = (
    '</td><script>alert("1")</script><img src=x onerror=alert(1)> & \' \u202egnp.exe\u202c\u2066\x00\x1b[31m'
)
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Seen(HTMLParser):
    """The tags of a page, its visible text, and the text in each ``mark``."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.marks: list[str] = []
        self._in: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._in.append(tag)
        if tag == "mark":
            self.marks.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._in.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._in and self._in[-1] == "style":
            return
        self.text += data
        if "mark" in self._in:
            self.marks[-1] += data


def span_of(text: str, *matches: WordMatch, doc_id: str = "a", start: int = 0) -> Span:
    why = Explanation(0.7, 0.3, words=matches)
    end = start + len(text)
    return Span(f"{doc_id}:{start}-{end}", doc_id, start, end, text, 1.5, explanation=why)


def profile_of(doc_id: str, n: int) -> Profile:
    starts = np.arange(n, dtype=np.int64)
    s3, bm25 = np.linspace(2, 3, n, dtype=np.float32), np.ones(n, np.float32)
    ranges = {"density": (3.0, 4.0), "s3": (2.0, 3.0), "bm25": (1.0, 1.0)} if n else {}
    return Profile(doc_id, starts, starts + 1, s3 + bm25, s3, bm25, ranges)


def test_hostile_texts_and_ids_are_text() -> None:
    match = WordMatch(HOSTILE[:12], 0, HOSTILE[5:20], 105, 120, 0.7, 0.3)
    span = span_of(HOSTILE, match, doc_id=HOSTILE, start=100)
    shown = [Spans([span]), span, span.explanation, profile_of(HOSTILE, 3), profile_of(HOSTILE, 0)]
    for one in shown:
        html = one._repr_html_()
        seen = Seen(html)
        assert not seen.tags & {"script", "img"}
        assert not {name for name in seen.attributes if name.startswith("on")} | (
            seen.attributes & {"src", "href"}
        )
        assert not BIDI.search(html)
        assert "\x1b" not in html
        assert "\x00" not in html
    seen = Seen(Spans([span])._repr_html_())
    plain = "".join(hidden(one) or one for one in HOSTILE)
    assert seen.text.count(plain) == 2  # the id and the passage
    assert "U+202E" in plain


def test_words_that_met_are_lit_by_both_sides() -> None:
    text = "The old bridge was painted green."
    matches = [
        WordMatch("painted", 4, "painted", 1019, 1026, 0.5, 0.2),
        WordMatch("bridge", 16, "bridge", 1008, 1014, 0.1, 0.1),
        WordMatch("Who", 0, "bridge", 1008, 1014, 0.1, 0.0),
    ]
    html = Spans([span_of(text, *matches, start=1000)])._repr_html_()
    seen = Seen(html)
    assert seen.marks[:2] == ["bridge", "painted"]
    assert 'title="met bridge: 20%; Who: 10%"' in html
    assert html.count("border-bottom:.2em solid") == 3  # and that of the key
    assert "[1000:1033]" in seen.text
    assert re.findall(r"(\d+) %", seen.text) == ["70", "30", "70", "20", "10"]


def test_where_else_a_passage_stands_is_named_as_text() -> None:
    copies = tuple(Copy(f"copy {i} {HOSTILE}", i, i + 3, 1.0) for i in range(6))
    span = Span("a:0-3", "a", 0, 3, "abc", 1.0, also_in=copies)
    html = Spans([span])._repr_html_()
    seen = Seen(html).text
    assert [f"copy {i} " in seen for i in range(6)] == [True] * 4 + [False] * 2
    assert "[3:6] and 2 more" in seen
    assert not BIDI.search(html)
    assert "<img" not in html
    assert "also in" not in Seen(Spans([Span("a:0-3", "a", 0, 3, "abc", 1.0)])._repr_html_()).text


def test_the_name_that_a_better_passage_gives_is_told_as_text() -> None:
    named = Explanation(0.5, 0.5, named=f"Marek {HOSTILE}")
    html = named._repr_html_()
    assert "named by a better passage: Marek " in Seen(html).text
    assert not BIDI.search(html)
    assert "<img" not in html
    assert "named" not in Seen(Explanation(0.5, 0.5)._repr_html_()).text


def test_what_is_empty_is_said() -> None:
    assert Seen(Spans()._repr_html_()).text == "no span found"
    bias = Span("a:0-3", "a", 0, 3, "abc", 1.0, explanation=Explanation(0.0, 0.0))
    plain = Span("a:0-3", "a", 0, 3, "abc", 1.0)
    for one in (bias, plain):
        seen = Seen(Spans([one])._repr_html_())
        assert "abc" in seen.text
        assert not [text for text in seen.marks if text == "abc"]
    assert Spans([plain]) == [plain]


def test_words_are_grouped_whatever_their_case() -> None:
    matches = [
        WordMatch("Bridge", 0, "bridge", 0, 6, 0.3, 0.1),
        WordMatch("x", 9, "y", 9, 10, 0.35, 0.0),
        WordMatch("bridge", 20, "Bridge", 30, 36, 0.2, 0.05),
    ]
    first, second = grouped(matches)
    assert (first.word, first.text, first.places, first.share) == ("Bridge", "bridge", 2, pytest.approx(0.65))
    assert (second.word, second.places) == ("x", 1)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_percents_add_up(shares: list[float]) -> None:
    found = percents(shares)
    assert sum(found) == (100 if sum(shares) > 0 else 0)
    assert all(
        abs(one - 100 * share / sum(shares)) <= 1 for one, share in zip(found, shares, strict=True) if one
    )


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6))
def test_stretches_are_the_passage(text: str, places: list[tuple[int, int]]) -> None:
    matches = [WordMatch("w", 0, "t", 7 + min(place), 7 + max(place), 0.1, 0.0) for place in places]
    cut = list(stretches(text, 7, matches))
    assert "".join(one.text for one in cut) == text
    at = 7
    for one in cut:
        inside = [match for match in matches if match.start < at + len(one.text) and match.end > at]
        assert sorted(one.matches, key=repr) == sorted(inside, key=repr)
        at += len(one.text)
