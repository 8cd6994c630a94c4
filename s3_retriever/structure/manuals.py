"""Lines of POD, alone or within a program, headings of roff, and menus of Info."""

from __future__ import annotations

import re

from s3_retriever.structure.kinds import CODE, DATA, HEADING, JOINED, LIST, PROSE, Bytes, Points
from s3_retriever.structure.lines import END, FIRST, INDENT, Lines
from s3_retriever.structure.listings import line_of, lines_with

_POD = re.compile(r"=(?:(head)([1-6]) +\S.*|(item)\b.*|(cut|pod|over|back|begin|end|for|encoding)\b.*)")
_ROFF = re.compile(r"\.S([HS])(?: +\S.*)?", re.IGNORECASE)
MENU = "* Menu:"
"""The line above the first entries of a menu of Info."""

_ENTRY = re.compile(r"\* [^\s:].*:(?:[:\s(].*)?")
_LEAST = 2  # headings


def mark_manual(text: str, points: Points, lines: Lines, kinds: Bytes, levels: Bytes) -> None:
    """Mark the lines of POD, and headings of roff, of a text that has two headings of one of them.

    A heading has the level of its mark. What stands between "=cut" and the next mark of POD is left alone.
    Where a text has a menu of Info, each entry of it and of others is a record, with the lines further in.

    Args:
        text: What the lines are of.
        points: Its characters.
        lines: Its lines.
        kinds: Of the lines; those that nothing marks yet are written.
        levels: Of the lines, to be written.
    """
    likely = [(i, line_of(text, lines, i)) for i in lines_with(points, lines, "=.*") if not kinds[i]]
    if any(line == MENU for _, line in likely):
        _mark_menus(lines, [i for i, line in likely if _ENTRY.fullmatch(line)], kinds)
    pod = {i: mark for i, line in likely if (mark := _POD.fullmatch(line))}
    roff = {i: mark for i, line in likely if (mark := _ROFF.fullmatch(line))}
    if sum(mark[1] is not None for mark in pod.values()) >= _LEAST:
        _mark_pod(lines, pod, kinds, levels)
    if len(roff) >= _LEAST:
        for i, mark in roff.items():
            kinds[i], levels[i] = HEADING, 1 if mark[1] in "Hh" else 2
            if mark[0] == mark[0][:3] and i + 1 < len(lines) and not kinds[i + 1]:  # its title is below it
                kinds[i + 1] = HEADING | JOINED


def _mark_menus(lines: Lines, entries: list[int], kinds: Bytes) -> None:
    """Mark entries of menus as records, which are whole."""
    kinds[entries] = DATA
    for i in entries:
        while i + 1 < len(lines) and lines[i + 1, INDENT] and lines[i + 1, FIRST] < lines[i + 1, END]:
            i += 1
            if kinds[i]:
                break
            kinds[i] = DATA | JOINED


def _mark_pod(lines: Lines, marks: dict[int, re.Match[str]], kinds: Bytes, levels: Bytes) -> None:
    """Mark paragraphs: headings, items, commands, text, and what is indented as code."""
    within, kind = False, 0
    for i in range(min(marks), len(lines)):
        row = lines[i]
        if row[FIRST] == row[END]:
            kind = 0
            continue
        if mark := marks.get(i):
            within = mark[4] != "cut"
            kinds[i] = kind = HEADING if mark[1] else LIST if mark[3] else DATA
            levels[i] = int(mark[2] or 0)
        elif within and not kinds[i]:
            kinds[i] = kind | JOINED if kind and kind != CODE else CODE if row[INDENT] else PROSE
            kind = int(kinds[i]) & ~JOINED
