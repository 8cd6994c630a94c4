"""A document as passages are cut from it: by whole units, with what must be read before them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s3_retriever.locks import cached_property
from s3_retriever.names import MatchField, SpanKind
from s3_retriever.search.text import character_range, count_words
from s3_retriever.structure import Kind, Units, scope_level, settings_above, title_of

LEAST_WORDS = 11
"""Words that a passage has at least, where its surroundings have as many."""

_TABLE_REACH, _CODE_REACH = 128, 32  # tokens back to what opens a table, a function, that comes along
_GROWTH = 64  # units that are added to a short passage at most
_DEPTH = 8  # headings above a passage
_CHAIN = 3  # lines of functions and classes around a passage
_LOOKED_AT = 64  # statements indented less, above a passage

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

_PROSE, _LIST, _HEADING, _TABLE, _HEADER, _CODE, _OPENER, _DATA, _FURNITURE = map(
    int,
    (
        Kind.PROSE,
        Kind.LIST,
        Kind.HEADING,
        Kind.TABLE,
        Kind.HEADER,
        Kind.CODE,
        Kind.OPENER,
        Kind.DATA,
        Kind.FURNITURE,
    ),
)
_BELOW_HEADER = bytes([_TABLE, _FURNITURE])
_NOWHERE = 1 << 14  # columns
_LEADING = (_HEADING, _HEADER, _OPENER)  # nothing without what follows
_LONG = 400  # characters of a passage that is not short, however long its words are

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
        self.kinds = units.kinds.tobytes()
        # NumPy would copy all of an array to look up an int where its numbers are of another type
        # (findings/numpy-searchsorted-copies.sh).
        self._token_starts, self._unit_starts = starts.data, units.starts.data
        self._ends = np.append(units.starts, len(text)).astype(np.int64)
        self._openings: dict[int, list[Range]] = {}  # by unit, of those that were asked for

    def __len__(self) -> int:
        return len(self.units)

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """int64 (n_units + 1,): the token in which each unit begins, and the number of tokens."""
        first = np.maximum(np.searchsorted(self.starts, self.units.starts, side="right") - 1, 0)
        return np.append(first, len(self.starts)).astype(np.int64)

    def unit_at(self, offset: int) -> int:
        """Return the unit that holds a character."""
        return max(0, bisect_right(self._unit_starts, offset) - 1)

    def characters(self, first: int, last: int) -> Range:
        """Return where some units begin and end."""
        return int(self._ends[first]), int(self._ends[last])

    def token_range(self, start: int, end: int) -> Range:
        """Return the tokens that hold some characters: the first, and one past the last."""
        first = max(0, bisect_right(self._token_starts, start) - 1)
        return first, max(first, bisect_left(self._token_starts, end, first))

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
        borders = [start, *self._ends[first + 1 : last].tolist(), end]
        sizes = {
            borders[i + 1] - borders[i]: first + i
            for i in range(last - first)
            if self.kinds[first + i] != _FURNITURE and borders[i] < borders[i + 1]
        }
        if not sizes:
            return None
        centre = sizes[max(sizes)]
        low, high = self.kinds.rfind(_FURNITURE, first, centre), self.kinds.find(_FURNITURE, centre, last)
        return self.completed(max(first, low + 1), last if high < 0 else high, most)

    def completed(self, first: int, last: int, most: int) -> Range:
        """Widen a passage: its headings, the opening of its table or function if near, a few words."""
        for _ in range(_GROWTH):
            grown = self._opened(first, last)
            if grown == (first, last) and self.is_short(first, last):
                grown = self._neighbour(first, last)
            if grown == (first, last) or self.size(*grown) > most:
                break
            first, last = grown
        while last - 1 > first and self.kinds[last - 1] in _LEADING:
            last -= 1
        return first, last

    def _opened(self, first: int, last: int) -> Range:
        """Return a passage with what it must not be without, as far as that is near."""
        kind = self.kinds[last - 1]
        if kind in _LEADING and self._follows(last):
            return first, last + 1
        if first and self.kinds[first - 1] == _HEADING and self.kinds[first] != _FURNITURE:
            return first - 1, last
        opening = self.openings(first)
        reach = _TABLE_REACH if self.kinds[first] == _TABLE else _CODE_REACH
        if opening and self.size(opening[-1][0], first) <= reach and self.is_free(opening[-1][0], first):
            return opening[-1][0], last
        return first, last

    def _follows(self, unit: int) -> bool:
        return unit < len(self) and self.kinds[unit] != _FURNITURE

    def is_free(self, first: int, last: int) -> bool:
        """Tell whether there is no furniture among some units."""
        return self.kinds.find(_FURNITURE, first, last) < 0

    def is_short(self, first: int, last: int) -> bool:
        """Tell whether some units have fewer words together than a passage should have."""
        start, end = self.stripped(*self.characters(first, last))
        return end - start <= _LONG and count_words(self.text[start:end], LEAST_WORDS) < LEAST_WORDS

    def _neighbour(self, first: int, last: int) -> Range:
        """Return a passage with one unit more: of its own block if there is one, then of its section."""
        begins = self.units.begins
        after, before = self._follows(last), first > 0 and self.kinds[first - 1] != _FURNITURE
        if after and not begins[last]:
            return first, last + 1
        if before and not begins[first]:
            return first - 1, last
        if after and self.kinds[last] != _HEADING:
            return first, last + 1
        if before and self.kinds[first] != _HEADING:
            return first - 1, last
        return (first, last + 1) if after else (first - 1, last) if before else (first, last)

    def size(self, first: int, last: int) -> int:
        """Return how many tokens some units have."""
        return int(self.tokens[last] - self.tokens[first])

    def piece_size(self, core: Range, least: int) -> int:
        """Return how many tokens around some have a few words, in units that are longer than a budget."""
        size = least
        while size < len(self.starts):
            start, end = self.of_tokens(max(0, core[0] - size // 2), core[0] + size // 2)
            if count_words(self.text[start:end], LEAST_WORDS + 2) >= LEAST_WORDS + 2:
                break
            size *= 2
        return size

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
        while high - 1 > low and self.kinds[high - 1] == _HEADING:
            high -= 1
        while high - 1 > centre and self.kinds[high - 1] in _LEADING:
            high -= 1
        return None if self.kinds[high - 1] in _LEADING and self._follows(high) else (low, high)

    def openings(self, unit: int) -> list[Range]:
        """Return what must be read before a unit and stands above it, the outermost first: ranges of units.

        The header of a row's table; the lines that open the functions and classes of a statement; the keys
        above a member of JSON, or its record's first member, and the first line of a record, if not long.
        """
        if unit not in self._openings:
            self._openings[unit] = self._found_openings(unit)
        return self._openings[unit]

    def _found_openings(self, unit: int) -> list[Range]:
        kind = self.kinds[unit]
        if kind == _TABLE:
            return self._header(unit)
        if kind == _DATA:
            above = [*self._above(self._data_levels, unit, int(self.units.levels[unit]))][::-1]
            return [(one, one + 1) for one in above if self._ends[one + 1] - self._ends[one] <= _LONG]
        if kind in (_CODE, _OPENER):
            return [*self._scopes(unit)][::-1]
        return []

    def _header(self, row: int) -> list[Range]:
        headers = self._headers
        last = int(np.searchsorted(headers, row))
        if not last:
            return []
        end = int(headers[last - 1]) + 1
        if self.kinds[end:row].strip(_BELOW_HEADER):
            return []
        first = end
        while first and self.kinds[first - 1] == _HEADER:
            first -= 1
        return [(first, end)]

    @cached_property
    def _headers(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.units.kinds == _HEADER)

    @cached_property
    def _heading_levels(self) -> NDArray[np.int16]:
        return self._levels_of(_HEADING)

    @cached_property
    def _data_levels(self) -> NDArray[np.int16]:
        return self._levels_of(_DATA)

    def _scopes(self, unit: int) -> Iterator[Range]:
        """Yield the lines that open the functions and classes around a statement, the innermost first."""
        for one in islice(self._openers_above(unit), _CHAIN):
            yield one, one + 1

    def _openers_above(self, unit: int) -> Iterator[int]:
        """Yield the lines that open the functions and classes around a statement, the innermost first.

        The statement stands in those that no statement between has ended, and no text between fences.
        """
        own = self._scope_level(unit)
        level = int(self._indents[unit]) if own is None else own
        for _ in range(_LOOKED_AT):
            unit = last_below(self._indents, unit, level)
            if unit < 0 or self._indents[unit] < 0:
                return
            if self.kinds[unit] == _OPENER:
                level = int(self._indents[unit])
                yield unit
            else:
                ends = self._scope_level(unit)
                level = level if ends is None else min(level, ends)

    def _scope_level(self, unit: int) -> int | None:
        return scope_level(self.text[slice(*self.characters(unit, unit + 1))], int(self._indents[unit]))

    @cached_property
    def _indents(self) -> NDArray[np.int16]:
        """int16 (n_units,): columns of statements, -1 of text that is no code, many of the rest."""
        kinds, levels = self.units.kinds, self.units.levels.astype(np.int16)
        levels[~np.isin(kinds, (_CODE, _OPENER))] = -1
        levels[np.isin(kinds, (_DATA, _FURNITURE))] = _NOWHERE
        return levels

    def _levels_of(self, kind: int) -> NDArray[np.int16]:
        """int16 (n_units,): levels of the units of a kind, and more than any level for all others."""
        return np.where(self.units.kinds == kind, self.units.levels, np.int16(_NOWHERE))

    @staticmethod
    def _above(levels: NDArray[np.int16], unit: int, level: int) -> Iterator[int]:
        """Yield the last unit before one that has a lower level, then the one above that, not many."""
        for _ in range(_DEPTH):
            unit = last_below(levels, unit, level)
            if unit < 0:
                return
            yield unit
            level = int(levels[unit])

    def described(self, start: int, end: int) -> dict[str, Any]:
        """Return what a passage is: the fields of a :class:`Span` that its place in the document tells."""
        first, last = self.unit_at(start), self.unit_at(end - 1) + 1
        borders = np.clip(self._ends[first : last + 1], start, end)
        sizes = np.bincount(self.units.kinds[first:last], np.diff(borders))
        line = self.text.count("\n", 0, start) + 1
        return {
            "kind": _NAMES[Kind(int(sizes.argmax()))],
            "heading_path": self.headings(first),
            "header": self.header(start),
            "lines": (line, line + self.text.count("\n", start, end)),
        }

    def header(self, start: int) -> str:
        """Return what must be read before a passage and is not in it; empty where nothing must."""
        unit = self.unit_at(start)
        lines = settings_above(self.text, start) if self.kinds[unit] in (_PROSE, _LIST) else []
        for one in self.openings(unit):
            indent = int(self.units.levels[one[0]]) if self.kinds[one[0]] == _OPENER else 0
            lines.append(" " * indent + self.text[slice(*self.characters(*one))].strip())
        return "\n".join(lines)

    def above(self, unit: int) -> Iterator[tuple[MatchField, int, int]]:
        """Yield what stands above a unit: headings, and lines that open functions and classes; characters."""
        for one in self._headings_above(unit):
            yield "heading", *self.characters(one, one + 1)
        if self.kinds[unit] in (_CODE, _OPENER):
            for one in islice(self._openers_above(unit), _DEPTH):
                yield "opening", *self.characters(one, one + 1)

    def headings(self, unit: int) -> tuple[str, ...]:
        """Return the headings that a unit stands below, the outermost first."""
        above = [*self._headings_above(unit)][::-1]
        return tuple(title_of(self.text[slice(*self.characters(one, one + 1))]) for one in above)

    def _headings_above(self, unit: int) -> Iterator[int]:
        """Yield the headings that a unit stands below, the innermost first."""
        level = int(self.units.levels[unit]) if self.kinds[unit] == _HEADING else 256
        return self._above(self._heading_levels, unit, level)


def last_below(values: NDArray[np.integer], end: int, level: int) -> int:
    """Return the place of the last of some values before ``end`` that is below a level; -1: none is.

    Little more is looked at than lies between.
    """
    size = 64
    while end > 0:
        begin = max(0, end - size)
        lower = np.flatnonzero(values[begin:end] < level)
        if len(lower):
            return begin + int(lower[-1])
        end, size = begin, 2 * size
    return -1
