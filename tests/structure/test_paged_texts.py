"""What stands at the borders of pages: furniture, and sentences that go on overleaf."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_corpus import build, scan

from s3_retriever.index import CELL
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import select_spans
from s3_retriever.structure import Kind, find_units

TOLD = [
    "In the winter each keeper who walks to the tower takes oil with him.",
    "The light is lit at nine. A boat that comes later waits outside.",
    "Nobody may fish from the pier. The bell is rung in fog.",
    "Ropes are kept dry. Each ship pays for its own berth.",
    "The old crane was sold. Its place is empty now.",
    "Ice comes in January. The ferry does not leave then.",
    "Gulls nest on the roof. The keeper lets them be.",
    "Letters are brought on Monday. There are few of them.",
]


def joined(pages: list[str]) -> tuple[str, tuple[int, ...]]:
    """The text of some pages, without form feeds, and where each begins."""
    begins = [sum(map(len, pages[:i])) for i in range(len(pages))]
    return "".join(pages), tuple(begins)


def of_kind(kind: Kind, text: str, pages: tuple[int, ...] = ()) -> list[str]:
    """The units of a kind, without white space around."""
    found = find_units(text, pages)
    borders = [*found.starts.tolist(), len(text)]
    kinds = found.kinds.tolist()
    return [text[borders[i] : borders[i + 1]].strip() for i in range(len(kinds)) if kinds[i] == kind]


def furniture(text: str, pages: tuple[int, ...] = ()) -> list[str]:
    return of_kind(Kind.FURNITURE, text, pages)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", ""])
def test_running_heads_of_pages_that_are_told_are_furniture(end: str) -> None:
    heads = [f"Chapter 2: Rules of the harbour {i}" for i in range(1, 9)]
    text, begins = joined([f"{head}\n{told}{end}" for head, told in zip(heads, TOLD, strict=True)])
    assert furniture(text) == []
    assert furniture(text, begins) == heads


@pytest.mark.parametrize(
    "line", ["Rules of the harbour {i} / 8", "Rules of Voss {i}/8", "{i}/8 Rules of Voss"]
)
def test_running_heads_may_say_how_many_pages_there_are(line: str) -> None:
    heads = [line.format(i=i) for i in range(1, 9)]
    text, begins = joined([f"{head}\n{told}\n" for head, told in zip(heads, TOLD, strict=True)])
    assert furniture(text, begins) == heads


def test_pages_that_are_told_are_counted_also_if_they_are_empty() -> None:
    pages = [f"{told}\n{i}\n" for i, told in enumerate(TOLD, 1)]
    pages[3:6] = ["", "", ""]
    text, begins = joined(pages)
    assert furniture(text, begins) == ["1", "2", "3", "7", "8"]


def test_form_feeds_tell_no_pages_where_the_document_does() -> None:
    text, begins = joined([f"Rules of the harbour\n{told}\n\f" for told in TOLD])
    assert furniture(text, begins) == furniture(text) == ["Rules of the harbour"] * 8
    assert furniture(text, (0,)) == furniture(text)


def test_pages_are_told_for_the_pieces_of_a_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text, begins = joined([f"{told}\n\nHarbour, sheet {i}\n\n" for i, told in enumerate(TOLD * 20, 1)])
    monkeypatch.setattr("s3_retriever.structure.units._PIECE", 1 << 12)
    assert len(furniture(text, begins)) == 160


def test_an_index_has_the_furniture_of_the_pages_of_its_documents() -> None:
    text, begins = joined([f"Rules of the harbour\n{told}\n" for told in TOLD])
    paged = scan("a", len(text) // 2, 0, text)
    unpaged = replace(paged, document=replace(paged.document, id="b"))
    paged = replace(paged, document=replace(paged.document, pages=begins))
    units = build([paged, unpaged]).units
    kinds = [units.of(document).kinds.tolist().count(Kind.FURNITURE) for document in (0, 1)]
    assert kinds == [8, 0]


@given(st.lists(st.text("ab.1- \n\r\f\u4e00", max_size=30), min_size=1, max_size=8), st.booleans())
def test_units_tile_a_text_with_any_pages(pages: list[str], even: bool) -> None:
    text, begins = joined(pages)
    found = find_units(text, begins if even else tuple(min(at, len(text) // 2) for at in begins))
    starts = found.starts.tolist()
    assert starts == sorted(set(starts))
    assert not starts or (starts[0] == 0 and starts[-1] < len(text))
    assert bool(starts) == bool(text)


OVERLEAF = "When a boat asks for a berth of its own, the"


def paged(lines: dict[int, str], n: int, *, below: bool = False, head: str = "") -> str:
    """Pages of which some, counted from 1, have a line above or below their text, under a head."""
    told = [f"{TOLD[i % 8]}\nThe keeper said so in letter {37 * i * i + 5}." for i in range(n)]
    pages = [
        [told[i - 1], lines[i]]
        if below and i in lines
        else [lines[i], told[i - 1]]
        if i in lines
        else [told[i - 1]]
        for i in range(1, n + 1)
    ]
    return "\f".join("\n".join([*([head] if head else []), *page]) + "\n" for page in pages)


@pytest.mark.parametrize("head", ["", "The harbour of Voss"])
@pytest.mark.parametrize("at", [(1, 3, 5), (2, 4, 7), (1, 2, 7), (2, 5, 6)])
@pytest.mark.parametrize("line", ["DESCRIPTION", "Output:", OVERLEAF, "</reply>", "0 1 2 3 4 5 6 7 8 9"])
def test_a_line_at_borders_of_a_few_pages_is_text(line: str, at: tuple[int, ...], head: str) -> None:
    for below in (False, True):
        text = paged(dict.fromkeys(at, line), 7, below=below, head=head)
        assert set(furniture(text)) <= {head}


def test_a_line_that_stands_within_pages_as_well_is_text() -> None:
    heads = dict.fromkeys(range(4, 9), "DESCRIPTION")
    assert furniture(paged(heads, 12)) == ["DESCRIPTION"] * 5
    within = "\n".join(["", *TOLD[:3], "DESCRIPTION", *TOLD[3:]])
    assert furniture(paged(heads, 12).replace(" letter", f" letter{within}")) == []


@pytest.mark.parametrize(
    "at", [range(1, 13), range(2, 13), range(1, 13, 2), range(5, 8), [1, 2, 3, 5, 6, 8], range(3, 11, 2)]
)
def test_a_line_on_most_pages_or_those_of_a_chapter_is_furniture(at: Sequence[int]) -> None:
    for below in (False, True):
        text = paged(dict.fromkeys(at, "Of lamps and oil"), 12, below=below)
        assert furniture(text) == ["Of lamps and oil"] * len(at)


@pytest.mark.parametrize("numbers", [("2006.", "1999.", "2006."), ("17", "404", "23"), ("12", "12", "12")])
def test_a_lone_number_that_counts_no_pages_is_text(numbers: tuple[str, ...]) -> None:
    for below in (False, True):
        text = paged(dict(zip((2, 3, 6), numbers, strict=True)), 9, below=below)
        assert furniture(text) == []


@pytest.mark.parametrize(
    ("at", "numbers"),
    [
        (range(1, 13), [str(i) for i in range(1, 13)]),
        (range(1, 13), [str(i + 345) for i in range(1, 13)]),
        ((2, 6, 11), ["1", "5", "10"]),  # the first pages of chapters; the others have their numbers in heads
        ((11, 13, 16, 20, 23), ["1", "3", "6", "10", "13"]),  # the same, behind ten pages of contents
        ((1, 2, 3, 5, 6, 7), ["ii", "iii", "iv", "- 1 -", "- 2 -", "- 3 -"]),
        ((2, 4), ["Page 2", "4 of 12"]),
    ],
)
def test_lone_numbers_that_count_pages_are_furniture(at: Sequence[int], numbers: list[str]) -> None:
    for below in (False, True):
        text = paged(dict(zip(at, numbers, strict=True)), max(12, *at), below=below)
        assert furniture(text) == numbers


GOES_ON = "In the winter each keeper who walks to the tower by the road of the old"
REST = "harbour takes oil with him."


def overleaf(above: str, below: str, between: str = "\n\f") -> str:
    """Five pages with heads and numbers, the second of which ends and the third begins so."""
    bodies = [*TOLD[:5]]
    bodies[1] += f" {above}"
    bodies[2] = f"{below} {bodies[2]}"
    pages = [f"Rules of the harbour\n\n{body}\n\n{i}" for i, body in enumerate(bodies, 1)]
    return between.join(pages)


@pytest.mark.parametrize("below", [REST, "harbour, and of the pier."])
def test_a_sentence_that_goes_on_overleaf_is_one_unit(below: str) -> None:
    text = overleaf(GOES_ON, below)
    whole = f"{GOES_ON}\n\n2\n\fRules of the harbour\n\n{below}"
    assert whole in of_kind(Kind.PROSE, text)
    assert furniture(text).count("Rules of the harbour") == 4
    assert "1" in furniture(text)
    assert "2" not in furniture(text)
    begins = tuple(i + 1 for i in range(len(text)) if text[i] == "\f")
    told, pages = text.replace("\f", " "), (0, *begins)
    found = find_units(told, pages)
    assert found.starts.tolist() == find_units(text).starts.tolist()


@pytest.mark.parametrize("between", ["\n\f", "\n\n\n\f\n\n", "\f"])
def test_a_sentence_goes_on_over_pages_without_furniture(between: str) -> None:
    text = between.join([f"Oil is dear. {GOES_ON}", f"{REST} The bell is rung in fog."])
    assert of_kind(Kind.PROSE, text) == [
        "Oil is dear.",
        f"{GOES_ON}{between}{REST}",
        "The bell is rung in fog.",
    ]


def test_an_item_goes_on_overleaf() -> None:
    text = overleaf(f"\n\n- Oil is dear.\n- {GOES_ON}", REST)
    assert f"- {GOES_ON}\n\n2\n\fRules of the harbour\n\n{REST}" in of_kind(Kind.LIST, text)
    assert "Nobody may fish from the pier." in of_kind(Kind.PROSE, text)


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (f"{GOES_ON} harbour.", REST),
        (f"{GOES_ON} harbour (and the new one.)", REST),
        (f"{GOES_ON} harbour:", REST),
        (GOES_ON, "Harbours take oil."),
        ("\n\nthe rope", "the oil and the lamp"),
        (
            "\n\nname = value of the lamp of the tower of the harbour",
            "other = value of the lamp of the tower",
        ),
    ],
)
def test_what_ends_on_a_page_or_begins_one_is_a_unit_by_itself(above: str, below: str) -> None:
    assert len(furniture(overleaf(above, below))) == 10


FILLED = """The lamp of the north tower was lit by the keeper each night of
the year, and the boats that came in after nine were led to the
pier by its light, as is told in the book that was kept by"""


@pytest.mark.parametrize(
    "below",
    [
        "Smith and the others who came to the tower in the winter. It",
        "1898 and in the years after it by the keeper of the tower. It",
        "(by others in the summer) and in the years after it in DNA. It",
        "Anna Lane.",
    ],
)
def test_a_sentence_goes_on_overleaf_with_a_name_or_a_number_below_a_full_line(below: str) -> None:
    rest = "\nis red." if below.endswith("It") else ""
    text = overleaf(f"\n\n{FILLED}", f"{below}{rest}\n\n")
    sentence = f"{FILLED}\n\n2\n\fRules of the harbour\n\n{below.removesuffix(' It')}"
    assert sentence in of_kind(Kind.PROSE, text)


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (f"{FILLED} Ann.", "Smith and the others came to the tower in the winter by boat."),
        (FILLED[:-20], "Smith and the others came to the tower in the winter by boat."),
        (FILLED, "Rules of the Lamp\nThe lamp is lit at nine, and all boats wait for its light."),
        (FILLED, "RULES OF THE LAMP AND OF THE KEEPER WHO LIGHTS IT IN THE TOWER"),
        (FILLED, "4. Smith and the others came to the tower in the winter by boat."),
        (FILLED, "2.1 Smith and the others\n\nThey came to the tower in the winter."),
        (FILLED, "Lamp: the one that burns in the tower of the harbour at night."),
        (FILLED.split("\n")[-1], "Smith and the others came to the tower in the winter by boat."),
    ],
)
def test_a_capital_or_a_number_overleaf_begins_anew(above: str, below: str) -> None:
    assert len(furniture(overleaf(f"\n\n{above}", f"{below}\n\n"))) == 10


def test_a_rule_within_a_page_ends_a_sentence() -> None:
    text = f"{TOLD[0]} {GOES_ON}\n\n-----\n\n{REST}"
    assert furniture(text) == ["-----"]
    assert REST in of_kind(Kind.PROSE, text)


def cut(text: str) -> Page:
    starts = np.array([match.start() for match in re.finditer(r" ?\w+|\s+|.", text, re.DOTALL)], np.uint32)
    return Page(text, starts, find_units(text))


def test_a_passage_has_the_whole_of_a_sentence_that_goes_on_overleaf() -> None:
    text = overleaf(GOES_ON, REST)
    page, begin, end = cut(text), text.index(GOES_ON), text.index(REST) + len(REST)
    first, last = page.token_range(begin, end)
    for token in range(first, last - 3):
        units = page.passage((token, token + 3), 500)
        assert units is not None
        assert text[slice(*page.characters(*units))].strip() == text[begin:end]


LINES = st.sampled_from(
    [GOES_ON, REST, *TOLD[:3], "Rules of the harbour", "\f", "\n", "7", "- Oil", "1 Oil", "and the lamp"]
)


@given(st.lists(LINES, min_size=1, max_size=30), st.integers(1, 60), st.integers(0, 9))
def test_passages_over_pages_keep_within_the_budget(lines: list[str], budget: int, seed: int) -> None:
    page = cut("\n".join(lines))
    cells = np.array([0, -(-len(page.starts) // CELL)])
    density = np.random.default_rng(seed).random(cells[1])
    spans = select_spans(density, cells, budget=budget, document=lambda _: page, count_tokens=None)
    assert sum(span.last_token - span.first_token for span in spans) <= budget
    assert all(page.text[span.start : span.end].strip() for span in spans)


FARES = [[f"Port{i}", f"Ship{i * 7 % 11}", f"{i * 13 % 90 + 10}.50", f"{1950 + i}"] for i in range(48)]
COLUMNS = ["Port", "Ferry", "Fare", "Since"]


def in_columns(cells: list[str]) -> str:
    return "".join(cell.ljust(12) for cell in cells).rstrip()


@pytest.mark.parametrize("written", [in_columns, "\t".join])
def test_a_row_overleaf_has_the_header_of_its_table(written: Callable[[list[str]], str]) -> None:
    rows = [written(row) for row in FARES]
    parts = [rows[i : i + 8] for i in range(0, len(rows), 8)]
    parts[0][:0] = [written(COLUMNS)]
    text = "\f".join(
        "Fares of the harbour\n\n" + "\n".join(part) + f"\n\nPage {i}\n" for i, part in enumerate(parts, 1)
    )
    assert len(furniture(text)) == 12
    for row in (rows[3], rows[8], rows[47]):
        assert cut(text).header(text.index(row)) == written(COLUMNS)


def test_a_head_on_a_single_page_is_furniture_where_others_have_the_same_numbers() -> None:
    heads = [f"Chapter {1 + i // 6}: Rules of the harbour {i}" for i in range(1, 21)]
    heads[8:10] = ["Ropes 9", "Chapter 3: Hemp 10"]
    heads[14] = "15 Lamps 5.4"
    text, begins = joined([f"{head}\n{TOLD[i % 8]}\n" for i, head in enumerate(heads)])
    assert furniture(text, begins) == heads
    heads[8], heads[9], heads[14] = "Room 10", "Take all 3 of the 12 ropes", "Lamp 15 5"
    text, begins = joined([f"{head}\n{TOLD[i % 8]}\n" for i, head in enumerate(heads)])
    assert furniture(text, begins) == [*heads[:8], *heads[10:14], *heads[15:]]
    numbers = [f"{told}\nRules of the harbour {i}\n" for i, told in enumerate(TOLD, 1)]
    text, begins = joined([f"Record {i}\n{page}" for i, page in enumerate(numbers, 1)])
    assert len(furniture(text, begins)) == 8


def test_a_reference_to_a_page_is_no_page_number() -> None:
    text = paged({3: "(p. 58)."}, 9, below=True)
    assert furniture(text) == []


def test_a_page_that_begins_within_a_word_begins_no_line() -> None:
    text = "The keeper lights the lamp at six. He goes home at nine."
    expected = ["The keeper lights the lamp at six.", "He goes home at nine."]
    assert of_kind(Kind.PROSE, text, (0, 6, 6, 40)) == of_kind(Kind.PROSE, text) == expected


def test_pages_of_one_long_line_each_have_no_furniture() -> None:
    text, begins = joined([f"{i}. {told} {told}" for i, told in enumerate(TOLD, 1)])
    assert furniture(text, begins) == []
