"""Which lines head sections, and how deep."""

from __future__ import annotations

import pytest

from s3_retriever.structure import Kind, find_units
from tests.structure.test_units import of_kind, units


def sections(text: str) -> list[tuple[int, str]]:
    """The level and the text of each heading."""
    found = find_units(text)
    levels = found.levels[found.kinds == Kind.HEADING].tolist()
    return list(zip(levels, of_kind("heading", text), strict=True))


PARAGRAPH = "   The keeper lights the lamp at dusk, and puts it out as soon as the sun is up.\n\n"


@pytest.mark.parametrize(
    "caption",
    [
        "Figure 5: How oil comes to the tower",
        "Figure 5 - How oil comes to the tower",
        "Table 2.  Lamps by colour",
        "TABLE IV. LAMPS BY COLOUR",
        "Fig. 3 Lamps",
        "Abbildung 3: Der Turm",
        "Figure A-1: Oil",
    ],
)
def test_a_caption_heads_nothing(caption: str) -> None:
    text = f"3.  Lamps\n\n{PARAGRAPH}   {caption}\n\n{PARAGRAPH}3.1.  Boats\n\n{PARAGRAPH}"
    assert sections(text) == [(1, "3.  Lamps"), (2, "3.1.  Boats")]


@pytest.mark.parametrize(
    "sentence",
    [
        "Figure 5 shows how oil comes from the cellar, which\n keeps it cool, to the tower.",
        "Section 5 shows how oil comes from the cellar, which\n keeps it cool, to the tower.",
        "Chapter 3 of the book tells what the keeper does with\nOil that is old.",
    ],
)
def test_a_sentence_may_begin_with_the_name_of_a_section(sentence: str) -> None:
    assert units(f"The lamp is lit.\n\n{sentence}\n") == [("prose", "The lamp is lit."), ("prose", sentence)]


@pytest.mark.parametrize("heading", ["Table Manners", "Figure Skating", "Tables of the Keeper"])
def test_words_of_captions_may_begin_headings(heading: str) -> None:
    assert sections(f"{heading}\n\n{PARAGRAPH}") == [(7, heading)]


@pytest.mark.parametrize(
    "line",
    [
        "421  Service closes",
        "0               No error condition",
        "   1. Each morning the keeper takes oil from the cellar, as\n\n   he has no oil in the tower.",
        "1  No oil",
    ],
)
def test_a_number_that_does_not_come_next_heads_no_section(line: str) -> None:
    text = (
        f"4.  Replies\n\n{PARAGRAPH}4.1.  Codes\n\n{PARAGRAPH}{line}\n\n{PARAGRAPH}4.2.  Boats\n\n{PARAGRAPH}"
    )
    assert sections(text) == [(1, "4.  Replies"), (2, "4.1.  Codes"), (2, "4.2.  Boats")]


def test_a_section_may_follow_a_list_or_come_before_one() -> None:
    items = "   1.  They are red.\n\n   2.  They show the way.\n\n"
    text = f"4.  Lamps\n\n{PARAGRAPH}{items}5.  Operation\n\n{PARAGRAPH}{items}"
    text += f"6.  Oil\n\n{items}7.  Boats\n\n{PARAGRAPH}"
    assert sections(text) == [(1, "4.  Lamps"), (1, "5.  Operation"), (1, "6.  Oil"), (1, "7.  Boats")]
    assert [piece.split()[0] for piece in of_kind("list", text)] == ["1.", "2."] * 3
    assert of_kind("prose", text) == [PARAGRAPH.strip()] * 3


def test_a_list_whose_numbers_go_on_is_no_section() -> None:
    text = f"3.  Lamps\n\n{PARAGRAPH}1. Red ones\n\n2. Green ones\n\n3. White ones\n\n4. Blue ones\n"
    assert sections(text) == [(1, "3.  Lamps")]
    assert len(of_kind("list", text)) == 4


def test_sections_may_begin_anywhere_and_leave_numbers_out() -> None:
    text = "".join(f"{n}. {name}\n\n{PARAGRAPH}" for n, name in ((7, "Oil"), (8, "Boats"), (12, "Men")))
    assert sections(text) == [(1, "7. Oil"), (1, "8. Boats"), (1, "12. Men")]
    again = "".join(f"{n} {name}\n\n{PARAGRAPH}" for n, name in ((1, "Oil"), (2, "Boats"), (1, "Men")))
    assert sections(again) == [(1, "1 Oil"), (1, "2 Boats"), (1, "1 Men")]


