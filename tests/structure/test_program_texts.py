"""Which texts are programs: long comments, minified lines, rows of values."""

from __future__ import annotations

import pytest
from found_units import of_kind, units

JSDOC = """/**
 * Adds seats to a ferry.
 *
 * @param ferry - the ferry, as `find` gives it
 * @param amount - how many
 */
export declare function add(
  ferry: Ferry,
  amount: number,
): Date;
"""


def test_a_declaration_below_a_long_comment_is_a_program() -> None:
    assert units(JSDOC) == [("code", JSDOC.strip())]


@pytest.mark.parametrize("mark", [" * ", "   ", ""])
def test_comments_of_several_lines_are_code(mark: str) -> None:
    said = "\n".join(f"{mark}The ferry leaves at nine from pier {i}. It is red and slow." for i in range(20))
    text = f"/*\n{said}\n */\n\nint fare(int port) {{\n  return port;\n}}\n"
    assert {kind for kind, _ in units(text)} == {"code", "opener"}


def test_a_comment_that_never_ends_makes_no_program() -> None:
    text = "/* The ferry.\n\n" + "The ferry leaves at nine from the old pier. It is red.\n\n" * 5
    assert len(of_kind("prose", text)) == 11


def test_prose_with_a_listing_that_has_a_comment_stays_prose() -> None:
    said = "The ferry leaves at nine from the old pier.\n\n"
    text = said * 3 + "/*\n * Fares.\n */\nint fare(void);\n\n" + said * 3
    assert of_kind("prose", text) == [said.strip()] * 6


@pytest.mark.parametrize(
    "line",
    [
        "!function(a,b){var c=a.port||{};for(var d=0;d<b.length;d++){c[d]=b[d].fare;}return c}(this,[]);",
        ".card{color:red;margin:0 auto}.card .title{font-size:2em;padding:1px}@media print{a{color:#000}}",
    ],
)
def test_a_minified_line_is_code(line: str) -> None:
    assert {kind for kind, _ in units(line * 30)} == {"code"}
    assert {kind for kind, _ in units(f"/*! ferry 1.2 */\n{line * 30}\n")} == {"code"}


def test_long_lines_that_are_no_program() -> None:
    said = "The ferry (red; slow; old) leaves at nine {see below}; it is late. "
    assert {kind for kind, _ in units(said * 40)} == {"prose"}
    formula = r"$$\frac{a_{1}}{b_{2}} + \sqrt{c_{3}} = \sum_{i=1}^{n} x_{i}$$ holds for all of them. "
    assert {kind for kind, _ in units(formula * 40)} == {"prose"}


def test_rows_of_values_are_code() -> None:
    rows = ",\n".join(f"({i}, 'Pier {i}', 'The ferry leaves at nine')" for i in range(4))
    text = f"INSERT INTO port (id, name, note) VALUES\n{rows};\n"
    insert, values = text.strip().split("\n", 1)
    assert units(text) == [("code", insert), ("code", values)]


def test_objects_of_texts_and_patterns_are_code() -> None:
    entries = ["  past: 'vor dem Hafen',", "  name: /^der (alte|neue) Hafen/i,", "  ports: ['am Hafen'],"]
    text = "\n".join(["export const names = {", *entries, *entries, "};"])
    assert {kind for kind, _ in units(text)} == {"code"}
    said = "\n\n".join(["Price: the old one, as always,", "Port: red, green,", "Fare: three euros,"])
    assert "code" not in {kind for kind, _ in units(said)}
