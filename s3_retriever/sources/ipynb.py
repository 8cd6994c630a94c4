"""Notebooks to Markdown: their texts, their code, and the beginning of what it printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from s3_retriever.errors import UnreadableFileError
from s3_retriever.json_form import parse_json
from s3_retriever.sources.content import Content

_SHOWN = 20  # lines of an output
_WIDEST = 2_000  # characters of an output
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_EMBEDDED = re.compile(r"\(data:image/[^()\s]*\)")  # a picture in a text
_TICKS = re.compile("`+")


def read_notebook(text: str) -> Content:
    """Return a notebook as Markdown: code and its text outputs in fences, without pictures.

    An output is shortened to 20 lines and 2,000 characters.

    Raises:
        UnreadableFileError: It is no JSON, or no notebook of format 4.
    """
    try:
        notebook = parse_json(text)
    except (ValueError, RecursionError) as error:
        msg = f"it is not JSON ({error})"
        raise UnreadableFileError(msg) from error
    try:
        language = (
            notebook["metadata"].get("language_info", {}).get("name", "") if "metadata" in notebook else ""
        )
        parts = [part for cell in notebook["cells"] for part in _parts(cell, language)]
    except (KeyError, TypeError, AttributeError) as error:
        msg = "it is no notebook of format 4; Jupyter's nbconvert makes one of older ones"
        raise UnreadableFileError(msg) from error
    return Content("\n\n".join(filter(None, parts)))


def _parts(cell: Any, language: str) -> Iterator[str]:
    source = _joined(cell["source"]).strip("\n")
    if cell["cell_type"] != "code":
        yield _EMBEDDED.sub("()", source)
        return
    yield _fenced(source, language)
    for output in cell.get("outputs", ()):
        if output["output_type"] == "error":
            printed = f"{output['ename']}: {output['evalue']}"
        else:
            printed = _joined(output.get("text") or output.get("data", {}).get("text/plain", ""))
        yield _fenced(_shortened(_COLOURS.sub("", printed).strip("\n")), "text")


def _joined(lines: Any) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def _shortened(printed: str) -> str:
    lines = printed[:_WIDEST].split("\n")
    shown = "\n".join(lines[:_SHOWN])
    return shown if shown == printed else f"{shown}\n..."


def _fenced(code: str, language: str) -> str:
    """Put code in a fence that it does not end itself."""
    if not code.strip():
        return ""
    ticks = "`" * max(3, 1 + max(map(len, _TICKS.findall(code)), default=0))
    return f"{ticks}{language}\n{code}\n{ticks}"
