"""A document as passages are cut from it: by whole units, with what must be read before them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s3_retriever.locks import cached_property
from s3_retriever.names import SpanKind
from s3_retriever.search.text import character_range, count_words
from s3_retriever.structure import Kind, Units

LEAST_WORDS = 11
"""Words that a passage has at least, where its surroundings have as many."""

_REACH = 64  # tokens back to the header of a table, or to the line that opens a function, that come along
_GROWTH = 64  # units that are added to a short passage at most
_DEPTH = 8  # headings above a passage
_CHAIN = 3  # lines of functions and classes around a passage

_NAMES: dict[Kind, SpanKind] = {
    Kind.PROSE: "prose",
    Kind.HEADING: "heading",
    Kind.LIST: "list",
    Kind.TABLE: "table",
    Kind.HEADER: "table",
    Kind.CODE: "code",
    Kind.OPENER: "code",
    Kind.DATA: "data",
    Kind.FURNITURE: "furniture",
}

Range = tuple[int, int]


class Page:
    """A document's text, tokens and units.

    Args:
        text: The document.
        starts: uint32 (n,), character offset of each token, ascending.
        units: Of the text.
    """

    def __init__(self, text: str, starts: NDArray[np.uint32], units: Units) -> None:
        self.text = text
        self.starts = starts
        self.units = units
        self.kinds = units.kinds
        self._ends = np.append(units.starts, len(text)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.units)

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """int64 (n_units + 1,): the token in which each unit begins, and the number of tokens."""
        first = np.maximum(np.searchsorted(self.starts, self.units.starts, side="right") - 1, 0)
        return np.append(first, len(self.starts)).astype(np.int64)

    def unit_at(self, offset: int) -> int:
        """Return the unit that holds a character."""
        return max(0, int(np.searchsorted(self.units.starts, offset, side="right")) - 1)

    def characters(self, first: int, last: int) -> Range:
        """Return where some units begin and end."""
        return int(self._ends[first]), int(self._ends[last])

    def token_range(self, start: int, end: int) -> Range:
        """Return the tokens that hold some characters: the first, and one past the last."""
        first = max(0, int(np.searchsorted(self.starts, start, side="right")) - 1)
        return first, max(first, int(np.searchsorted(self.starts, end, side="left")))

    def of_tokens(self, first: int, last: int) -> Range:
        """Return the characters of some tokens; what is before the first token belongs to it."""
        return character_range(self.text, self.starts, first, last)

    def stripped(self, start: int, end: int) -> Range:
        """Return a range without the white space at its ends."""
        piece = self.text[start:end]
        start += len(piece) - len(piece.lstrip())
        return start, max(start, end - len(piece) + len(piece.rstrip()))

    def passage(self, core: Range, most: int) -> Range | None:
        """Return the units to which some tokens belong, and those that must come with them.

        Args:
            core: The tokens: the first, and one past the last.
            most: Tokens that the passage may have.

        Returns:
            The first unit and one past the last; None where there is but furniture and white space.
        """
        start, end = self.stripped(*self.of_tokens(*core))
        first, last = self.unit_at(start), self.unit_at(max(start, end - 1)) + 1
        sizes = np.diff(np.clip(self._ends[first : last + 1], start, end))
        sizes[self.kinds[first:last] == Kind.FURNITURE] = 0
        if not sizes.any():
            return None
        return self.completed(*self._free(first, last, first + int(sizes.argmax())), most)

    def _free(self, first: int, last: int, centre: int) -> Range:
        """Return the units around one that no furniture parts from it."""
        furniture = np.flatnonzero(self.kinds[first:last] == Kind.FURNITURE) + first
        place = int(np.searchsorted(furniture, centre))
        low = int(furniture[place - 1]) + 1 if place else first
        return low, int(furniture[place]) if place < len(furniture) else last

    def completed(self, first: int, last: int, most: int) -> Range:
        """Widen a passage: its headings, the opening of its table or function if near, a few words."""
        for _ in range(_GROWTH):
            grown = self._opened(first, last)
            if grown == (first, last) and self.is_short(first, last):
                grown = self._neighbour(first, last)
            if grown == (first, last) or self.size(*grown) > most:
                break
            first, last = grown
        while last - 1 > first and self.kinds[last - 1] == Kind.HEADING:
            last -= 1
        return first, last

    def _opened(self, first: int, last: int) -> Range:
        """Return a passage with what it must not be without, as far as that is near."""
        kind = self.kinds[last - 1]
        if kind in (Kind.HEADING, Kind.HEADER, Kind.OPENER) and self._follows(last):
            return first, last + 1
        if first and self.kinds[first - 1] == Kind.HEADING and self.kinds[first] != Kind.FURNITURE:
            return first - 1, last
        opening = self.openings(first)
        if opening and self.size(opening[-1][0], first) <= _REACH and self.is_free(opening[-1][0], first):
            return opening[-1][0], last
        return first, last

    def _follows(self, unit: int) -> bool:
        return unit < len(self) and self.kinds[unit] != Kind.FURNITURE

    def is_free(self, first: int, last: int) -> bool:
        """Tell whether there is no furniture among some units."""
        return not (self.kinds[first:last] == Kind.FURNITURE).any()

    def is_short(self, first: int, last: int) -> bool:
        """Tell whether some units have fewer words together than a passage should have."""
        return count_words(self.text[slice(*self.characters(first, last))], LEAST_WORDS) < LEAST_WORDS

    def _neighbour(self, first: int, last: int) -> Range:
        """Return a passage with one unit more: of its own block if there is one, then of its section."""
        begins = self.units.begins
        after, before = self._follows(last), first > 0 and self.kinds[first - 1] != Kind.FURNITURE
        if after and not begins[last]:
            return first, last + 1
        if before and not begins[first]:
            return first - 1, last
        if after and self.kinds[last] != Kind.HEADING:
            return first, last + 1
        if before and self.kinds[first] != Kind.HEADING:
            return first - 1, last
        return (first, last + 1) if after else (first - 1, last) if before else (first, last)

    def size(self, first: int, last: int) -> int:
        """Return how many tokens some units have."""
        return int(self.tokens[last] - self.tokens[first])

    def within(self, first: int, last: int, centre: int, most: int) -> Range | None:
        """Return those of some units around one that have ``most`` tokens together at most, if it has."""
        low, high = centre, centre + 1
        if self.size(low, high) > most:
            return None
        while True:
            if high < last and self.size(low, high + 1) <= most:
                high += 1
            elif low > first and self.size(low - 1, high) <= most:
                low -= 1
            else:
                break
        while high - 1 > low and self.kinds[high - 1] == Kind.HEADING:
            high -= 1
        return low, high

    def openings(self, unit: int) -> list[Range]:
        """Return what must be read before a unit and stands above it, the outermost first: ranges of units.

        The header of a row's table; the lines that open the functions and classes of a statement.
        """
        kind = self.kinds[unit]
        if kind == Kind.TABLE:
            return self._header(unit)
        if kind in (Kind.CODE, Kind.OPENER, Kind.DATA):
            return [*self._scopes(unit)][::-1]
        return []

    def _header(self, row: int) -> list[Range]:
        headers = self._headers
        last = int(np.searchsorted(headers, row))
        if not last:
            return []
        end = int(headers[last - 1]) + 1
        if (self.kinds[end:row] != Kind.TABLE).any():
            return []
        first = end
        while first and self.kinds[first - 1] == Kind.HEADER:
            first -= 1
        return [(first, end)]

    @cached_property
    def _headers(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.kinds == Kind.HEADER)

    @cached_property
    def _openers(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.kinds == Kind.OPENER)

    @cached_property
    def _headings(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.kinds == Kind.HEADING)

    def _scopes(self, unit: int) -> Iterator[Range]:
        """Yield the lines that open the functions and classes around a statement, the innermost first."""
        for one in self._above(self._openers, unit, int(self.units.levels[unit]), _CHAIN):
            yield one, one + 1

    def _above(self, among: NDArray[np.intp], unit: int, level: int, most: int) -> Iterator[int]:
        """Yield the last of some units before one that has a lower level, then the one above that."""
        among = among[: np.searchsorted(among, unit)]
        levels = self.units.levels[among]
        for _ in range(most):
            lower = np.flatnonzero(levels < level)
            if not len(lower):
                return
            place = int(lower[-1])
            yield int(among[place])
            level, levels = int(levels[place]), levels[:place]

    def described(self, start: int, end: int) -> dict[str, Any]:
        """Return what a passage is: the fields of a :class:`Span` that its place in the document tells."""
        first, last = self.unit_at(start), self.unit_at(end - 1) + 1
        borders = np.clip(self._ends[first : last + 1], start, end)
        sizes = np.bincount(self.kinds[first:last], np.diff(borders))
        line = self.text.count("\n", 0, start) + 1
        return {
            "kind": _NAMES[Kind(int(sizes.argmax()))],
            "heading_path": self.headings(first),
            "header": self.header(start),
            "lines": (line, line + self.text.count("\n", start, end)),
        }

    def header(self, start: int) -> str:
        """Return what must be read before a passage and is not in it; empty where nothing must."""
        lines = []
        for one in self.openings(self.unit_at(start)):
            indent = int(self.units.levels[one[0]]) if self.kinds[one[0]] == Kind.OPENER else 0
            lines.append(" " * indent + self.text[slice(*self.characters(*one))].strip())
        return "\n".join(lines)

    def headings(self, unit: int) -> tuple[str, ...]:
        """Return the headings that a unit stands below, the outermost first."""
        level = int(self.units.levels[unit]) if self.kinds[unit] == Kind.HEADING else 256
        above = [*self._above(self._headings, unit, level, _DEPTH)][::-1]
        return tuple(_title(self.text[slice(*self.characters(one, one + 1))]) for one in above)


def _title(text: str) -> str:
    """Return a heading without the marks that make it one, on one line."""
    lines = [line.strip().strip("#").strip() for line in text.splitlines()]
    return " ".join(line for line in lines if any(map(str.isalnum, line)))
