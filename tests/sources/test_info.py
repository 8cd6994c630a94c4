"""Info files, as makeinfo writes them, and texts with a stray NUL byte; what is binary stays out."""

from __future__ import annotations

from pathlib import Path

import pytest
from found_units import levels_of_headings
from test_file_readers import read

from s3_retriever.errors import UnreadableFileError

MANUAL = """This is lamp.info, produced by makeinfo version 6.8 from lamp.texi.

\x1f
File: lamp.info,  Node: Top,  Next: Oil,  Up: (dir)

The lamp
********

This manual tells how the lamp is kept.

* Menu:

* Oil::                  What it burns.
* Index::                Where things stand.

\x1f
File: lamp.info,  Node: Oil,  Next: Index,  Prev: Top,  Up: Top

1 Oil
*****

The keeper stores the oil in the cellar.

\0\b[image src="cellar.png" alt="The cellar"\0\b]

\x1f
File: lamp.info,  Node: Index,  Prev: Oil,  Up: Top

Index
*****

\0\b[index\0\b]
* Menu:

* cellar:                                Oil.                   (line 6)

\x1f
Tag Table:
Node: Top\x7f70
Node: Oil\x7f260
Node: Index\x7f420
\x1f
End Tag Table

\x1f
Local Variables:
coding: utf-8
End:
"""


@pytest.mark.parametrize("name", ["lamp.info", "lamp.info-1", "lamp"])
def test_an_info_file_is_its_text_without_what_its_program_needs(name: str, tmp_path: Path) -> None:
    text = read(tmp_path / name, MANUAL).text
    assert not {"\0", "\b", "\x1f", "\x7f"} & set(text)
    assert "Node:" not in text and "File:" not in text and "[in" not in text
    assert levels_of_headings(text) == [("The lamp\n********", 1), ("1 Oil\n*****", 1), ("Index\n*****", 1)]
    assert "The keeper stores the oil in the cellar." in text
    assert text.startswith("This is lamp.info") and text.rstrip().endswith("(line 6)")


def test_the_first_file_of_a_manual_in_parts_is_what_stands_before_its_table(tmp_path: Path) -> None:
    tables = "\x1f\nIndirect:\nlamp.info-1: 300\n\x1f\nTag Table:\n(Indirect)\n\x1f\nEnd Tag Table\n"
    assert read(tmp_path / "lamp.info", f"About the lamp.\n\n{tables}").text == "About the lamp.\n\n"


def test_a_text_with_a_stray_nul_is_read_as_it_is(tmp_path: Path) -> None:
    text = "The keeper stores the oil in the cellar.\0\nThe ferry leaves at nine.\n"
    assert read(tmp_path / "a.txt", text).text == text


@pytest.mark.parametrize(
    "data",
    [
        "The keeper stores the oil.".encode("utf-16-le"),
        "Смотритель хранит масло в подвале маяка.".encode("utf-16-be"),
        "ผู้ดูแลเก็บน้ำมันไว้ในห้องใต้ดิน\n".encode("utf-16-le"),
        b"keeper.txt" + bytes(90) + b"The keeper stores the oil in the cellar of the lighthouse.\n" * 200,
        b"The keeper stores the oil in the cellar.\0" + "Wärter".encode("cp1252"),
        b"\x01\x02oil\x03\x04\x05\0\x06lamp\x01\x02\x03",
        b"oil\0lamp\0boat\0",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_what_is_binary_stays_out(data: bytes, encoding: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="it is no text, but binary"):
        read(tmp_path / "a.bin", data, encoding=encoding)
