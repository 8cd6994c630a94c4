"""Metadata becomes what JSON has, in the obvious form, or is refused by its key."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.json_form import json_form


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters())
)
JSON = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=20
)


@given(JSON)
def test_what_json_has_stays_as_it_is(value: Any) -> None:
    assert json_form(value) == value == json.loads(json.dumps(json_form(value)))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (datetime(2024, 5, 1, 9, 30, tzinfo=timezone.utc), "2024-05-01T09:30:00+00:00"),
        (date(2024, 5, 1), "2024-05-01"),
        (time(9, 30), "09:30:00"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (PurePosixPath("a/b.txt"), "a/b.txt"),
        (Decimal("2.50"), 2.5),
        (Decimal("1E+3"), 1000.0),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Name("x"), "x"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (torch.tensor([1.5]), [1.5]),
        (np.datetime64("2024-05-01"), "2024-05-01"),
        (("a", ("b",)), ["a", ["b"]]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({3, 1.5, "a", None}), [1.5, 3, None, "a"]),
        (MappingProxyType({"a": {date(2024, 5, 1)}}), {"a": ["2024-05-01"]}),
        (
            {1: "a", None: "c", 2.5: "d", Colour.RED: "e"},
            {"1": "a", "null": "c", "2.5": "d", "red": "e"},
        ),
    ],
)
def test_the_obvious_form(value: Any, form: Any) -> None:
    found = json_form(value)
    assert found == form
    assert json.loads(json.dumps(found)) == form
    assert type(found) in (type(None), bool, int, float, str, list, dict)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"a", "metadata is a bytes, which has no form in JSON"),
        ({"a": [1, timedelta(1)]}, r"metadata['a'][1] is a timedelta"),
        ({"a": {"b": object()}}, r"metadata['a']['b'] is a object"),
        ({(1, 2): 3}, "a key of metadata is a tuple"),
        ({1: "a", "1": "b"}, "metadata has two keys that JSON writes as '1'"),
        ({"price": Decimal("12345678901234567.89")}, "metadata['price'] is Decimal('12345678901234567.89')"),
        ({"n": 10**5000}, "metadata['n'] is a number of more than 3,900 digits"),
        ({"tags": {b"x"}}, "metadata['tags']{...} is a bytes"),
    ],
)
def test_what_has_no_form_is_named(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as raised:
        json_form(value, "metadata")
    assert message in str(raised.value)
