"""What is code in a text that has marks: listings, not the headings and paragraphs around them."""

from __future__ import annotations

import pytest
from found_units import levels_of_headings, of_kind, units

from s3_retriever.structure import Kind, find_units

LINK = "([#{0}](https://harbour.example/lamps/pull/{0}))"
ITEMS = "\n".join(f"- Fixed the lamp of tower {i} {LINK.format(i)}" for i in range(1, 5))


def test_a_changelog_with_links_is_headings_and_items() -> None:
    thanks = "Thanks to all who helped with the lamps."
    text = f"# Lamps\n\n## v1.2\n\n{ITEMS}\n\n## v1.1\n\n{ITEMS}\n\n{thanks}"
    items = [("list", line) for line in ITEMS.split("\n")]
    assert units(text) == [
        ("heading", "# Lamps"),
        ("heading", "## v1.2"),
        *items,
        ("heading", "## v1.1"),
        *items,
        ("prose", thanks),
    ]


def test_badges_in_html_make_no_code_of_the_rest() -> None:
    badges = "\n".join(
        f'  <a href="https://harbour.example/{i}"><img alt="{i}" src="https://harbour.example/{i}.svg"></a>'
        for i in range(12)
    )
    block = f'<p align="center">\n{badges}\n</p>\n'
    text = f"{block}\n# Lamps\n\nA lamp burns. It is red.\n\n## Oil\n\nFill it.\n"
    assert units(text)[-5:] == [
        ("heading", "# Lamps"),
        ("prose", "A lamp burns."),
        ("prose", "It is red."),
        ("heading", "## Oil"),
        ("prose", "Fill it."),
    ]
    assert [kind for kind, _ in units(block)] == ["code"] * 14


@pytest.mark.parametrize(
    "below",
    [
        '<a id="send"></a>',
        "- [Sending](#sending)\n- [Light.send](light.md#send)\n  - [Oil](#oil)",
        "[Sending](docs/sending.md)\n[Oil](docs/oil.md)",
        '| `.send(data)` | <a id="x">`lamp.send(data)`</a> |\n| --- | --- |\n| `.put(x)` | `lamp.put(x)` |',
    ],
)
def test_a_heading_above_links_and_marks_is_no_code(below: str) -> None:
    text = f"# Lamps\n\nText.\n\n##### .send(data)\n{below}\n\nIt sends data.\n\n##### .put(x)\n\nEnd.\n"
    assert levels_of_headings(text) == [("# Lamps", 1), ("##### .send(data)", 5), ("##### .put(x)", 5)]
    assert not of_kind("code", text)


def test_names_of_functions_as_headings_are_no_code() -> None:
    text = "# Pool\n\n" + "".join(
        f"### `Pool.{name}(options[, callback])`\n\nSee [`Base.{name}(options)`](base.md#{name}).\n\n"
        for name in ("fill", "drain", "close", "open")
    )
    assert len(of_kind("heading", text)) == 5
    assert len(of_kind("prose", text)) == 4


PROGRAM = """# Copyright of the harbour

import lamp

# The lamps

# light them slowly
lamp.fill(oil=3)
for one in lamp.all():
    # not the red one
    one.light()
"""


DESCRIBED = '"""Lamps.\n\n```\nlight(3)\n```\n"""\n\n'


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM,
        PROGRAM.replace("# The lamps\n\n", ""),
        PROGRAM.replace("The lamps", "See [the rules](https://harbour.example/rules)"),
        DESCRIBED + PROGRAM,
    ],
)
def test_comments_of_a_program_are_code(text: str) -> None:
    assert {kind for kind, _ in units(text)} == {"code"}


MANUAL = """LAMP(1)                 Manual of the harbour                 LAMP(1)

NAME
       lamp - light a lamp

SYNOPSIS
       #include <lamp.h>
       #include <oil.h>

       int light(int lamp, int oil);

DESCRIPTION
       The lamp burns as long as there is oil in it. It is red when  the
       oil is low.

EXAMPLES
       #include <lamp.h>

       int
       main(void)
       {
           struct lamp *one = get(1);

           if (light(one->number, 3) == -1) {
               perror("light");
               exit(1);
           }
           put(one);
           free(one);
           close(0);
           return 0;
       }

SEE ALSO
       oil(1),  lamp_light(3),  lamp.conf(5),  keeper(8),  ld.so(8),  get(2),
       lamp_fill(3), tower_up(7)

LAMP 2                           2024-05-03                    LAMP(1)
"""


def test_a_manual_page_with_a_program_is_not_all_code() -> None:
    assert of_kind("heading", MANUAL) == ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"]
    prose = of_kind("prose", MANUAL)
    assert "The lamp burns as long as there is oil in it." in prose
    assert "It is red when  the\n       oil is low." in prose
    assert prose[-2].endswith("lamp_fill(3), tower_up(7)")
    assert "put(one);" in of_kind("code", MANUAL)
    assert "#include <lamp.h>\n       #include <oil.h>" in of_kind("code", MANUAL)


