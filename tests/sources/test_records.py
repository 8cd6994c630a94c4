"""Tables and JSON of files: which row names the columns, what parts the cells, and that nothing is lost."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.sources.records import read_json, read_table


@pytest.mark.parametrize(
    "above",
    [
        "Boats of the bay\nSource: made up\n\n",
        "Boats of the bay,,,\n,,,\n",
        "# drawn up by a, b\n",
        "#\n# a, b, c\n",
    ],
)
def test_lines_above_the_header_stay_text_and_name_no_column(above: str) -> None:
    text = read_table(above + "boat,crew,port\nHeron,4,Ala\nTern,2,Ure\n")
    kept = [line.strip(",") for line in above.splitlines() if line.strip(",")]
    assert text == "\n".join(kept) + "\n\nboat: Heron\ncrew: 4\nport: Ala\n\nboat: Tern\ncrew: 2\nport: Ure"


def test_a_number_sign_may_begin_the_header() -> None:
    assert read_table("#id,oil\n1,5\n2,6\n") == "#id: 1\noil: 5\n\n#id: 2\noil: 6"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_what_parts_all_rows_alike_outside_of_quotes(delimiter: str) -> None:
    rows = [["Name, first", "Age; years", "Town| or village"], ["A, b, c", "3;4", "x"], ["D", "5,5", "y, z"]]
    text = "\n".join(delimiter.join(f'"{cell}"' if len(cell) > 1 else cell for cell in row) for row in rows)
    found = read_table(text)
    assert found == "\n\n".join(
        "\n".join(f"{name}: {cell}" for name, cell in zip(rows[0], row, strict=True)) for row in rows[1:]
    )


def test_commas_of_decimals_and_of_text_are_no_delimiters() -> None:
    text = "lamp;price;note\nred;1,50;old, bent, dim\nblue;2,75;new\ngreen;3,25;new, too\n"
    assert read_table(text).split("\n\n")[0] == "lamp: red\nprice: 1,50\nnote: old, bent, dim"


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ("Ann,3,Oslo\nBob,4,Rome\nCid,5,Oslo\n", "column 1: Ann\ncolumn 2: 3\ncolumn 3: Oslo"),
        ("5.1,3.5,seta\n4.9,3.0,seta\n6.2,2.8,virga\n", "column 1: 5.1\ncolumn 2: 3.5\ncolumn 3: seta"),
        (
            "red,bus,1.50 €\nblue,car,2.00 €\ngreen,bus,9.10 €\n",
            "column 1: red\ncolumn 2: bus\ncolumn 3: 1.50 €",
        ),
    ],
)
def test_without_a_header_the_first_row_is_a_row_and_columns_are_numbered(rows: str, first: str) -> None:
    assert read_table(rows).split("\n\n")[0] == first
    assert len(read_table(rows).split("\n\n")) == 3


@pytest.mark.parametrize(
    "header", ["land,2001,2002,2003", "land,1,2,3", "land,x,y,z", "land,2010 (est.),b,c"]
)
def test_years_and_numbers_in_order_are_names_of_columns(header: str) -> None:
    text = read_table(f"{header}\nAla,51,66,12\nUre,52,61,17\n")
    assert text.split("\n\n")[0] == "\n".join(
        f"{name}: {cell}" for name, cell in zip(header.split(","), ("Ala", "51", "66", "12"), strict=True)
    )


def test_a_header_that_lacks_the_name_of_the_first_column_names_the_others() -> None:
    # as R writes row names
    assert (
        read_table("crew,masts\nHeron,4,2\nTern,2,1\n").split("\n\n")[0]
        == "column 1: Heron\ncrew: 4\nmasts: 2"
    )
    assert read_table(",crew\nHeron,4\nTern,2\n").split("\n\n")[0] == "column 1: Heron\ncrew: 4"
    # and rows that end in a delimiter
    assert read_table("boat,crew\nHeron,4,\nTern,2,\n").split("\n\n")[0] == "boat: Heron\ncrew: 4"


def test_a_quote_that_nothing_closes_belongs_to_its_cell_only() -> None:
    text = read_table('name,age,town\nAnn,3,Oslo\nBob,"4,Rome\nCid,5,"Ure ""old"" town"\nDee,6,5" pipe\n')
    assert text == (
        'name: Ann\nage: 3\ntown: Oslo\n\nname: Bob\nage: "4\ntown: Rome\n\n'
        'name: Cid\nage: 5\ntown: Ure "old" town\n\nname: Dee\nage: 6\ntown: 5" pipe'
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_cells_may_be_long_and_have_lines_but_no_paragraphs(end: str) -> None:
    long = "word " * 40_000
    text = read_table(f'name,note{end}Ann,"one{end}{end}  {end}two"{end}Bob,{long}{end}')
    assert text == f"name: Ann\nnote: one\ntwo\n\nname: Bob\nnote: {long.strip()}"


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab",;\n\r 1'), max_size=6), min_size=3, max_size=4), max_size=6
    )
)
def test_no_character_of_a_table_is_lost(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["x", "y", "z"], *rows])
    found = read_table(file.getvalue())
    for character in "ab1":
        assert found.count(character) >= sum(cell.count(character) for row in rows for cell in row)


def test_numbers_of_json_stay_as_written_and_doubled_keys_both_stay() -> None:
    text = read_json('{"a":1,"a":2,"b":1.10,"c":1e400,"d":-0,"e":[12345678901234567890123,1E5]}')
    assert text == (
        '{\n "a": 1,\n "a": 2,\n "b": 1.10,\n "c": 1e400,\n "d": -0,\n'
        ' "e": [\n  12345678901234567890123,\n  1E5\n ]\n}'
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(VALUES, st.sampled_from([None, 0, 3]))
def test_json_is_written_as_python_writes_it(value: object, indent: int | None) -> None:
    assert read_json(json.dumps(value, indent=indent)) == json.dumps(value, indent=1, ensure_ascii=False)


@pytest.mark.parametrize(
    "text",
    [
        '{\n  // where the oil is\n  "oil": "cellar"\n}\n',
        '{"oil": [1, 2,],}',
        '{"id": 1}\n{"id": 2}\n',
        "[" * 200_000,
        '{"oil": [1, 2',
    ],
)
def test_what_is_no_strict_json_is_read_as_it_is(text: str) -> None:
    assert read_json(text) == text


def test_constants_that_json_lacks_stay() -> None:
    assert read_json('{"a": NaN, "b": -Infinity}') == '{\n "a": NaN,\n "b": -Infinity\n}'
    assert math.isnan(json.loads(read_json("[NaN]"))[0])
