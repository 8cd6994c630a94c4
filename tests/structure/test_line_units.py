"""Lines that are one thing each, and lines of wrapped text: told by how they are filled, not by capitals."""

from __future__ import annotations

import re
import textwrap

import pytest
from found_units import units

WRAPPED = (
    "and the keeper of the old lamp had not seen the boat that came to the bay at nine when it was dark and "
    "nobody of the town below had asked for it or for any of those who had left with the tide in the morning"
)
JAPANESE = (
    "この命令は lamp という名前の設定ファイル /etc/lamp/lamp.conf を読み、"
    "そこに書かれている灯台の番号と、港に入る船の一覧を画面に表示する。"
    "番号が無いときは --all-of-the-lamps-and-boats という選択肢を指定したものとして、"
    "すべての灯台について順番に処理を行い、最後に結果をまとめて出力する。"
)


@pytest.mark.parametrize(
    "lines",
    [
        ["worker started on host a", "worker found 3 jobs", "worker failed with code 7", "worker stopped"],
        ["apple", "banana", "cherry"],
        [f'host{n} - - [9 May] "GET /lamp/{n}" 200' for n in range(9)],
        [f"lamp-tool 2024-01-0{n} run with --install /usr/bin/lamp{n}" for n in range(1, 6)],
        [
            "libalamp is the part that burns",
            "oil",
            "boats that come in at night by the old pier",
            "keeper",
            "tides of may",
        ],
        ["café au lait", "thé vert", "eau"],
    ],
)
def test_a_line_that_begins_with_a_small_letter_is_a_unit_where_lines_are_not_filled(
    lines: list[str],
) -> None:
    assert [text for _, text in units("\n".join(lines))] == lines
    assert [text for _, text in units("The lines are these.\n\n" + "\n".join(lines))][1:] == lines


def test_a_line_below_another_and_further_in_belongs_to_it() -> None:
    entries = [f"worker {n} failed\n    in lamp of room {n}" for n in range(4)]
    assert [text for _, text in units("\n".join(entries))] == entries


@pytest.mark.parametrize("width", [24, 30, 45, 60, 72, 100])
def test_wrapped_text_that_begins_with_a_small_letter_stays_whole(width: int) -> None:
    text = textwrap.fill(WRAPPED, width)
    assert units(text) == [("prose", text)]


def test_wrapped_text_around_a_long_address_stays_whole() -> None:
    lines = textwrap.wrap(WRAPPED, 40)
    lines.insert(3, "https://lamps.example/" + "room/" * 20)
    text = "\n".join(lines)
    assert units(text) == [("prose", text)]


def test_lines_of_any_length_that_end_with_a_full_stop_are_text() -> None:
    lines = [
        "the keeper() of the lamp has other means",
        "to see the boat than those that we named before, so",
        "ask",
    ]
    text = "\n".join([*lines, "for it, or say what happened when you came in to the bay by night."])
    assert units(text) == [("prose", text)]


def test_lines_of_verse_that_go_on_stay_together() -> None:
    text = (
        "o lamp of the bay,\nlight of the long night that is gone,\nburn,\nburn for those on the sea,\nand us"
    )
    assert units(text) == [("prose", text)]


@pytest.mark.parametrize("columns", [60, 78])
def test_wrapped_japanese_is_cut_at_its_sentences_only(columns: int) -> None:
    lines, line, width = [], "", 0
    for piece in re.findall("[!-~]+ ?|.", JAPANESE):
        size = len(piece) if piece.isascii() else 2
        if width + size > columns:
            lines, line, width = [*lines, line], "", 0
        line, width = line + piece, width + size
    text = "\n".join([*lines, line])
    assert [kind for kind, _ in units(text)] == ["prose"] * 2
    assert [one.endswith("。") for _, one in units(text)] == [True] * 2


def test_a_short_line_of_japanese_ends_what_it_says() -> None:
    text = "港の灯台\n古い船は夜に港へ入り朝になると潮とともに出て行くのだった"
    assert [one for _, one in units(text)] == text.splitlines()
