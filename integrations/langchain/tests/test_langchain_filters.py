"""Filters in every notation: what they mean, that they survive saving, what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from langchain_s3_retriever.filters import as_where, from_json, to_json
from s3_retriever import AllOf, AnyOf, Compare, Not
from s3_retriever.errors import InvalidInputError
from s3_retriever.search.filters import OPERATORS

MEANINGS: list[tuple[Any, Any]] = [
    ({"lang": "en"}, Compare("lang", "eq", "en")),
    ({"lang": ["en", "no"]}, Compare("lang", "in", ["en", "no"])),
    ({"lang": "en", "year": 1901}, AllOf([Compare("lang", "eq", "en"), Compare("year", "eq", 1901)])),
    ({"place": {"x": 1}}, Compare("place", "eq", {"x": 1})),
    ({"year": {"$gt": 1900}}, Compare("year", "gt", 1900)),
    ({"year": {"$gte": 1, "$lt": 2}}, AllOf([Compare("year", "gte", 1), Compare("year", "lt", 2)])),
    ({"year": {"$between": [1, 2]}}, AllOf([Compare("year", "gte", 1), Compare("year", "lte", 2)])),
    ({"year": {"$not": {"$eq": 1}}}, Not(Compare("year", "eq", 1))),
    ({"tags": {"$contains": "sea"}}, Compare("tags", "contains", "sea")),
    ({"lang": {"$is_empty": True}}, Compare("lang", "is_empty")),
    ({"lang": {"$is_empty": False}}, Not(Compare("lang", "is_empty"))),
    ({"$and": [{"a": 1}, {"b": 2}]}, AllOf([Compare("a", "eq", 1), Compare("b", "eq", 2)])),
    ({"$or": [{"a": 1}, Compare("b", "ne", 2)]}, AnyOf([Compare("a", "eq", 1), Compare("b", "ne", 2)])),
    ({"$nor": [{"a": 1}]}, Not(AnyOf([Compare("a", "eq", 1)]))),
    ({"$not": {"a": 1}}, Not(Compare("a", "eq", 1))),
    (
        {"lang": "en", "$or": [{"a": 1}, {"b": {"$ne": 2}}]},
        AllOf([Compare("lang", "eq", "en"), AnyOf([Compare("a", "eq", 1), Compare("b", "ne", 2)])]),
    ),
    (Compare("$odd", "eq", 1), Compare("$odd", "eq", 1)),
]

WRONG = [
    ({}, "empty mapping"),
    ({"$and": []}, r"\$and needs a list"),
    ({"$or": {"a": 1}}, r"\$or needs a list"),
    ({"$xor": [{"a": 1}]}, r"unknown operator '\$xor'"),
    ({"a": {"$regex": "x"}}, r"unknown operator '\$regex'; there are \$eq"),
    ({"a": {"$gt": 1, "b": 2}}, "unknown operator 'b'"),
    ({"a": {"$in": "en"}}, "must be a list"),
    ({"a": {"$gt": [1]}}, "must be a number"),
    ({"a": {"$between": [1]}}, r"\$between needs"),
    ({"a": {"$exists": 1}}, r"\$exists needs True or False"),
    ({"a": {"$not": 3}}, r"\$not needs operators"),
    ("lang = en", "must be a mapping"),
    (lambda document: True, "must be a mapping"),
]


@pytest.mark.parametrize(("given", "meant"), MEANINGS, ids=repr)
def test_a_filter_means(given: Any, meant: Any) -> None:
    assert as_where(given) == meant


@pytest.mark.parametrize(("given", "message"), WRONG, ids=lambda one: None if callable(one) else repr(one))
def test_a_filter_that_means_nothing_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        as_where(given)


@pytest.mark.parametrize("meant", [meant for _, meant in MEANINGS], ids=repr)
def test_filters_survive_saving(meant: Any) -> None:
    assert from_json(json.loads(json.dumps(to_json(meant)))) == meant


@pytest.mark.parametrize("stored", [{}, {"key": "a"}, {"all": 3}, {"not": {}}, {"any": [1]}], ids=repr)
def test_a_damaged_filter_is_refused(stored: Any) -> None:
    with pytest.raises(InvalidInputError):
        from_json(stored)


@pytest.mark.parametrize("op", [op for op in OPERATORS if op != "is_empty"])
def test_every_operator_of_the_core_has_a_name_with_a_dollar(op: str) -> None:
    value = ["x"] if op in ("in", "nin", "any", "all") else "x"
    assert as_where({"key": {f"${op}": value}}) == Compare("key", op, value)
