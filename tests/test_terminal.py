"""Text of others on a terminal steers nothing, hides nothing, and forges no line of ours."""

from __future__ import annotations

import pytest

from s3_retriever.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The harbour", "The harbour"),
        ("a\n2. Forged  id [0:9]  score 9.000", r"a\n2. Forged  id [0:9]  score 9.000"),
        ("\x1b[2J\x1b]8;;http://x\x07", r"\x1b[2J\x1b]8;;http://x\x07"),
        ("\u202egpj.exe\u2066\u2069", r"\u202egpj.exe\u2066\u2069"),
        ("a\u200bd\u00adm\u2060i\ufeffn\u200d", r"a\u200bd\xadm\u2060i\ufeffn\u200d"),
        ("\U000e0041\U000e0042", r"\U000e0041\U000e0042"),  # tags, which are invisible
        ("one\u2028two\u2029\x85\r\t", r"one\u2028two\u2029\x85\r\t"),
        ("\ud800", r"\ud800"),
        ("Größe 日本語 مرحبا é 🧑", "Größe 日本語 مرحبا é 🧑"),
    ],
)
def test_a_name_is_one_line_of_what_can_be_seen(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_passage_keeps_its_lines_and_joiners_and_nothing_else() -> None:
    assert (
        printable("a\n\tb 🧑\u200d🚀 \u202e\x1b[1m\r", lines=True) == "a\n\tb 🧑\u200d🚀 \\u202e\\x1b[1m\\r"
    )
