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
