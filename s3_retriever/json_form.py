"""Values of metadata as JSON has them: dates, UUIDs, numbers of NumPy and the like have an obvious form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

_SCALARS = (bool, int, float, str)
_BITS = 13_000  # 3,914 digits; Python reads 4,300


def json_form(value: Any, place: str = "value") -> Any:
    """Return a value as it is after being written as JSON and read back.

    ==============================  ====================================================================
    dates and times                 text, as ``isoformat()`` gives it, which sorts by time in one time zone
    UUIDs, paths                    text
    ``Decimal``                     a float, if it has all digits
    members of an ``Enum``          the form of their value
    scalars, arrays, tensors        numbers; lists of numbers
    tuples, sets                    lists; those of sets sorted, so that they are the same in every run
    keys that are no text           text: of a number, True, False and None as JSON writes them
    ==============================  ====================================================================

    Args:
        value: Anything.
        place: What messages call it.

    Raises:
        TypeError: It, or something inside, has no such form; names the place.
        RecursionError: It holds itself, or is nested some hundred deep.

    Examples:
        >>> json_form({"made": date(2024, 5, 1), "tags": {"b", "a"}, 7: Decimal("2.50")})
        {'made': '2024-05-01', 'tags': ['a', 'b'], '7': 2.5}
    """
    if value is None or type(value) in (bool, float, str):
        return value
    if isinstance(value, Enum):
        return json_form(value.value, place)
    if isinstance(value, int) and value.bit_length() > _BITS:
        msg = f"{place} is a number of more than 3,900 digits, which JSON readers refuse; give a str"
        raise TypeError(msg)
    for kind in _SCALARS:
        if isinstance(value, kind):
            return kind(value)  # of a subclass
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, (UUID, PurePath)):
        return str(value)
    if isinstance(value, Decimal):
        return _float(value, place)
    if isinstance(value, Mapping):
        return _object(value, place)
    if isinstance(value, (list, tuple)):
        return [json_form(one, f"{place}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return sorted((json_form(one, f"{place}{{...}}") for one in value), key=_order)
    if hasattr(value, "tolist"):  # an array or scalar of NumPy, a tensor, a series
        return json_form(value.tolist(), place)
    raise _error(place, value)


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; anything that cannot be read is one kind of error.

    Raises:
        ValueError: It is no JSON, has a number of thousands of digits, or is nested too deeply to be read.

    Examples:
        >>> parse_json("[" * 200_000)
        Traceback (most recent call last):
        ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        msg = "it is nested too deeply"
        raise ValueError(msg) from error


def _float(value: Decimal, place: str) -> float:
    number = float(value)
    if value.is_finite() and Decimal(repr(number)) != value:
        msg = f"{place} is {value!r}, which no float holds to the last digit; give a str, or round it"
        raise TypeError(msg)
    return number


def _object(value: Mapping[Any, Any], place: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    of_key = f"a key of {place}"
    for key, inner in value.items():
        name = json_form(key, of_key)
        if isinstance(name, (list, dict)):
            raise _error(of_key, key)
        if not isinstance(name, str):
            name = json.dumps(name)
        if name in made:
            msg = f"{place} has two keys that JSON writes as {name!r}; rename one"
            raise TypeError(msg)
        made[name] = json_form(inner, f"{place}[{name!r}]")
    return made


def _order(value: Any) -> tuple[str, Any]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return ("", value) if is_number else (type(value).__name__, repr(value))


def _error(place: str, value: object) -> TypeError:
    return TypeError(
        f"{place} is a {type(value).__name__}, which has no form in JSON; "
        "give a text, a number, True, False, None, or lists and mappings of these"
    )
