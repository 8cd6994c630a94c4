"""Which words stand above which cells."""

from __future__ import annotations

import random

import numpy as np
import pytest

from s3_retriever import Document
from s3_retriever.errors import IndexFormatError
from s3_retriever.index.context import HEADING, LEAST_TABLE, TABLE, context_terms, is_path
from s3_retriever.index.designations import designations
from s3_retriever.index.referring import file_name, names_of
from s3_retriever.index.terms import ARRAYS, TermBuilder, TermPostings
from s3_retriever.index.words import PAGE, words
from s3_retriever.structure import Kind, Units, find_units, scope_level, title_of

LINES = (
    "# Ferries",
    "## Timetable",
    "## Winter ferries",
    "### Spare parts of a ferry",
    "",
    "The boat leaves at nine from the old pier, and it returns at noon on every day but Sunday.",
    "class Ferry(Boat):",
    "    def leave(self, pier):",
    "        return pier.open() and self.engine.start()",
    "    async def return_home(self):",
    "        pass",
    "def main():",
    "    run(Ferry())",
    "# a note",
    "for ferry in ferries:",
    "{",
    "| Pier | Ferry |\n|---|---|\n| Old | Red |\n| New | Blue |\n",
    "| North | Grey |",
    "Boat XR-500 leaves from pier 7, see section 4.3 of BRG-226-10 or § 12.",
    "### 4.3 Fares",
    "\n* * *\n\nSouth\tGreen\t3\nEast\tRed\t4\nWest\tBlue\t5\n",
)


def above(document: Document, starts: np.ndarray) -> list[set[str]]:
    """For each cell, the terms above it: by looking, for each, at all that could open a section."""
    units, text = find_units(document.text), document.text
    borders = [*units.starts.tolist(), len(text)]
    everywhere = {term for term, _ in words(document.title)}
    if is_path(document.id):
        everywhere |= {term for term, _ in words(document.id)}
        everywhere |= {*names_of(file_name(document.id))}
    everywhere |= {*names_of(document.title)}
    cells = [set(everywhere) for _ in starts]
    for i, own in enumerate(cells):
        last = starts[i + 1] if i + 1 < len(starts) else len(text)
        pages = document.pages_of(starts[i] if i else 0, last)
        own |= {
            f"{PAGE}{page}" for page in pages if document.pages[page - 1] < [*document.pages, len(text)][page]
        }
    for one in designations(text):
        cells[max(0, int((starts < one.end).sum()) - 1)].add(one.term)
    for unit in range(len(units)):
        kind = Kind(units.kinds[unit])
        if kind not in (Kind.HEADING, Kind.OPENER):
            continue
        level = int(units.levels[unit])
        later = range(unit + 1, len(units))
        if kind == Kind.HEADING:
            ends = [i for i in later if units.kinds[i] == kind and units.levels[i] <= level]
        else:
            ends = [i for i in later if ends_code(text[borders[i] : borders[i + 1]], units, i, level)]
        begin, end = borders[unit], borders[min([*ends, len(units)])]
        mark = HEADING if kind == Kind.HEADING else ""
        for i, own in enumerate(cells):
            cell_begin = starts[i] if i else 0
            cell_end = starts[i + 1] if i + 1 < len(starts) else len(text)
            if begin < cell_end and cell_begin < end:
                own |= {mark + term for term, _ in words(text[begin : borders[unit + 1]])}
                own |= {*names_of(title_of(text[begin : borders[unit + 1]]))} if mark else set()
    last_table = -1
    parts = [unit for unit in range(len(units)) if units.kinds[unit] != Kind.FURNITURE]
    kinds = units.kinds[parts].tolist()
    for part in range(1, len(parts)):
        if kinds[part] == Kind.TABLE and kinds[part - 1] == Kind.HEADER:
            start = stop = part
            while start and kinds[start - 1] == Kind.HEADER:
                start -= 1
            while stop < len(parts) and kinds[stop] == Kind.TABLE:
                stop += 1
            first, end = parts[start], parts[stop - 1] + 1
            inside = [
                i
                for i in range(last_table + 1, len(starts))
                if (i == 0 or starts[i] < borders[end])
                and (starts[i + 1] if i + 1 < len(starts) else len(text)) > borders[first]
            ]
            if len(inside) >= LEAST_TABLE:
                last_table = inside[-1]
                for i in inside:
                    cells[i].add(TABLE)
    return cells


