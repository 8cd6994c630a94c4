"""Lines of org."""

from __future__ import annotations

import re

from s3_retriever.structure.kinds import DATA, HEADING, JOINED, Bytes, Points
from s3_retriever.structure.lines import Lines
from s3_retriever.structure.listings import Borders, line_of, lines_with, mark_listing

_HEADING = re.compile(r"(\*+) +\S.*")
_TITLE = re.compile(r"#\+title: *\S.*", re.IGNORECASE)
_BORDER = re.compile(r"\s*#\+(begin|end)_(\w+).*", re.IGNORECASE)
_LISTED = {"src", "example", "export", "comment"}
_DRAWER = re.compile(r"\s*:[\w-]+:")
_DATA = re.compile(r"\s*(?:#\+.*|#(?: .*)?|(?:DEADLINE|SCHEDULED|CLOSED): *[<\[].*)")
_END = ":END:"
_LONGEST = 64  # lines of a drawer


def mark_org(text: str, points: Points, lines: Lines, kinds: Bytes, levels: Bytes) -> None:
    """Mark headings, listings, drawers, keywords and comments of a text in org.

    A heading has the level of its stars, one more below a title.

    Arguments are those of :func:`s3_retriever.structure.markup.mark_markup`.
    """
    likely = [(i, line_of(text, lines, i)) for i in lines_with(points, lines, "*#:DSC")]
    ends = Borders((i, name) for i, line in likely if (name := _ended(line)))
    titled, reached = 0, -1
    for i, line in likely:
        if i <= reached:
            continue
        border = _BORDER.fullmatch(line)
        if heading := _HEADING.fullmatch(line):
            kinds[i], levels[i] = HEADING, min(len(heading[1]) + titled, 255)
        elif _TITLE.fullmatch(line) and not titled:
            kinds[i], levels[i], titled = HEADING, 1, 1
        elif border and border[2].lower() in _LISTED and (end := ends.after(i, border[2].lower())):
            mark_listing(lines, kinds, i, i, end)
            reached = end
        elif _DRAWER.fullmatch(line) and 0 < (end := ends.after(i, _END)) <= i + _LONGEST:
            kinds[i], kinds[i + 1 : end + 1] = DATA, DATA | JOINED
            reached = end
        elif _DATA.fullmatch(line):
            kinds[i] = DATA


def _ended(line: str) -> str:
    """Return the name of what a line ends; empty where it ends nothing."""
    border = _BORDER.fullmatch(line)
    if border and border[1].lower() == "end":
        return border[2].lower()
    return _END if line.strip().upper() == _END else ""
