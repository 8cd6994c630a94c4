"""Postings of terms, beside plain counting."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.errors import IndexFormatError
from s3_retriever.index.terms import ARRAYS, TermBuilder, TermPostings
from s3_retriever.index.words import cell_terms

# A document: its text, and where its cells begin.
WORDS = st.lists(st.sampled_from(["oil", "Lamps", "東京都", "é", "\ud800x", "\ufdfa", "\n"]), max_size=40)
DOCUMENT = st.tuples(WORDS.map(" ".join), st.lists(st.integers(0, 80), max_size=6).map(sorted))


def built(documents: list[tuple[str, list[int]]]) -> TermPostings:
    builder = TermBuilder()
    for text, starts in documents:
        builder.add(text, np.array(starts, np.int64))
    return builder.build()


def counted(documents: list[tuple[str, list[int]]]) -> list[Counter[str]]:
    """The terms of every cell, counted."""
    cells: list[Counter[str]] = []
    for text, starts in documents:
        first = len(cells)
        cells += [Counter() for _ in starts]
        for terms, places in cell_terms(text, np.array(starts, np.int64)):
            for term, place in zip(terms, places.tolist(), strict=True):
                cells[first + place][term] += 1
    return cells


def assert_equal(terms: TermPostings, expected: list[Counter[str]]) -> None:
    assert list(terms) == sorted(set().union(*expected))
    assert terms.cell_lengths.tolist() == [cell.total() for cell in expected]
    pieces = [(numbers.tolist(), cells.tolist()) for numbers, cells in terms.occurrences()]
    found = [pair for piece in pieces for pair in zip(*piece, strict=True)]
    wanted = [
        (number, cell)
        for number, term in enumerate(terms)
        for cell, counts in enumerate(expected)
        for _ in range(counts[term])
    ]
    assert found == wanted
    for term in [*terms, "unknown", "", "a", "\U0010ffff"]:
        cells = [cell for cell, counts in enumerate(expected) for _ in range(counts[term])]
        assert terms.cells(term).tolist() == cells


def assert_same(one: TermPostings, other: TermPostings) -> None:
    for name in ARRAYS:
        assert one.arrays[name].dtype == other.arrays[name].dtype
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])


@pytest.mark.long
@given(st.lists(DOCUMENT, max_size=5))
@settings(deadline=None)
def test_postings_say_what_counting_says(documents: list[tuple[str, list[int]]]) -> None:
    assert_equal(built(documents), counted(documents))


@pytest.mark.long
@given(st.lists(st.lists(st.tuples(DOCUMENT, st.booleans()), max_size=3), max_size=3))
@settings(deadline=None)
def test_merging_equals_building_from_what_is_left(
    segments: list[list[tuple[tuple[str, list[int]], bool]]],
) -> None:
    builder = TermBuilder()
    for documents in segments:
        lengths = [len(starts) for (_, starts), _ in documents]
        alive = np.repeat(np.array([live for _, live in documents], np.bool_), lengths)
        builder.extend(built([document for document, _ in documents]), alive)
    left = [document for documents in segments for document, live in documents if live]
    assert_same(builder.build(), built(left))


@pytest.mark.long
def test_gaps_and_counts_of_any_size() -> None:
    """Cells far apart need two and three bytes; a term may fill a cell more often than a byte can say."""
    far = [("rare", [0]), *[("often " * 300, [0])] * 200, ("rare", [0]), *[("", [0])] * 20_000, ("rare", [0])]
    terms = built(far)
    assert_equal(terms, counted(far))
    assert terms.cell_lengths.dtype == np.uint16
    merged = TermBuilder()
    merged.extend(terms, np.ones(len(terms.cell_lengths), np.bool_))
    assert_same(merged.build(), terms)


@pytest.mark.long
def test_what_is_large_is_read_in_pieces() -> None:
    """A hundred thousand words, eleven times over; every hundredth word is the same."""
    letters = str.maketrans("0123456789", "abcdefghij")
    text = " ".join(
        str(number % 5000).translate(letters) if number % 100 else "often" for number in range(100_000)
    )
    once, builder = built([(text, list(range(0, len(text), 500)))]), TermBuilder()
    for _ in range(11):
        builder.extend(once, np.ones(len(once.cell_lengths), np.bool_))
    terms = builder.build()
    pieces = list(terms.occurrences())
    assert len(pieces) > 1
    numbers, cells = (np.concatenate(side) for side in zip(*pieces, strict=True))
    assert len(cells) == terms.cell_lengths.sum() == 1_100_000
    assert (np.diff(numbers.astype(np.int64)) >= 0).all()
    often = cells[numbers == list(terms).index("often")]
    assert len(often) == 11_000
    assert np.array_equal(often, terms.cells("often"))
    assert np.bincount(cells).tolist() == terms.cell_lengths.tolist()
    again = TermBuilder()
    again.extend(terms, np.ones(len(terms.cell_lengths), np.bool_))
    assert_same(again.build(), terms)


@pytest.mark.long
def test_what_waits_lies_on_disk() -> None:
    """Only the vocabulary and a piece of the text are in memory."""
    text = "one word after the other " * 10_000
    starts = np.arange(0, len(text), 100)
    builder = TermBuilder()
    for _ in range(7):
        builder.add(text, starts)
    tracemalloc.start()
    try:
        builder.add(text, starts)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 0.2e6  # 0.4 MB were added
    assert peak < 3e6  # the words of the text and their offsets at once would take 5 MB


@pytest.fixture
def three() -> dict[str, np.ndarray]:
    """Three terms in the first of two cells."""
    terms = built([("oil and lamps", [0, 50])])
    found = [terms.arrays[name].tolist() for name in ARRAYS[1:]]
    assert found == [[3, 4, 3], [0, 0, 0], [1, 1, 1], [3, 0]]
    return terms.arrays


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("term_lengths", [3, 4, 4]),
        ("term_lengths", [3, 7]),
        ("term_lengths", []),
        ("term_gap_bytes", [1, 1, 2]),
        ("term_gap_bytes", [1, 1, 0]),
        ("term_text", [[0, 1]]),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(
    three: dict[str, np.ndarray], name: str, value: list[int]
) -> None:
    with pytest.raises(IndexFormatError, match="2 cells"):
        TermPostings(three | {name: np.array(value, np.uint8)})
    with pytest.raises(IndexFormatError, match="2 cells"):
        TermPostings(three | {name: three[name].astype(np.int64)})


def test_a_cell_that_is_not_there_is_refused(three: dict[str, np.ndarray]) -> None:
    terms = TermPostings(three | {"term_cells": np.array([0, 2, 0], np.uint8)})
    assert terms.cells("and").tolist() == [0]
    assert [array.tolist() for array in terms.counted("and")] == [[0], [1]]
    for read in (terms.cells, terms.counted):
        with pytest.raises(IndexFormatError, match="2 cells"):
            read("lamp")
    with pytest.raises(IndexFormatError, match="2 cells"):
        list(terms.occurrences())


@pytest.mark.parametrize("gap", [[128] * 3, [255] * 20, [128] * 9 + [127], [129] * 10 + [1]])
def test_a_gap_that_makes_no_sense_leads_nowhere(three: dict[str, np.ndarray], gap: list[int]) -> None:
    """It has no end, or leads beyond all numbers: it is refused, or leads nowhere else than to a cell."""
    cells, n_bytes = np.array([0, *gap, 0], np.uint8), np.array([1, len(gap), 1], np.uint8)
    try:
        terms = TermPostings(three | {"term_cells": cells, "term_gap_bytes": n_bytes})
        assert set(terms.cells("lamp").tolist()) <= {0, 1}
        assert set(terms.counted("lamp")[0].tolist()) <= {0, 1}
        assert {cell for _, found in terms.occurrences() for cell in found.tolist()} <= {0, 1}
    except IndexFormatError as error:
        assert "2 cells" in str(error)


@given(st.lists(st.integers(0, 9), max_size=30), st.sets(st.integers(0, 9)), st.integers(0, 40))
def test_counting_is_reading_and_counting(cells: list[int], left_out: set[int], spacing: int) -> None:
    """Of the cells that count, numbered without the others; gaps of several bytes too."""
    wide = 1 + 10 * spacing
    text_cells = sorted(cell * wide for cell in cells)
    builder = TermBuilder()
    if text_cells:
        builder.append([(["oil"] * len(cells), np.array(text_cells, np.int64))], 10 * wide)
    else:
        builder.append([], 10 * wide)
    terms = builder.build()
    counts = np.ones(10 * wide, np.bool_)
    counts[[cell * wide for cell in left_out]] = False
    before = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    for known, expected in (
        (None, Counter(text_cells)),
        (before, Counter(int(before[cell]) for cell in text_cells if counts[cell])),
    ):
        found, times = terms.counted("oil", known)
        assert dict(zip(found.tolist(), times.tolist(), strict=True)) == expected
        assert (np.diff(found) > 0).all()
    assert [len(one) for one in terms.counted("lamps", before)] == [0, 0]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30))
def test_damaged_gaps_are_counted_as_they_are_read_or_refused(gaps: list[int]) -> None:
    arrays = built([("oil", [0, 50])]).arrays
    lengths = {"term_gap_bytes": np.array([len(gaps)], np.uint8), "term_cells": np.array(gaps, np.uint8)}
    try:
        terms = TermPostings(arrays | lengths)
        expected = Counter(terms.cells("oil").tolist())
    except IndexFormatError:
        with pytest.raises(IndexFormatError):
            TermPostings(arrays | lengths).counted("oil")
    else:
        cells, counts = terms.counted("oil")
        assert dict(zip(cells.tolist(), counts.tolist(), strict=True)) == expected