def ends_code(unit: str, units: Units, number: int, level: int) -> bool:
    """Whether a function or class of a level ends before a unit."""
    kind = Kind(units.kinds[number])
    if kind == Kind.CODE:
        ends = scope_level(unit, int(units.levels[number]))
        return ends is not None and ends <= level
    return units.levels[number] <= level if kind == Kind.OPENER else kind not in (Kind.DATA, Kind.FURNITURE)


@pytest.mark.parametrize("seed", range(6))
def test_words_stand_above_the_cells_of_their_sections(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    for number in range(12):
        lines = (*LINES[:6], *LINES[-3:]) if number % 3 == 0 else LINES[6:] if number % 3 == 1 else LINES
        text = "\n".join(draw.choice(lines) for _ in range(draw.randrange(1, 40))) + "\n"
        pages = (0, *sorted(draw.choices(range(len(text) + 1), k=draw.randrange(6)))) if number % 2 else ()
        document = Document(
            draw.choice(["a", "src/pier.py"]), text, draw.choice(["", "The Pier"]), pages=pages
        )
        starts = np.array(
            sorted(draw.sample(range(len(text)), draw.randrange(1, min(9, len(text) + 1)))), np.int64
        )
        found: list[set[str]] = [set() for _ in starts]
        for terms, cells in context_terms(document, find_units(text), starts):
            seen: dict[str, int] = {}
            pairs = zip(terms[::2], cells[::2].tolist(), cells[1::2].tolist(), strict=True)
            assert terms[::2] == terms[1::2]
            for term, first, last in pairs:
                assert seen.get(term, -2) + (term != TABLE) < first <= last < len(starts)
                seen[term] = last
                for cell in range(first, last + 1):
                    found[cell].add(term)
        assert found == above(document, starts)


def test_what_is_a_path() -> None:
    for doc_id in ("a/b", "a\\b", "setup.py", "report 2019.docx", "https://pier.example/x", "x.html"):
        assert is_path(doc_id), doc_id
    for doc_id in ("a", "3.5", "Mr. Smith", ".", "a.", ".py", "Pier-12", "10.1000.182", "a" * 10**6):
        assert not is_path(doc_id), doc_id


def test_nothing_stands_above_no_cells() -> None:
    assert not list(context_terms(Document("a/b", "", "Title"), find_units(""), np.zeros(0, np.int64)))


def test_postings_that_are_no_ranges_are_refused() -> None:
    from s3_retriever.index import Index, Layout, SegmentBuilder
    from s3_retriever.index.words import asked
    from s3_retriever.search.lexical import LexicalIndex
    from s3_retriever.search.lookup import TermLookup

    builder = SegmentBuilder(Layout(taps=("0.0",), n_features=(4,), k=(1,)))
    builder.begin(Document("a", "boats", "Ferry"))
    rows = [np.zeros((1, 1), np.uint16)], [np.zeros((1, 1), np.float32)]
    builder.add(np.zeros(1, np.int64), np.zeros(1, np.int64), *rows)
    builder.end()
    index = Index(builder.layout, {})
    index.add(builder.build())
    assert LexicalIndex().scores(TermLookup(index.snapshot), asked("ferry")) > 0
    one = TermBuilder()
    one.append([(["ferry"], np.zeros(1, np.int64))], 1)
    arrays = one.build().arrays
    index.snapshot.segments[0].context = TermPostings({name: arrays[name] for name in ARRAYS})
    with pytest.raises(IndexFormatError, match="index the documents again"):
        LexicalIndex().scores(TermLookup(index.snapshot), asked("ferry"))
