"""Comments behind number signs are no headings where nothing says that the text is Markdown."""

from __future__ import annotations

import pytest
from found_units import header_of, of_kind, units

NGINX = """# ----------------------------------------------------------------------
# | Unknown hosts                                                        |
# ----------------------------------------------------------------------

# Drop requests for unknown hosts.
#
# If no default server is defined, Nginx will use the first found server, as it
# says in its manual.
#
# (1) In production, only secure hosts should be used.

# (2) Enables the latest version.

ssl_protocols TLSv1.3;

# (!) Ciphers are those of the manual.
ssl_ciphers HIGH;
"""

YAML = """# The lamp and its keeper.
# Change it with care, as the keeper reads it at night.

# Which lamp it is
name: lamp
oil: 3

# Who keeps it
keeper: anna

# Where it stands
place: cellar
"""

TOML = """# The name of the lamp
name = "north"

# Its oil
[oil]
# litres
amount = 3
"""

SHELL = """# Build the lamp, and then light it.
make lamp
# Light it
light lamp --now

# Wait until it burns
sleep 5
"""

DOCKERFILE = """# The builder makes the wheels; nothing of it is in the image.
FROM python:3.12-slim AS builder

# What it needs
RUN pip install build
COPY . /src

# The image itself
FROM python:3.12-slim
COPY --from=builder /src/dist /dist
RUN pip install /dist/*.whl
"""

MAKEFILE = """# Where the lamp is built
OUT = build

# Everything
all: lamp

# The lamp, of brass
lamp:
\tcc -o lamp lamp.c
"""


@pytest.mark.parametrize("text", [NGINX, YAML, TOML, SHELL, DOCKERFILE, MAKEFILE])
def test_comments_are_no_headings(text: str) -> None:
    assert of_kind("heading", text) == []


def test_a_comment_above_a_setting_belongs_to_it() -> None:
    assert units(YAML)[-3:] == [
        ("prose", "oil: 3"),
        ("prose", "# Who keeps it\nkeeper: anna"),
        ("prose", "# Where it stands\nplace: cellar"),
    ]


def test_a_comment_leaves_an_entry_below_its_keys() -> None:
    text = "# All\nlamp:\n  # of oil\n  amount: 3\n  # of glass\n  # or brass\n  made: 1890\n"
    assert header_of(text, "amount") == header_of(text, "# of glass") == "lamp:"


def test_a_comment_is_cut_at_its_sentences() -> None:
    wide = "# The lamp is red and burns all night long until\n# All Saints, in the dark tower of the north."
    text = f"{wide} It is old\n# and of brass.\nlamp: 5\noil: 3\n"
    assert units(text) == [
        ("prose", wide),
        ("prose", "It is old\n# and of brass."),
        ("prose", "lamp: 5"),
        ("prose", "oil: 3"),
    ]


MARKDOWN = {
    "template": "Thank you. It helps.\n\nFill it.\n\n#### What is wrong?\n<!-- What do you want, and\n"
    "what happens then? -->\n\nAll of it.\n\n#### What else?\n<!-- Say what helps, or leave it\nout. -->\n",
    "bold": "# A licence\n**Copyright (c) 2019 A. Lane.**\n\nAll may use it.\n",
    "one title": "# Lamps\n\nA lamp burns oil. It is red.\n\nIt stands in the cellar.\n",
    "text below": "# Lamps\nA lamp burns oil all night long.\n\n# Oil\nOil is kept in the cellar.\n",
    "levels": "# Lamps\n## Oil\n\nOil is kept in the cellar.\n\n## Wicks\n- one\n- two\n",
    "settings": "# Lamps\n\nThe lamp has settings.\n\n# Oil\n\noil: 3\nwick: 4\n\n# Wicks\n\nA wick burns.\n",
}


@pytest.mark.parametrize("name", MARKDOWN)
def test_headings_stay_headings(name: str) -> None:
    text = MARKDOWN[name]
    assert of_kind("heading", text) == [line for line in text.splitlines() if line.startswith("#")]
