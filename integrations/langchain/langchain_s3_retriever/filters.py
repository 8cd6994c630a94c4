"""Filters as LangChain's users write them, as the core takes them, and as they are saved.

A filter is a core filter (``Compare``, ``AllOf``, ``AnyOf``, ``Not``) or a mapping. In a mapping, a key with
a value asks for that value, with a list for one of its elements, with operators for all of them::

    {"lang": "en", "year": {"$gte": 2019, "$lt": 2024}, "$or": [{"draft": False}, {"author": ["Ann", "Bo"]}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3_retriever import AllOf, AnyOf, Compare, Filter, InvalidInputError, Not
from s3_retriever.integration import OPERATORS

_FILTERS = (Compare, AllOf, AnyOf, Not)
_SEVERAL = (list, tuple, set, frozenset)
_PLAIN = tuple(f"${name}" for name in OPERATORS if name != "is_empty")
_CONDITIONS = (*_PLAIN, "$is_empty", "$exists", "$between", "$not")
_JOINS = ("$and", "$or", "$nor", "$not")


def as_where(given: Filter | Mapping[str, Any]) -> Filter:
    """Return the core filter that a filter means.

    Raises:
        InvalidInputError: It is no filter, is empty, or has an unknown operator or a value that does not fit.
    """
    if isinstance(given, _FILTERS):
        return given
    if not isinstance(given, Mapping):
        msg = f"filter must be a mapping or a filter of s3_retriever (Compare, AllOf, ...), not {given!r:.80}"
        raise InvalidInputError(msg)
    if not given:
        msg = "filter is an empty mapping; leave it out, or give None, to search all documents"
        raise InvalidInputError(msg)
    try:
        return _all_of([_entry(key, value) for key, value in given.items()])
    except RecursionError as error:
        msg = "filter nests too deeply, or holds itself; give its parts to one $and or $or"
        raise InvalidInputError(msg) from error


def to_json(where: Filter) -> dict[str, Any]:
    """Return a filter as JSON has it; unlike a mapping with operators, it can say every core filter."""
    if isinstance(where, Compare):
        return {"key": where.key, "op": where.op, "value": where.value}
    if isinstance(where, Not):
        return {"not": to_json(where.filter)}
    name = "all" if isinstance(where, AllOf) else "any"
    return {name: [to_json(one) for one in where.filters]}


def from_json(stored: Mapping[str, Any]) -> Filter:
    """Read what :func:`to_json` returned.

    Raises:
        InvalidInputError: It is something else.
    """
    try:
        if "not" in stored:
            return Not(from_json(stored["not"]))
        if "all" in stored:
            return AllOf([from_json(one) for one in stored["all"]])
        if "any" in stored:
            return AnyOf([from_json(one) for one in stored["any"]])
        return Compare(stored["key"], stored["op"], stored["value"])
    except (KeyError, TypeError) as error:
        msg = f"the saved filter {stored!r:.80} cannot be read ({type(error).__name__}: {error})"
        raise InvalidInputError(msg) from error


def _entry(key: str, value: Any) -> Filter:
    if key == "$not":
        return Not(as_where(value))
    if key in ("$and", "$or", "$nor"):
        if not isinstance(value, (list, tuple)) or not value:
            msg = f"filter: {key} needs a list of at least one filter, not {value!r:.80}"
            raise InvalidInputError(msg)
        members = [as_where(one) for one in value]
        if key == "$and":
            return AllOf(members)
        return AnyOf(members) if key == "$or" else Not(AnyOf(members))
    if isinstance(key, str) and key.startswith("$"):
        msg = (
            f"filter: unknown operator {key!r}; filters are joined by {', '.join(_JOINS)} "
            f"(for metadata with such a key: Compare({key!r}, 'eq', ...))"
        )
        raise InvalidInputError(msg)
    if isinstance(value, Mapping) and any(str(name).startswith("$") for name in value):
        return _all_of([_condition(key, name, operand) for name, operand in value.items()])
    return Compare(key, "in" if isinstance(value, _SEVERAL) else "eq", value)


def _condition(key: str, name: str, operand: Any) -> Filter:
    if name in _PLAIN:
        return Compare(key, name[1:], operand)
    if name == "$is_empty":
        return _is(Compare(key, "is_empty"), key, name, operand)
    if name == "$exists":
        # A key that is there has an empty value or one that is not empty.
        present = AnyOf([Compare(key, "in", [None, "", []]), Not(Compare(key, "is_empty"))])
        return _is(present, key, name, operand)
    if name == "$between":
        if not isinstance(operand, (list, tuple)) or len(operand) != 2:
            msg = f"filter on {key!r}: $between needs [least, greatest], not {operand!r:.80}"
            raise InvalidInputError(msg)
        return AllOf([Compare(key, "gte", operand[0]), Compare(key, "lte", operand[1])])
    if name == "$not":
        if not isinstance(operand, Mapping) or not operand:
            msg = f'filter on {key!r}: $not needs operators, such as {{"$gt": 3}}, not {operand!r:.80}'
            raise InvalidInputError(msg)
        return Not(_all_of([_condition(key, inner, value) for inner, value in operand.items()]))
    msg = f"filter on {key!r}: unknown operator {name!r}; there are {', '.join(_CONDITIONS)}"
    raise InvalidInputError(msg)


def _is(where: Filter, key: str, name: str, wanted: Any) -> Filter:
    if not isinstance(wanted, bool):
        msg = f"filter on {key!r}: {name} needs True or False, not {wanted!r:.80}"
        raise InvalidInputError(msg)
    return where if wanted else Not(where)


def _all_of(filters: list[Filter]) -> Filter:
    return filters[0] if len(filters) == 1 else AllOf(filters)
