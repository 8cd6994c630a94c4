"""Statements of programs in several languages, and what opens a body."""

from __future__ import annotations

import pytest
from found_units import units


def statements(text: str) -> list[str]:
    found = units(text)
    assert {kind for kind, _ in found} <= {"code", "opener"}, found
    return [piece for _, piece in found]


@pytest.mark.parametrize(
    "statement",
    [
        "let total = items\n    .iter()\n    .filter(|item| item.fare > 3)\n    .sum();",
        "fetch(url)\n.then((answer) => answer.json());",
        "$fare = $this->port\n    ->fares()\n    ->first();",
        "return seat.ok\n    ? seat.fare\n    : seat.limit;",
        "bool ok = has_seat(a)\n    && has_fare(b)\n    || is_free;",
        "bool ok = has_seat(a) &&\n    has_fare(b) ||\n    is_free;",
        "let name = ferry\n    ?.port\n    ?? 'none';",
        'std::cout << "Fare: "\n          << fare\n          << std::endl;',
        'String name = "Red "\n    + port.name()\n    + "!";',
        "int total = fare_a +\n    fare_b;",
        "Ferry::Ferry(int seats)\n  : seats_(seats), fare_(3) {}",
        "type Port =\n  | 'red'\n  | 'green';",
        "auto fare(int port)\n    -> int;",
        "const load = (port) =>\n  ports.get(port);",
    ],
)
def test_a_statement_goes_on_with_an_operator(statement: str) -> None:
    before, after = "int a = 1;", "int b = f(a);"
    text = f"{before}\nint c = f(a);\n{statement}\n{after}\nint d = f(b);\n"
    assert statement in statements(text)


def test_pipes_go_on() -> None:
    shell = "#!/bin/sh\ncat fares.txt |\n  sort -n |\n  head -3\ncat ports.txt \\\n  | sort\necho done\n"
    assert statements(shell) == [
        "#!/bin/sh",
        "cat fares.txt |\n  sort -n |\n  head -3",
        "cat ports.txt \\\n  | sort",
        "echo done",
    ]
    elixir = "ports = load(path)\nfares = ports\n  |> Enum.map(&fare/1)\n  |> Enum.sum()\nsend(a, b)\n"
    assert statements(elixir)[1] == "fares = ports\n  |> Enum.map(&fare/1)\n  |> Enum.sum()"
    haskell = "data Shape\n  = Circle Double\n  | Square Double\nside (Boat a) = f a\n"
    assert [piece for _, piece in units(f"```haskell\n{haskell}```")] == [
        "```haskell\ndata Shape\n  = Circle Double\n  | Square Double",
        "side (Boat a) = f a\n```",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        [".card {", "color: red;\n}", ".title {", "color: blue;\n}"],
        ["int a = f(1);", "++a;", "&p;", "-f(a);", "b = f(a);"],
        ["start:", ".byte 1", ".byte 2", "call f(a);", "jump g(b);"],
        ["steps:", "- run: make(a)", "- run: test(b)", "- use: f(x)"],
        ["switch (a) {", "case 1:", ".port(a);", "break;\n}"],
    ],
)
def test_lines_that_begin_with_a_mark_of_their_own_are_statements(lines: list[str]) -> None:
    text = "\n".join("  " * (line[0] == "." and lines[0] == "start:") + line for line in lines)
    assert [piece for _, piece in units(f"```\n{text}\n```")][1:] == [*lines[1:-1], lines[-1] + "\n```"]


def test_arms_below_a_bar_are_apart_from_what_an_arm_does() -> None:
    text = "let f a = match a with\n  | Red ->\n    let b = g(a) in\n    h(b)\n  | Green -> h(a)\nlet c = d\n"
    assert statements(text) == [
        "let f a = match a with\n  | Red ->",
        "let b = g(a) in",
        "h(b)",
        "| Green -> h(a)",
        "let c = d",
    ]
