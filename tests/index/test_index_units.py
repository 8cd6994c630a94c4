"""Units of a segment: built, taken over from other segments, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from s3_retriever.errors import IndexFormatError
from s3_retriever.index.units import UnitBuilder, UnitColumns
from s3_retriever.structure import Kind, Units, find_units

TEXTS = ["# Lamps\n\nThe lamp is old. It is red.", "", "a,b,c\n1,2,3\n4,5,6\n", "x" * 70_000 + ". Yes."]


def built(texts: list[str]) -> UnitColumns:
    builder = UnitBuilder()
    for text in texts:
        builder.add(find_units(text))
    return builder.build()


def same(one: Units, two: Units) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in vars(one))


def test_each_document_has_its_units() -> None:
    columns = built(TEXTS)
    assert all(same(columns.of(i), find_units(text)) for i, text in enumerate(TEXTS))
    for i, text in enumerate(TEXTS):
        columns.check(i, text)


def test_units_of_live_documents_are_taken_over() -> None:
    builder = UnitBuilder()
    builder.extend(built(TEXTS), np.array([True, False, False, True]))
    both = builder.build()
    assert same(both.of(0), find_units(TEXTS[0]))
    assert same(both.of(1), find_units(TEXTS[3]))


@pytest.mark.parametrize(
    ("kinds", "is_code"),
    [
        ([Kind.OPENER, Kind.CODE, Kind.PROSE, Kind.HEADING], True),
        ([Kind.OPENER, Kind.PROSE], True),
        ([Kind.PROSE, Kind.OPENER, Kind.CODE, Kind.PROSE, Kind.PROSE], False),  # less than half
        ([Kind.CODE] * 4, False),  # lines of markup and of logs are taken for statements too
        ([Kind.PROSE] * 4, False),
        ([Kind.DATA, Kind.TABLE], False),
        ([], False),
    ],
)
def test_code_is_statements_and_a_function_or_class(kinds: list[Kind], is_code: bool) -> None:
    """Whether or not blocks begin with them, and whatever stands beside it."""
    builder = UnitBuilder()
    for begins in (0, 1):
        builder.add(find_units(TEXTS[begins]))
        numbers = np.arange(len(kinds))
        values = numbers.astype(np.uint32), np.array(kinds, np.uint8), np.zeros(len(kinds), np.uint8)
        builder.add(Units(*values, numbers % 2 == begins))
    columns = builder.build()
    assert columns.are_code.tolist() == [False, is_code] * 2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("unit_pointers", np.array([0, 2], np.int64)),
        ("unit_pointers", np.array([0, 9, 3], np.int64)),
        ("unit_kinds", np.array([1, 0, 200], np.uint8)),
        ("unit_levels", np.zeros(2, np.uint8)),
        ("unit_gaps", np.zeros(3, np.int32)),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(name: str, values: Any) -> None:
    arrays = dict(built(["The lamp is old. It is red.", "Yes."]).arrays)
    with pytest.raises(IndexFormatError, match="index the documents again"):
        UnitColumns(2, {**arrays, name: values})


@pytest.mark.parametrize("text", ["", "The lamp"])
def test_units_behind_the_end_of_their_text_are_refused(text: str) -> None:
    columns = built(["The lamp is old. It is red."])
    with pytest.raises(IndexFormatError, match="document number 0"):
        columns.check(0, text)
