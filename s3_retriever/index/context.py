"""What stands above a text: titles, paths, headings, openings, page numbers; and the cells below them."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.index.designations import designations
from s3_retriever.index.referring import file_name, names_of
from s3_retriever.index.terms import ARRAYS as TERM_ARRAYS
from s3_retriever.index.words import PAGE, words
from s3_retriever.structure import Kind, Units, scope_level, title_of

ARRAYS = tuple(f"context_{name}" for name in TERM_ARRAYS)
"""The arrays that make up the context of a segment's cells; see :func:`context_terms`."""

HEADING = "#"
"""Begins the term of a word of a heading; no other term has it."""

TABLE = "|"
"""The term that stands above the cells of tables with a header; no text has it."""

LEAST_TABLE = 4
"""Cells of a table and its header above which :data:`TABLE` stands: in a smaller one the header is near."""

LONGEST = 1000
"""Characters of a title, an id, a heading or an opening line that are read."""

_PATH = re.compile(r".*[/\\].*|.*[^.]\.(?=.*[^\W\d])\w{1,8}", re.DOTALL)


def is_path(doc_id: str) -> bool:
    """Tell whether an id is the path or the name of a file.

    Examples:
        >>> is_path("manuals/x200.md"), is_path("x200.md"), is_path("x200"), is_path("7.5")
        (True, True, False, False)
    """
    return _PATH.fullmatch(doc_id[:LONGEST]) is not None


def context_terms(
    document: Document, units: Units, cell_starts: npt.NDArray[np.integer]
) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
    """Give the words that stand above cells to these cells; in linear time.

    All cells stand below the title, and below the id where that is a path. Below a heading stand those up to
    the next heading of its level or a higher one; its words are marked. Below a line that opens a function or
    class stand those up to the next statement that ends it (``scope_level`` of ``structure/``), or to text
    that is no code. The number of a page stands above the cells on it. Titles, file names and headings stand
    there as names, too, by which other texts refer to what they head. :data:`TABLE` stands above tables.

    Args:
        document: The document.
        units: Of its text.
        cell_starts: int (c,), offset of the first character of each cell, ascending.

    Yields:
        All at once: a term twice for each range of cells that stand below it, and int64, the first cell of
        the range and its last one. A term's ranges ascend and do not touch. Nothing without cells.
    """
    last = len(cell_starts) - 1
    if last < 0:
        return
    found: defaultdict[str, list[int]] = defaultdict(list)
    path = document.id if is_path(document.id) else ""
    for name in (document.title, path):
        _add(found, name, 0, last)
    for name in (document.title, file_name(path)):
        _add_names(found, name, 0, last)
    _add_pages(found, document, cell_starts)
    _add_designations(found, document.text, cell_starts)
    text, borders = document.text, [*units.starts.tolist(), len(document.text)]
    sections = sorted([*_headed(units), *_opened(units, text)])
    marks = ["" if kind == Kind.OPENER else HEADING for kind in units.kinds[[unit for unit, _ in sections]]]
    characters = np.array([(borders[unit], borders[end] - 1) for unit, end in sections], np.int64)
    cells = np.searchsorted(np.asarray(cell_starts, np.int64), characters, side="right") - 1
    for (unit, _), mark, (first, final) in zip(sections, marks, np.maximum(cells, 0).tolist(), strict=True):
        heading = text[borders[unit] : borders[unit + 1]]
        _add(found, heading, first, final, mark)
        if mark:
            _add_names(found, title_of(heading[:LONGEST]), first, final)
    tables = np.array([(borders[first], borders[end] - 1) for first, end in _tables(units)], np.int64)
    _add_tables(found[TABLE], tables.reshape(-1, 2), cell_starts)
    terms = [term for term, ranges in found.items() for _ in ranges]
    yield terms, np.fromiter(itertools.chain.from_iterable(found.values()), np.int64, len(terms))


def _add(found: defaultdict[str, list[int]], name: str, first: int, last: int, mark: str = "") -> None:
    """Add a range of cells to those of the words of a name; none before begins behind it."""
    for term in dict.fromkeys(term for term, _ in words(name[:LONGEST])):
        _add_range(found[mark + term], first, last)


def _add_names(found: defaultdict[str, list[int]], title: str, first: int, last: int) -> None:
    """Add a range of cells to those of the names of what has a title."""
    for term in names_of(title[:LONGEST]):
        _add_range(found[term], first, last)


