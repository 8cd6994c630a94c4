"""Which lines are rows of tables and headers, and which only look like some."""

from __future__ import annotations

import pytest

from tests.structure.test_units import of_kind, units

JUSTIFIED = """       This  call  searches  the tower for lamps (of one colour)  or  more  of
       them  and  returns  a  list of all lamps that it has found there so far.
       Only whole lamps are  returned.   See  tower(1).  Others are left out now.
"""


@pytest.mark.parametrize(
    "text",
    [
        JUSTIFIED,
        JUSTIFIED + "       The  keeper  needs  oil  and  one  wick  a  month  for all of these lamps.\n",
        "   The   light   is  lit  by  hand  at  dusk  and  put  out  at  dawn   by\n"
        "   those   who   come   last;   others   wait   in   the   dark   cellars,\n"
        "   or the boat,  until  someone  comes  with  a key and opens it  for them\n",
    ],
)
def test_justified_prose_is_no_table(text: str) -> None:
    assert {kind for kind, _ in units(text)} == {"prose"}


def test_columns_with_narrow_gaps_are_a_table() -> None:
    rows = [
        "north tower  red lamp    12 men",
        "south tower  green lamp   7 men",
        "old harbour  white lamp  12 men",
    ]
    assert of_kind("table", "\n".join(rows)) == rows
    rows = ["Oslo     1,200  12", "Bergen     800   7", "Ny       2,000  19"]
    assert of_kind("table", "\n".join(rows)) == rows


@pytest.mark.parametrize(
    "text",
    [
        "lamp = colour | shape\ncolour = 'r' | 'g'\nshape = 'round' | 'long'\n",
        "<lamp> ::= <colour> | <shape>\n<colour> ::= red | green\n",
        "- modules |\n- next |\n- previous |\n",
        "|\nv\n",
    ],
)
def test_pipes_that_part_no_cells_make_no_table(text: str) -> None:
    assert not of_kind("header", text) + of_kind("table", text)


@pytest.mark.parametrize(
    "rows",
    [
        ["U+F8FD\tKLINGON COMMA", "U+F8FE\tKLINGON FULL STOP", "U+F8FF\tKLINGON MUMMIFICATION GLYPH"],
        [
            "ebx   Holds the number 4 of lamps.",
            "ecx   Holds the 2 colours.",
            "edx   Holds all 3 shapes.",
        ],
        ["|  | Tip |", "| --- | --- |"],
        ["| The keeper of the lamp writes all that he sees. |", "| --- |"],
        ["|", "v", "+-----+", "| oil |", "+-----+"],
    ],
)
def test_a_first_row_like_the_others_or_alone_is_no_header(rows: list[str]) -> None:
    assert of_kind("header", "\n".join(rows)) == []
    assert of_kind("table", "\n".join(rows))[0].startswith(rows[0])


@pytest.mark.parametrize(
    "rows",
    [
        ["lamp | note", "red = 1 | old", "green | new"],
        ["red = 1 | green = 2", "red = 3 | green = 4"],
        ["group 1\tgroup 2", "12\t13", "14\t15"],
        ["name\tnote", "N1\tan old lamp", "N2\ta lamp"],
        ["| lamp | note |", "| --- | --- |", "| red | old |"],
        ["| lamp | = | note |", "| red | = | old |"],
        ["Item   No.", "oil    12", "wick   7"],
    ],
)
def test_headers_stay(rows: list[str]) -> None:
    assert of_kind("header", "\n".join(rows)) == ["\n".join(rows[: 1 + rows[1].startswith("| -")])]
