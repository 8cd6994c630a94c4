"""Records, members of JSON and settings: whole where they are short, below their first cell or key else."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from found_units import units

from s3_retriever.index import CELL
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import select_spans
from s3_retriever.sources.records import read_json, read_table
from s3_retriever.structure import find_units

HEADER = "town,inhabitants,area,mayor,founded,river,region,code"
TOWNS = [f"Town{n},{n * 912},{n + 34},Mayor{n},{1800 + n},Rill{n % 4},North,C{n}" for n in range(1, 31)]


def page(text: str) -> Page:
    return Page(text, find_units(text).starts, find_units(text))


def header(text: str, part: str) -> str:
    """What must be read before the unit that begins with a part of a text."""
    found = page(text)
    at = text.index(part)
    assert at in found.units.starts.tolist(), part
    return found.header(at)


def test_a_row_of_a_table_that_became_lines_is_one_unit() -> None:
    text = read_table("\n".join([HEADER, *TOWNS]))
    assert units(text) == [("data", record) for record in text.split("\n\n")]
    assert find_units(text).begins.all()
    assert header(text, "town: Town17") == ""


@pytest.mark.parametrize("budget", [80, 256, 1024])
def test_passages_of_a_table_are_whole_rows(budget: int) -> None:
    text = read_table("\n".join([HEADER, *TOWNS]))
    starts = np.array([found.start() for found in re.finditer(r" ?\w+|\s+|.", text)], np.uint32)
    found = Page(text, starts, find_units(text))
    cells = -(-len(starts) // CELL)
    for cell in range(cells):
        density = np.full(cells, 0.1, np.float32)
        density[cell] = 1
        spans = select_spans(
            density, np.array([0, cells]), budget=budget, document=lambda _: found, count_tokens=None
        )
        assert sum(span.last_token - span.first_token for span in spans) > budget // 3
        for span in spans:
            piece = text[span.start : span.end]
            assert set(piece.split("\n\n")) <= set(text.split("\n\n"))
            assert found.described(span.start, span.end)["kind"] == "data"


def test_cells_that_are_missing_or_have_lines_leave_a_row_whole() -> None:
    rows = [
        ",6,small,red",
        "Heron,,tall,red",
        'Tern,2,"in the bay.\nIt is old. Very, very old; and low",blue',
        ",4,x,",
        "Gull,7,1. of all,1,5",
    ]
    text = read_table("\n".join(["boat,crew members,how it looks,colour", *rows]))
    assert units(text) == [("data", record) for record in text.split("\n\n")]


def test_lines_of_a_long_row_stand_below_its_first_cell() -> None:
    names = ["town", *(f"measure {n}" for n in range(1, 61))]
    rows = [[f"Town{n}", *(str(n * 1000 + k) for k in range(60))] for n in (1, 2, 3)]
    text = read_table("\n".join(",".join(row) for row in [names, *rows]))
    assert units(text) == [("data", line) for line in text.splitlines() if line]
    for n in (1, 2, 3):
        assert header(text, f"measure 59: {n}058") == f"town: Town{n}"
        assert header(text, f"town: Town{n}") == ""
    found = find_units(text)
    assert found.begins.sum() == 3


def test_sentences_of_a_long_cell_stand_below_the_first_cell() -> None:
    said = " ".join(f"The lamp of room {n} is old." for n in range(50))
    text = "\n\n".join(f"id: {n}\nkeeper: Ann\nnote: {said}\nyear: 5" for n in (7, 8))
    assert header(text, "year: 5") == "id: 7"
    at = text.rindex("The lamp of room 40")
    assert page(text).header(at) == "id: 8\nnote: The lamp of room 0 is old."


def test_records_with_other_text_around_them_are_found() -> None:
    card = "Name: Ann\nTrade: keeper of lamps\nTown: Ala\n\nName: Bob\nTown: Ure\n\n"
    text = f"These are all keepers.\n\n{card}They are well. They work."
    assert units(text) == [
        ("prose", "These are all keepers."),
        ("data", "Name: Ann\nTrade: keeper of lamps\nTown: Ala"),
        ("data", "Name: Bob\nTown: Ure"),
        ("prose", "They are well."),
        ("prose", "They work."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Ann: Is it late?\nBob: It is. Come in.\nAnn: No.\n\nAnn: Is it far?\nBob: Yes. It is.\nAnn: Ah.",
        "Note: The lamp is old.\nIt is red.\n\nNote: The ferry is new.\nIt is blue.",
        "Name: Ann\nTown: Ala\n\nThe end: it comes.\nIt is near.",
        "Warning: hot.\n\nWarning: wet.\n\nWarning: high.",
    ],
)
def test_speech_and_notes_are_no_records(text: str) -> None:
    assert {kind for kind, _ in units(text)} == {"prose"}


def test_members_of_json_stand_below_their_keys() -> None:
    keys = {f"key {n}": n for n in range(20)}
    text = read_json(json.dumps({"AD": {**keys, "currency": "EUR", "deep": {"a": 1, "b": 2}}, "AE": keys}))
    assert header(text, '"currency"') == '{\n "AD": {'
    assert header(text, '"b"') == '{\n "AD": {\n"deep": {'
    assert header(text, '"AE"') == ""
    assert page(text).header(text.rindex('"key 19"')) == '"AE": {'


def test_members_of_records_in_json_stand_below_the_first_member() -> None:
    keys = {f"key {n}": n for n in range(20)}
    records = [{"name": name, **keys, "money": "EUR", "tags": ["a", "b"]} for name in ("Ala", "Ure")]
    for text in (read_json(json.dumps(records)), json.dumps(records)):
        found = page(text)
        for name, at in (("Ala", text.index('"money"')), ("Ure", text.rindex('"money"'))):
            assert f'"name": "{name}",' in found.header(at)
            assert found.header(at).count("name") == 1
    lines = "\n".join(map(json.dumps, records))
    assert page(lines).header(lines.rindex('"money"')) == '{"name": "Ure",'


def test_a_long_value_is_no_header() -> None:
    text = read_json(json.dumps([{"text": "word " * 500, "id": n, "year": 5} for n in range(3)]))
    assert header(text, '"year"') == ""