def test_the_next_number_may_be_written_otherwise() -> None:
    text = f"3.  Oil\n\n{PARAGRAPH}4 Boats\n\n{PARAGRAPH}5.  Men\n\n{PARAGRAPH}"
    assert sections(text) == [(1, "3.  Oil"), (1, "4 Boats"), (1, "5.  Men")]


def test_a_number_by_itself_may_head_an_excerpt() -> None:
    text = f"3 Income of the harbour (continued)\n\n{PARAGRAPH}"
    assert sections(text) == [(1, "3 Income of the harbour (continued)")]


def test_appendices_are_numbered_by_letters() -> None:
    name = "B.  Example of carrying oil with two keepers and a boat"
    text = f"9.  Oil\n\n{PARAGRAPH}A.  Tides\n\n   Low.\n\n{name}\n\n   High.\n\nB.3.  Boats\n\n   Two.\n"
    assert sections(text) == [(1, "9.  Oil"), (1, "A.  Tides"), (1, name), (2, "B.3.  Boats")]


def test_initials_number_nothing() -> None:
    text = f"9.  Oil\n\n{PARAGRAPH}   A. Keeper\n\n   Low.\n\nJ. Boatman\n\n   High.\n"
    assert sections(text) == [(1, "9.  Oil")]


MANUAL = """DESCRIPTION
       The lamp is lit by a call, which also says how fast that must be done.

       LAMP_FAST
              The lamp is lit at once.

       If oil is NULL, the lamp burns what there is, and the keeper sees to the rest of it.

   POSIX NAMES
       LAMP_SLOW is another name of it, which older towers know, and they only.

SEE ALSO
       tower(1)
"""


def test_terms_in_capitals_are_below_those_at_the_margin() -> None:
    assert sections(MANUAL) == [(2, "DESCRIPTION"), (7, "POSIX NAMES"), (2, "SEE ALSO")]
    assert ("prose", "LAMP_FAST") in units(MANUAL)


def test_a_number_sign_below_capitals_does_not_put_them_lower() -> None:
    text = MANUAL.replace("   POSIX NAMES", "       Type this:\n\n           # lamp --fast\n\n   POSIX NAMES")
    assert [level for level, heading in sections(text) if heading in ("DESCRIPTION", "SEE ALSO")] == [2, 2]


def test_a_number_that_comes_twice_breaks_no_order() -> None:
    text = "".join(f"{n}.  {name}\n\n{PARAGRAPH}" for n, name in ((8, "Oil"), (9, "Boats"), (9, "Men")))
    items = "   1. Red\n\n   2. Green\n\n"
    assert [level for level, _ in sections(f"{text}{items}10.  Tides\n\n{PARAGRAPH}")] == [1] * 4


def test_centred_capitals_stay_as_high() -> None:
    text = "PREFACE\n\nThe lamp is old, so is its keeper.\n\n      THE TOWER\n\nIt is high, and round.\n"
    assert [level for level, _ in sections(text)] == [2, 2]


@pytest.mark.parametrize("heading", ["## Flags", "Flags\n====="])
def test_capitals_are_below_marked_headings(heading: str) -> None:
    text = f"{heading}\n\n  LAMP_FAST\n\nThe lamp is lit at once.\n"
    assert [level for level, _ in sections(text)] == [sections(text)[0][0], 7]


@pytest.mark.parametrize(
    "text",
    [
        "+\n----------\nlamp --fast\n----------\n",
        "----------\nlamp --fast\n----------\n",
        "---o---o---A\n------------\n",
    ],
)
def test_a_fence_underlines_nothing(text: str) -> None:
    assert sections(text) == []


@pytest.mark.parametrize("title", ["A", "C++", "5", "“Oil”"])
def test_short_titles_may_be_underlined(title: str) -> None:
    assert sections(f"{title}\n=====\n\nThe lamp.\n") == [(1, f"{title}\n=====")]
    assert sections(f"=====\n{title}\n=====\n\nThe lamp.\n") == [(1, f"{title}\n=====")]
