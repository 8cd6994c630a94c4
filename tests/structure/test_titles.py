"""Numbered titles and lists of texts without blank lines, as PDF files give them."""

from __future__ import annotations

import pytest

from s3_retriever.structure import Kind, find_units

BODY = (
    "The keeper of the harbour walks to the tower every evening, and he takes\n"
    "oil with him for the lamps. A boat that comes later waits outside.\n"
)
NUMBERS = ["1", "1.1", "1.2", "2", "2.1", "2.1.1", "2.2", "3"]


def units(text: str, pages: tuple[int, ...] = ()) -> list[tuple[str, int, str]]:
    """Of each unit its kind, its level and its text on one line."""
    found = find_units(text, pages)
    borders = [*found.starts.tolist(), len(text)]
    return [
        (Kind(kind).name, level, " ".join(text[borders[i] : borders[i + 1]].split()))
        for i, (kind, level) in enumerate(zip(found.kinds.tolist(), found.levels.tolist(), strict=True))
    ]


def headings(text: str) -> list[tuple[int, str]]:
    return [(level, piece) for kind, level, piece in units(text) if kind == "HEADING"]


@pytest.mark.parametrize("stop", ["", "."])
@pytest.mark.parametrize("names", [["Lamps of tower 1", "Oil"], ["\u6e2f\u53e3", "Lampes d'huile"]])
def test_numbered_titles_between_whole_sentences_are_headings(stop: str, names: list[str]) -> None:
    titles = [f"{number}{stop} {names[i % 2]}" for i, number in enumerate(NUMBERS)]
    text = "".join(f"{title}\n{BODY}" for title in titles)
    expected = [(number.count(".") + 1, title) for number, title in zip(NUMBERS, titles, strict=True)]
    assert headings(text) == expected
    assert headings(text.replace("\n", "\r\n")) == expected


def test_titles_may_follow_each_other_and_begin_behind_a_list() -> None:
    items = "\u2022 Ropes are dry.\n\u2022 Oil is dear.\n"
    text = f"1 Lamps\n1.1 Oil\n{BODY}2 Ropes\n2.1 Hemp\n{BODY}{items}2.2 Steel\n{BODY}"
    assert headings(text) == [
        (1, "1 Lamps"),
        (2, "1.1 Oil"),
        (1, "2 Ropes"),
        (2, "2.1 Hemp"),
        (2, "2.2 Steel"),
    ]
    assert units(text)[-1] == ("PROSE", 0, "A boat that comes later waits outside.")


@pytest.mark.parametrize(
    "numbers",
    [
        ["1", "2", "3", "4", "5", "6"],  # records, footnotes, steps
        ["2.1", "3.7", "1.4", "9.2", "2.8"],
        ["1.1", "1.2", "1.1", "1.2"],
        ["3.5", "3.6"],
    ],
)
def test_numbers_that_are_no_sequence_of_sections_make_no_headings(numbers: list[str]) -> None:
    assert headings(BODY + "".join(f"{number} Lamps of the tower\n{BODY}" for number in numbers)) == []


def test_a_numbered_line_within_a_sentence_is_no_heading() -> None:
    broken = "The rules are those that the old council wrote down in its section\n"
    text = "".join(f"{broken}{number} Lamps and oil of the harbour\nand of the pier.\n" for number in NUMBERS)
    assert headings(text) == []


def test_a_running_head_with_the_number_of_a_section_is_no_heading() -> None:
    titles = [f"{number} Lamps\n{BODY}" for number in NUMBERS]
    titles[2] += f"1.2. Lamps 9\n{BODY}"
    assert [piece for _, piece in headings("".join(titles))] == [f"{number} Lamps" for number in NUMBERS]


def test_entries_of_contents_are_no_headings() -> None:
    contents = "".join(f"{number} Lamps {i + 3}\n" for i, number in enumerate(NUMBERS))
    body = "".join(f"{number} Lamps\n{BODY}" for number in NUMBERS)
    assert [piece for _, piece in headings(f"{contents}\f{body}")] == [
        f"{number} Lamps" for number in NUMBERS
    ]
    assert headings(contents + BODY) == []


def test_nested_items_are_no_headings() -> None:
    items = "".join(f"{number}. Take the oil\n" for number in NUMBERS)
    assert headings(f"{BODY}{items}{BODY}") == []


WIDE = "Each boat that asks for a berth of its own pays the keeper before it is given one,"
AFTER = (
    "Nobody may fish from the pier at night, nor on the days on which the ferry does not\nleave the harbour."
)


def kinds_of(text: str) -> list[tuple[str, str]]:
    return [(kind, piece) for kind, _, piece in units(text)]


@pytest.mark.parametrize("mark", ["\u2022", "-", "3.", "(b)"])
@pytest.mark.parametrize("item", ["Ropes are dry.", f"{WIDE}\nand is told where it lies."])
def test_a_list_without_blank_lines_ends_where_a_paragraph_begins(mark: str, item: str) -> None:
    text = f"{BODY}{mark} Oil is dear.\n{mark} {item}\n{AFTER}\n"
    assert kinds_of(text)[2:] == [
        ("LIST", f"{mark} Oil is dear."),
        ("LIST", " ".join(f"{mark} {item}".split())),
        ("PROSE", " ".join(AFTER.split())),
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"- {WIDE}\nand so it goes on. The keeper is the one who knows what the book says.\nHe is old.",
        f"- Oil is dear.\n  {WIDE}\n  and so on.",
        "- Oil is\nDear to all who have to light a lamp in the tower or on the pier of the harbour.",
        f"1. Oil.\n{AFTER}\n2. Ropes.\n{AFTER}\n3. Hemp.",
        f"a) Oil.\n{AFTER}\nb) Ropes.",
    ],
)
def test_an_item_goes_on_where_no_paragraph_begins(text: str) -> None:
    assert {kind for kind, _ in kinds_of(text)[:2]} == {"LIST"}
