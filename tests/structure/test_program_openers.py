"""What opens the body that a statement stands in, in several languages."""

from __future__ import annotations

import pytest
from found_units import header_of, of_kind


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("const load = async (path) => {", "};"),
        ("M.load = function(path)", "end"),
        ("load() {", "}"),
        ("void Queue::push(\n  Item item,\n  Mode mode) {", "}"),
        ("int\nmain(int argc)\n{", "}"),
        ("static struct port *\nfind_port(int a)\n{", "}"),
        ("- (void)reset:(int)a\n{", "}"),
        ("+ (id)portWithName:(NSString *)name {", "}"),
        ('resource "port" "red" {', "}"),
        (".card .title {", "}"),
        (".card > a:hover,\n.card .title {", "}"),
        ("@media (min-width: 3em) {", "}"),
    ],
)
def test_the_header_is_what_opens_the_body(opening: str, closing: str) -> None:
    body = "\n".join(f"    set_fare({i}, a);" for i in range(40))
    text = f"int a = f(1);\nint b = f(a);\n\n{opening}\n{body}\n{closing}\n\nint c = f(2);\n"
    signature = opening.removesuffix("\n{")
    assert header_of(text, "set_fare(30").removesuffix("\n{") == signature
    assert header_of(text, "int c") == ""


@pytest.mark.parametrize("opening", ["public int Total\n    {", "public override int Total {"])
def test_properties_of_a_class(opening: str) -> None:
    body = "\n".join(f"        set_fare({i}, a);" for i in range(40))
    text = f"public class Port\n{{\n    {opening}\n{body}\n    }}\n    int b;\n}}\n"
    signature = opening.removesuffix("\n    {")
    assert header_of(text, "set_fare(30") == f"public class Port\n    {signature}"
    assert header_of(text, "int b") == "public class Port"


def test_targets_of_make_open_their_recipes() -> None:
    recipe = "\n".join(f"\t$(CC) -c port{i}.c -o port{i}.o" for i in range(40))
    head = "CC := gcc\n\n.PHONY: all\nall: ferry\n\n"
    text = f"```make\n{head}ferry: port.o $(PARTS)\n{recipe}\n```\n"
    assert header_of(text, "port30.c") == "ferry: port.o $(PARTS)"


@pytest.mark.parametrize(
    "line",
    [
        "if (a == b)\n{",
        "} else {",
        "do {",
        "for each (int a in b)\n{",
        "return new Port {",
        "ports.each(a) {",
        "int ports[] = {",
        "use port::{",
        "import type {",
        "async move {",
        "Some(a) => {",
        "case RED: {",
        "foreach_port(a, b) {",
        "out:",
    ],
)
def test_other_blocks_open_nothing(line: str) -> None:
    text = f"int f(int b) {{\n    int a = f(1);\n    {line}\n        set_fare(3, a);\n    }}\n}}\n"
    assert of_kind("opener", text) == ["int f(int b) {"]


def test_what_is_no_method_opens_nothing() -> None:
    rust = "impl Port for Pier\n{\n    fn fare(a: A)\n    where A: Fare,\n    {\n        f(a);\n    }\n}\n"
    assert "where A: Fare," not in [piece.split("\n")[0].strip() for piece in of_kind("opener", rust)]
    declared = "int a = f(1);\n+ (Port *) portWithName: (NSString *)name\n      seats: (int)seats;\nint b;\n"
    assert of_kind("opener", declared) == []


def test_labels_of_c_open_nothing() -> None:
    text = "int f(int b)\n{\n\tif (b)\n\t\tgoto out;\n\tset_fare(3, b);\nout:\n\tclose(b);\n\treturn b;\n}\n"
    assert of_kind("opener", text) == ["int f(int b)"]
