"""A number such as "8.1." that begins an item or a paragraph is part of it; another ends its sentence."""

from __future__ import annotations

import pytest
from found_units import of_kind, units


@pytest.mark.parametrize("entry", ["8.1. Language", "8.1.1. Choosing a language", "12. Clock", "1.2. Öl"])
@pytest.mark.parametrize("mark", ["- ", "* ", "  - "])
def test_the_number_of_an_entry_is_no_sentence(entry: str, mark: str) -> None:
    text = f"## Chapter 8\n\n- 7. Boats\n{mark}{entry}\n\nThis chapter shows what can be set."
    assert of_kind("list", text) == ["- 7. Boats", f"{mark}{entry}".strip()]


def test_the_number_of_a_paragraph_is_no_sentence() -> None:
    text = "8.1. The language is set first. Then comes 8.2.\n\n8.2. The clock is set, too."
    assert units(text) == [
        ("prose", "8.1. The language is set first."),
        ("prose", "Then comes 8.2."),
        ("prose", "8.2. The clock is set, too."),
    ]


@pytest.mark.parametrize(
    "sentences",
    [
        ["The lamp is of version 2.1.", "The keeper says so."],
        ["It took 2 - 3.5.", "Nobody knew why."],
        ["- The oil costs 8.1.", "The wick costs less."],
        ["It rose by -3.5.", "Then it fell."],
    ],
)
def test_a_number_at_the_end_of_a_sentence_ends_it(sentences: list[str]) -> None:
    assert [text for _, text in units(" ".join(sentences))] == sentences
