"""Numbered titles without blank lines around, as the text of PDF files has them: by their sequence."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from s3_retriever.structure.characters import DIGIT
from s3_retriever.structure.kinds import HEADING, Bytes, Flags
from s3_retriever.structure.lines import END, FIRST, LAST, LEADERS, LETTERS, PAGE, WORDS, Lines

_TITLE = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?[ \t]+(?=[^\W\d_])")
_LONGEST, _WORDS = 100, 14  # characters and words of a title at most
_LEAST = 4  # titles in a row, at least, whose numbers follow each other
_OPEN = ",;:.!。！，；："  # what ends no title
_ENDS = re.compile(r"[.!?:。！？：][\"'”’»)\]」』）】]*$")

Number = tuple[int, ...]


def mark_titles(text: str, flags: Flags, lines: Lines, kinds: Bytes, levels: Bytes) -> None:
    """Mark numbered titles that stand between whole sentences as headings, among lines not marked yet.

    Their numbers follow each other through the text, those of sections within sections among them: 2.1
    comes after 2, and 3 after 2.4.
    """
    filled = np.flatnonzero(lines[:, FIRST] < lines[:, END])
    titles = _numbered(text, flags, lines, kinds, filled)
    chain = _longest_chain(list(titles.values()))
    places = list(titles)
    if len(chain) < _LEAST or all(len(titles[places[one]]) == 1 for one in chain):
        return
    for place in (places[one] for one in chain):
        if _is_apart(text, lines, kinds, filled, place):
            kinds[filled[place]], levels[filled[place]] = HEADING, len(titles[place])


def _numbered(
    text: str, flags: Flags, lines: Lines, kinds: Bytes, filled: npt.NDArray[np.intp]
) -> dict[int, Number]:
    """Return the numbers of lines that look like numbered titles, by the places of the lines."""
    places = np.flatnonzero((flags[lines[filled, FIRST]] & DIGIT != 0) & (kinds[filled] == 0))
    rows = lines[filled[places]]
    likely = (rows[:, LETTERS] > 0) & (rows[:, LEADERS] < 4) & (rows[:, WORDS] <= _WORDS)
    likely &= rows[:, LAST] - rows[:, FIRST] <= _LONGEST
    found: dict[int, Number] = {}
    entries: set[int] = set()  # of contents or a list: what follows is no text and no title within theirs
    for place in places[likely].tolist():
        first, last = lines[filled[place], FIRST], lines[filled[place], LAST]
        match = _TITLE.match(text, first, last)
        if match and text[last - 1] not in _OPEN and not text[match.end()].islower():
            found[place] = tuple(map(int, match[1].split(".")))
    for place, number in reversed([*found.items()]):
        if found.get(place + 1, number)[: len(number)] != number or place + 1 in entries:
            entries.add(place)
    return {place: number for place, number in found.items() if place not in entries}


def _longest_chain(numbers: list[Number]) -> list[int]:
    """Return the places of most numbers of which each follows the one before it.

    Behind 2 and all that begins with 2 comes 3; 2.1 comes behind 2, or behind 1 and all that begins with it.
    """
    lengths, before = [0] * len(numbers), [-1] * len(numbers)
    exact: dict[Number, int] = {}  # the first one of the longest chain that ends with a number
    within: dict[Number, int] = {}  # or with one that begins so
    for i, number in enumerate(numbers):
        *outer, last = number
        parent = tuple(outer)
        if last > 1:
            ends = [within.get((*parent, last - 1), -1)]
        elif last == 1 and parent:
            ends = [exact.get(parent, -1), within.get((*parent[:-1], parent[-1] - 1), -1)]
        else:
            ends = []
        before[i] = max(ends, key=lambda one: lengths[one] if one >= 0 else 0, default=-1)
        lengths[i] = 1 + (lengths[before[i]] if before[i] >= 0 else 0)
        for known, key in [(exact, number), *((within, number[: n + 1]) for n in range(len(number)))]:
            if key not in known or lengths[i] > lengths[known[key]]:
                known[key] = i
    chain = []
    one = max(range(len(numbers)), key=lengths.__getitem__, default=-1)
    while one >= 0:
        chain.append(one)
        one = before[one]
    return chain[::-1]


def _is_apart(text: str, lines: Lines, kinds: Bytes, filled: npt.NDArray[np.intp], place: int) -> bool:
    """Tell whether what stands above a line has ended, and what stands below begins anew."""
    if place + 1 == len(filled) or text[lines[filled[place + 1], FIRST]].islower():
        return False
    above, line = filled[max(0, place - 1)], filled[place]
    if line - above != 1 or kinds[above] or lines[line, PAGE]:
        return True
    return (
        _ENDS.search(text, max(lines[above, FIRST], lines[above, LAST] - 9), lines[above, LAST]) is not None
    )