def _add_range(ranges: list[int], first: int, last: int) -> None:
    """Add a range of cells to others, none of which begins behind it; those that touch are one."""
    if ranges and first <= ranges[-1] + 1:
        ranges[-1] = max(ranges[-1], last)
    else:
        ranges += (first, last)


def _add_designations(
    found: defaultdict[str, list[int]], text: str, cell_starts: npt.NDArray[np.integer]
) -> None:
    """Add the cell in which each designation ends: what follows is mostly about it."""
    terms, ends = [], []
    for one in designations(text):
        terms.append(one.term)
        ends.append(one.end - 1)
    cells = np.searchsorted(np.asarray(cell_starts, np.int64), np.array(ends, np.int64), side="right") - 1
    for term, cell in zip(terms, np.maximum(cells, 0).tolist(), strict=True):
        _add_range(found[term], cell, cell)


def _add_pages(
    found: defaultdict[str, list[int]], document: Document, cell_starts: npt.NDArray[np.integer]
) -> None:
    """Add the cells of each page that has characters."""
    borders = np.array([*document.pages, len(document.text)], np.int64)
    numbers = np.flatnonzero(borders[:-1] < borders[1:])
    places = np.stack([borders[numbers], borders[numbers + 1] - 1], axis=1)
    cells = np.maximum(np.searchsorted(np.asarray(cell_starts, np.int64), places, side="right") - 1, 0)
    for number, ends in zip(numbers.tolist(), cells.tolist(), strict=True):
        found[f"{PAGE}{number + 1}"] += ends


def _add_tables(
    ranges: list[int], tables: npt.NDArray[np.int64], cell_starts: npt.NDArray[np.integer]
) -> None:
    """Add the cells of tables, int64 (n, 2) first and last character; each begins behind the one before."""
    cells = np.maximum(np.searchsorted(np.asarray(cell_starts, np.int64), tables, side="right") - 1, 0)
    for first, last in cells.tolist():
        begin = max(first, ranges[-1] + 1) if ranges else first
        if last - begin + 1 >= LEAST_TABLE:
            ranges += (begin, last)


def _tables(units: Units) -> Iterator[tuple[int, int]]:
    """Yield tables that have a header: its first unit, and the unit behind the last row.

    A table goes on behind furniture of pages.
    """
    places = np.flatnonzero(units.kinds != Kind.FURNITURE)
    kinds = units.kinds[places]
    is_header, is_row = kinds == Kind.HEADER, kinds == Kind.TABLE
    firsts = np.flatnonzero(is_header & ~np.append(False, is_header[:-1]))
    rows = np.flatnonzero(is_row & np.append(False, is_header[:-1]))
    others = np.append(np.flatnonzero(~is_row), len(kinds))
    for row in rows.tolist():
        header = firsts[np.searchsorted(firsts, row) - 1]
        yield int(places[header]), int(places[others[np.searchsorted(others, row)] - 1]) + 1


def _headed(units: Units) -> Iterator[tuple[int, int]]:
    """Yield headings, and the unit that ends what each heads: the next one of no higher level."""
    headings = np.flatnonzero(units.kinds == Kind.HEADING)
    levels = units.levels[headings].tolist()
    return _sections(len(units), zip(headings.tolist(), levels, levels, strict=True))


def _opened(units: Units, text: str) -> Iterator[tuple[int, int]]:
    """Yield lines that open functions and classes, and the unit that ends each."""
    if not (units.kinds == Kind.OPENER).any():
        return iter(())
    borders = [*units.starts.tolist(), len(text)]

    def levels() -> Iterator[tuple[int, int | None, int | None]]:
        for unit, (kind, level) in enumerate(zip(units.kinds.tolist(), units.levels.tolist(), strict=True)):
            if kind == Kind.OPENER:
                yield unit, level, level
            elif kind == Kind.CODE:
                yield unit, scope_level(text[borders[unit] : borders[unit + 1]], level), None
            elif kind not in (Kind.DATA, Kind.FURNITURE):
                yield unit, -1, None

    return _sections(len(units), levels())


def _sections(n: int, units: Iterable[tuple[int, int | None, int | None]]) -> Iterator[tuple[int, int]]:
    """Yield units that open something, and the unit that ends it.

    Args:
        n: All units; what is open then ends there.
        units: Ascending, each with the level from which on it ends what is open, and the level of what it
            opens; None for none.
    """
    above: list[tuple[int, int]] = []
    for unit, ends, opens in units:
        while ends is not None and above and above[-1][1] >= ends:
            yield above.pop()[0], unit
        if opens is not None:
            above.append((unit, opens))
    yield from ((unit, n) for unit, _ in above)
