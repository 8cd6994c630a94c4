"""Full stops that are arguments, markers, or parts of names, and end no sentence."""

from __future__ import annotations

import pytest
from found_units import units

from s3_retriever.structure import find_units


@pytest.mark.parametrize(
    "line",
    [
        "$ lamp pull . topic/lamps",
        "$ lamp find . -name keeper",
        "$ lamp copy .. harbour/",
        "$ lamp find . | lamp count",
        "$ lamp light . && lamp wait",
        ".. _lamp-rules:",
        ".. Note: A lamp burns.",
        "... And then he left.",
    ],
)
def test_a_stop_between_spaces_and_one_at_the_beginning_end_nothing(line: str) -> None:
    assert len(find_units(line).starts) == 1
    assert [piece for _, piece in units(f"The keeper waits.\n\n{line}\n\nThe ferry comes.")] == [
        "The keeper waits.",
        line,
        "The ferry comes.",
    ]


def test_marks_of_targets_begin_their_lines() -> None:
    lines = [f".. _`lamp {i}`: https://harbour.example/lamps/of/the/old/tower/{i}" for i in range(4)]
    assert [piece for _, piece in units("\n".join(lines))] == lines


def test_a_stop_with_a_space_before_it_ends_a_sentence() -> None:
    for sentences in (
        ["The lamp is red .", "It burns .", "12 boats came .", "(They left .)", '"Why" is the question .'],
        ["¿Quién es ?", "La lámpara es roja .", "¿Qué es ?", "«Nada» es todo ."],
        ["the lamp is red .", "it burns .", "`` Why '' he said .", "<unk> came .", "= = Oil = ="],
        ["They lit the keeper's.", "It burns.", "It is 5' 3\".", "He left."],
    ):
        assert [piece for _, piece in units(" ".join(sentences))] == sentences


@pytest.mark.parametrize(
    "text",
    [
        "See [Lane, Op. Cit., p. 33] for the lamps.",
        "See Lane, Loc. Cit., for the lamps.",
        '"J. P. Keeper" <keeper@harbour.example> wrote it.',
        "“J. P. Keeper” lit it.",
        "[J. P. Keeper] lit it.",
        "«J. P. Keeper» lit it.",
    ],
)
def test_initials_in_quotes_and_names_of_works_end_no_sentence(text: str) -> None:
    assert [piece for _, piece in units(f"The lamp is old. {text} It burns.")] == [
        "The lamp is old.",
        text,
        "It burns.",
    ]


@pytest.mark.parametrize("item", ["- 2. Digital lamps", "* 12. The old lamp", "- a) 3. Boats"])
def test_a_number_behind_the_marker_of_an_item_ends_no_sentence(item: str) -> None:
    assert units(f"{item}\n{item} burn. They are red.") == [
        ("list", item),
        ("list", f"{item} burn."),
        ("list", "They are red."),
    ]
