"""Settings: lists end before the next key, and entries have the keys above them in their header."""

from __future__ import annotations

import pytest
from found_units import units

from s3_retriever.search.passages import Page
from s3_retriever.structure import find_units


@pytest.mark.parametrize("indent", ["", "  "])
@pytest.mark.parametrize("key", ["lamps:", "lamps: 3", "max-lamps: [1, 2]", "lamps ="])
def test_an_item_ends_before_the_key_that_follows(indent: str, key: str) -> None:
    text = f"required:\n{indent}- oil\n{indent}- a wick\n{key}\n  keeper: Ann\n  town: Ala\n"
    assert units(text)[:4] == [
        ("prose", "required:"),
        ("list", f"{indent.strip()}- oil"),
        ("list", "- a wick"),
        ("prose", key),
    ]
    assert {kind for kind, _ in units(text)[3:]} == {"prose"}


@pytest.mark.parametrize(
    "text",
    [
        "The lamp needs:\n- oil of the kind that is\nhere: in the cellar\n- a wick",
        "- a keeper who says this\nnote: not that\n- a boat",
        "- lamp: red\n  oil: 3\n- lamp: blue\n  oil: 4",
    ],
)
def test_what_is_wrapped_or_further_in_belongs_to_its_item(text: str) -> None:
    assert {kind for kind, _ in units(text)} <= {"list", "prose"}
    assert units(text)[-1][0] == units(text)[-2][0] == "list"


YAML = """# of the harbour
paths:
  /lamps:
    get:
      parameters:
        - name: town

          in: query
          schema:
            type: string
      responses:
        '200':
          description: Fine
schemas:
  Lamp:
    type: object
    required:
      - oil
      - wick
    properties:
      oil: 3
"""


@pytest.mark.parametrize(
    ("entry", "above"),
    [
        ("paths", []),
        ("in: query", ["paths:", "  /lamps:", "    get:", "      parameters:", "        - name: town"]),
        ("description", ["paths:", "  /lamps:", "    get:", "      responses:", "        '200':"]),
        ("schemas", []),
        ("type: object", ["schemas:", "  Lamp:"]),
        ("- wick", ["schemas:", "  Lamp:", "    required:"]),
        ("oil: 3", ["schemas:", "  Lamp:", "    properties:"]),
    ],
)
def test_an_entry_has_the_keys_above_it_in_its_header(entry: str, above: list[str]) -> None:
    at = YAML.index(entry)
    found = Page(YAML, find_units(YAML).starts, find_units(YAML))
    assert found.header(at) == "\n".join(above)


def test_an_entry_of_a_section_has_its_name_in_its_header() -> None:
    text = '[server]\nhost = "a"\n# where it listens\nport = 5\n\n[[client.lamp]]\nwait = 7\nname: b\n'
    found = Page(text, find_units(text).starts, find_units(text))
    assert [found.header(text.index(one)) for one in ("port", "wait", "name")] == [
        "[server]",
        "[[client.lamp]]",
        "[[client.lamp]]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Lamps:\n\nThe keeper has three.\n\n  Note: it is late.",
        "[1]\n\nNote: it is late.",
        "He says\nNote: it is late.",
    ],
)
def test_a_note_in_prose_stands_below_no_key(text: str) -> None:
    assert Page(text, find_units(text).starts, find_units(text)).header(text.index("Note")) == ""