@pytest.mark.parametrize(
    "listing",
    [
        "- ```\n  lamp --slow\n  ```",
        "* ~~~sh\n  lamp --slow\n  ~~~",
        "1. ```sh\n   lamp --slow\n   ```",
        "- 1. ```\n     lamp --slow\n     ```",
        "slow\n:   ```\n    lamp --slow\n    ```",
    ],
)
def test_a_fence_behind_a_marker_ends(listing: str) -> None:
    text = f"# Lamps\n\n{listing}\n\n## Boats\n\nBoats come in at nine. They leave at ten."
    assert units(text)[-3:] == [
        ("heading", "## Boats"),
        ("prose", "Boats come in at nine."),
        ("prose", "They leave at ten."),
    ]
    (code,) = of_kind("code", text)
    assert "lamp --slow" in code


@pytest.mark.parametrize("line", ["```lamp --slow``` lights it.", "- ```lamp``` lights it."])
def test_code_within_a_line_opens_no_fence(line: str) -> None:
    assert not of_kind("code", f"{line}\n\nBoats come in at nine.\n\n{line}\n\nThey leave at ten.")


def test_listings_in_fences_may_hold_number_signs() -> None:
    text = "# Lamps\n\n```sh\n# light it\nlamp --slow\n\n# and off\nlamp --off\n```\n\n## Oil\n\nFill it.\n"
    assert levels_of_headings(text) == [("# Lamps", 1), ("## Oil", 2)]
    assert Kind.CODE in find_units(text).kinds


UNDERLINED = "Lamps\n=====\n\n{}\n\nOil\n===\n\nFill it.\n"
NUMBERED = "1.1 Lamps\n\n{}\n\n1.2 Oil\n\nFill it.\n\n1.3 Boats\n\nThey leave.\n"
LISTING = "# light it slowly\n{0}lamp --slow\n{0}# and off\n{0}lamp --off"
BELOW = "After that the keeper waits until the ferry has come in."


@pytest.mark.parametrize("around", [UNDERLINED, NUMBERED, NUMBERED.replace("\n\n1", "\n1")])
@pytest.mark.parametrize("indent", ["", "  ", "    ", "\t"])
def test_comments_of_listings_are_code_beside_other_headings(around: str, indent: str) -> None:
    listing = indent + LISTING.format(indent)
    text = around.format(f"This script lights it.\n\n{listing}\n\n{BELOW}")
    assert all("#" not in heading for heading in of_kind("heading", text))
    assert " ".join(of_kind("code", text)).split() == listing.split()
    assert BELOW in of_kind("prose", text)


@pytest.mark.parametrize("text", ["The script below lights a lamp.\n\n{}\n\n{}", "# Lamps\n\n{}\n\n{}"])
def test_an_indented_comment_is_code_in_any_text(text: str) -> None:
    listing = "     # light it slowly\n     lamp --slow"
    text = text.format(listing, BELOW)
    assert of_kind("code", text) == [listing.strip()]
    assert "# light it slowly" not in of_kind("heading", text)
    assert of_kind("prose", text)[-1] == BELOW


def test_a_comment_may_begin_with_an_empty_line() -> None:
    listing = "#\n     # Keys of the tower\n     #\n     lamp: light-one"
    text = UNDERLINED.format(f"The keys:\n\n     {listing}\n\n{BELOW}")
    assert of_kind("code", text) == [listing]


def test_a_comment_apart_from_its_listing_is_no_heading() -> None:
    text = UNDERLINED.format(f"     # LIGHT IT SLOWLY\n\n     lamp --slow\n\n{BELOW}")
    assert len(of_kind("heading", text)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "#\n: The sign of a number stands for lamps.",
        "The harbour counts the\n# of lamps that burn and the\n# of boats that came in.",
        "    # of lamps that burn and of boats that came in at night. They are\n"
        "    counted in the book of the keeper every year.",
    ],
)
def test_a_sign_for_numbers_makes_no_code_of_prose(text: str) -> None:
    assert {kind for kind, _ in units(UNDERLINED.format(text))} == {"heading", "prose"}


def test_number_signs_beside_underlines_mark_headings_in_markdown() -> None:
    text = "# Lamps\nThey burn.\n\nOil\n---\n\nFill it.\n\nRope\n----\n\nCut it.\n\n### Old rope\nKeep it.\n"
    assert levels_of_headings(text) == [
        ("# Lamps", 1),
        ("Oil\n---", 2),
        ("Rope\n----", 2),
        ("### Old rope", 3),
    ]
