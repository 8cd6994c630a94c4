"""Info files, as makeinfo writes them, without what only their program needs."""

from __future__ import annotations

import re

_NODE = re.compile(r"\x1f\f?\r?\nFile: [^\n]*\n")  # the heading of the node stands below
_TABLES = re.compile(
    r"\x1f\f?\r?\n(?:Indirect:|Tag Table:|End Tag Table|Local Variables:)[^\x1f]*", re.IGNORECASE
)
_MARK = re.compile("\0\b\\[[^\0]*\0\b\\]\r?\n?")  # of a picture, or of an index


def read_info(text: str) -> str:
    """Return a text without lines that lead from node to node, tables of offsets, and marks of pictures.

    A text that is no Info file stays as it is.
    """
    if "\x1f" not in text:
        return text
    return _MARK.sub("", _TABLES.sub("", _NODE.sub("", text)))
