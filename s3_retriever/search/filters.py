"""Filters over document metadata: which documents a search may return.

A filter is a :class:`Compare` or a combination of filters (:class:`AllOf`, :class:`AnyOf`, :class:`Not`). It
is exact: it chooses the documents that a loop over all metadata would choose.
"""

from __future__ import annotations

import os
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from inspect import currentframe
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from s3_retriever.checks import Rule, check, choice, instance
from s3_retriever.errors import InvalidInputError, UnknownKeyWarning
from s3_retriever.index.metadata import Bools, Column, value_key
from s3_retriever.index.segment import Segment
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.json_form import json_form

OPERATORS = (
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "nin",
    "any",
    "all",
    "text_match",
    "text_match_insensitive",
    "contains",
    "is_empty",
)
"""What :class:`Compare` can do, by name."""

_ORDERINGS = ("gt", "gte", "lt", "lte")
_TEXT = ("text_match", "text_match_insensitive")
_SEVERAL = ("in", "nin", "any", "all")
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_TRUE_WITHOUT_KEY = ("ne", "nin", "is_empty")


def value_rule(op: str) -> Rule:
    """Allow what the value of an operator may be."""

    def rule(value: object) -> str:
        if op == "is_empty":
            return "" if value is None else "left out"
        if op in _ORDERINGS:
            fits = isinstance(value, (str, int, float)) and not isinstance(value, bool)
            return "" if fits and value == value else "a number (not NaN) or a text"
        if op in _TEXT:
            return "" if isinstance(value, str) else "a text"
        if op in _SEVERAL and not isinstance(value, (tuple, list)):
            return "a list of values"
        return "" if _is_json(value) else "of JSON's types, without NaN"

    return rule


@dataclass(frozen=True)
class Compare:
    """Compares the value that a document's metadata has for a key.

    ===========================  ============================================================================
    ``eq``, ``ne``               The value equals ``value``, or does not.
    ``gt``, ``gte``,             A number against a number, or a text against a text, by code points.
    ``lt``, ``lte``
    ``in``, ``nin``              The value equals one of ``value``, or none.
    ``contains``                 The value is a list with an element that equals ``value``.
    ``any``, ``all``             The value is a list that holds one, or all, of ``value``.
    ``text_match``               The value is a text in which ``value`` occurs.
    ``text_match_insensitive``   ... in whatever case.
    ``is_empty``                 There is no value, or it is None, ``""`` or ``[]``.
    ===========================  ============================================================================

    Numbers are equal by value (1 and 1.0); True is not 1. Values of different types are unequal, and none is
    greater. A document without the key matches ``ne``, ``nin`` and ``is_empty``, and nothing else.

    Attributes:
        key: A key of the metadata, as a text.
        op: One of :data:`OPERATORS`.
        value: A value as metadata may have it, kept in the form that it has there (a date as text); for
            ``in``, ``nin``, ``any`` and ``all`` a list, tuple or set of such, kept as a tuple; for
            ``is_empty`` nothing.

    Raises:
        InvalidInputError: The key is no text, there is no such operator, or the value does not fit it.

    Examples:
        >>> Compare("year", "gte", 2020)
        Compare(key='year', op='gte', value=2020)
    """

    key: str
    op: str
    value: Any = None

    def __post_init__(self) -> None:
        check("the key of a filter", self.key, instance(str, "a text"))
        check(f"filter on {self.key!r}: op", self.op, choice(OPERATORS))
        try:
            object.__setattr__(self, "value", _asked(self.value))
            check(f"filter on {self.key!r}: the value of {self.op!r}", self.value, value_rule(self.op))
        except RecursionError as error:
            msg = f"filter on {self.key!r}: the value of {self.op!r} holds itself or is nested too deeply"
            raise InvalidInputError(msg) from error


@dataclass(frozen=True)
class _Group:
    """Several filters joined, and their check."""

    filters: Sequence[Filter]

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", _members(type(self).__name__, self.filters))


@dataclass(frozen=True)
class AllOf(_Group):
    """Documents that every one of several filters matches.

    Attributes:
        filters: At least one; kept as a tuple.

    Raises:
        InvalidInputError: There is none, or one is no filter.

    Examples:
        >>> recent = Compare("year", "gte", 2020)
        >>> AllOf([recent, Not(Compare("tags", "contains", "draft"))]).filters[0] == recent
        True
    """


@dataclass(frozen=True)
class AnyOf(_Group):
    """Documents that at least one of several filters matches.

    Attributes:
        filters: At least one; kept as a tuple.

    Raises:
        InvalidInputError: There is none, or one is no filter.
    """


@dataclass(frozen=True)
class Not:
    """Documents that a filter does not match, those without its key included.

    Raises:
        InvalidInputError: It is no filter.
    """

    filter: Filter

    def __post_init__(self) -> None:
        _members(type(self).__name__, [self.filter])


Filter: TypeAlias = Compare | AllOf | AnyOf | Not
"""Any filter."""

_FILTERS = (Compare, AllOf, AnyOf, Not)


def as_filter(where: Filter | Mapping[str, Any]) -> Filter:
    """Return a filter; a mapping means that every key has its value, or one of them if a list is given.

    Raises:
        InvalidInputError: It is neither, or the mapping is empty or holds what no filter can ask for.
    """
    if isinstance(where, _FILTERS):
        return where
    if not isinstance(where, Mapping):
        names = ", ".join(kind.__name__ for kind in _FILTERS)
        msg = f"where must be a filter ({names}) or a mapping of metadata, not {where!r:.80}"
        raise InvalidInputError(msg)
    if not where:
        msg = "where is an empty mapping; give None to search all documents"
        raise InvalidInputError(msg)
    several = (list, tuple, set, frozenset)
    compares = [
        Compare(key, "in" if isinstance(value, several) else "eq", value) for key, value in where.items()
    ]
    return compares[0] if len(compares) == 1 else AllOf(compares)


def matching(snapshot: Snapshot, where: Filter) -> Bools:
    """Return bool (snapshot.n_documents,): which live documents a filter matches.

    Raises:
        InvalidInputError: Filters stand within filters some hundred times.
    """
    try:
        parts = [_matches(part.segment, where)[part.live] for part in snapshot.parts]
    except RecursionError as error:
        msg = "the filter nests too deeply; give its parts to one AllOf or AnyOf"
        raise InvalidInputError(msg) from error
    return np.concatenate([np.zeros(0, np.bool_), *parts])


class Keyed(Protocol):
    """Documents whose metadata have keys."""

    @property
    def metadata_keys(self) -> Iterable[str]:
        """All keys, and maybe some of deleted documents."""

    def has_key(self, key: str) -> bool:
        """Whether a live document has a key."""

    def __len__(self) -> int: ...


def warn_of_unknown_keys(corpus: Keyed, where: Filter) -> None:
    """Warn of what :func:`unknown_keys` names; :func:`matching` has taken the filter before."""
    for said in unknown_keys(corpus, where):
        warn_the_caller(said)


def warn_the_caller(said: str) -> None:
    """Warn of an unknown key, at the line of the user's code."""
    warnings.warn(said, UnknownKeyWarning, stacklevel=_frames_to_the_caller())


def unknown_keys(corpus: Keyed, where: Filter) -> Iterator[str]:
    """Yield a sentence for each key that no live document has, with the nearest that is there.

    ``is_empty`` may ask for a key that nobody has.
    """
    for key in dict.fromkeys(_keys(where)):
        if not len(corpus) or corpus.has_key(key):
            continue
        names = sorted(corpus.metadata_keys)
        by_case = {name.casefold(): name for name in names if name[:1] != "_" and corpus.has_key(name)}
        near = get_close_matches(key.casefold(), by_case, 1)
        hint = f"; the nearest is {by_case[near[0]]!r}" if near else ""
        yield f"no document has the key {key!r} in its metadata{hint}"


def _frames_to_the_caller() -> int:
    """Return the ``stacklevel`` with which a warning of the calling function names code of the user."""
    frame, count = currentframe(), 0  # this function's own, which does not count
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, count = frame.f_back, count + 1
    return count


def _keys(where: Filter) -> Iterator[str]:
    if isinstance(where, Compare):
        if where.op != "is_empty":
            yield where.key
    elif isinstance(where, Not):
        yield from _keys(where.filter)
    else:
        for one in where.filters:
            yield from _keys(one)


def _matches(segment: Segment, where: Filter) -> Bools:
    """Return bool (D,): which documents of a segment a filter matches, deleted ones included."""
    if isinstance(where, Compare):
        return _compare(segment, where)
    if isinstance(where, Not):
        return ~_matches(segment, where.filter)
    join = np.logical_and if isinstance(where, AllOf) else np.logical_or
    matched: Bools = reduce(join, (_matches(segment, one) for one in where.filters))
    return matched


def _compare(segment: Segment, where: Compare) -> Bools:
    matched = np.full(len(segment), where.op in _TRUE_WITHOUT_KEY)
    column = segment.metadata.column(where.key)
    if column is not None:
        matched[column.documents] = _CHOOSERS[where.op](column, where.value)[column.codes]
    return matched


def _ordered(column: Column, value: Any, bisect: Callable[[Any, Any], int], above: bool) -> Bools:
    """Return bool (V,): values of the type of ``value`` behind the place where it belongs, or before it."""
    values, codes = column.texts if isinstance(value, str) else column.numbers
    place = bisect(values, value)
    return column.at(codes[place:] if above else codes[:place])


def _texts(column: Column, matches: Callable[[str], bool]) -> Bools:
    texts, codes = column.texts
    return column.at(codes[np.array([matches(text) for text in texts], np.bool_)])


def _ignoring_case(column: Column, part: str) -> Bools:
    folded = part.casefold()
    return _texts(column, lambda text: folded in text.casefold())


# Each returns bool (V,): which of a column's values match.
_CHOOSERS: dict[str, Callable[[Column, Any], Bools]] = {
    "eq": Column.equal,
    "ne": lambda column, value: ~column.equal(value),
    "gt": lambda column, value: _ordered(column, value, bisect_right, above=True),
    "gte": lambda column, value: _ordered(column, value, bisect_left, above=True),
    "lt": lambda column, value: _ordered(column, value, bisect_left, above=False),
    "lte": lambda column, value: _ordered(column, value, bisect_right, above=False),
    "in": lambda column, values: column.equal(*values),
    "nin": lambda column, values: ~column.equal(*values),
    "any": lambda column, values: column.holding(*values),
    "all": lambda column, values: reduce(np.logical_and, map(column.holding, values), column.lists),
    "text_match": lambda column, part: _texts(column, lambda text: part in text),
    "text_match_insensitive": _ignoring_case,
    "contains": Column.holding,
    "is_empty": lambda column, _: column.equal(None, "", []),
}


def _members(name: str, filters: object) -> tuple[Filter, ...]:
    """Check the filters that another one combines."""
    if not isinstance(filters, (list, tuple)) or not filters:
        msg = f"{name} needs a list of at least one filter, not {filters!r:.80}"
        raise InvalidInputError(msg)
    for one in filters:
        if not isinstance(one, _FILTERS):
            msg = f"{name} combines filters, not {one!r:.80}; wrap it in Compare"
            raise InvalidInputError(msg)
    return tuple(filters)


def _asked(value: Any) -> Any:
    """Return a value as metadata has it, with tuples for lists; one that has no such form as it is."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(map(_asked, value))
    if isinstance(value, Mapping):
        return value
    try:
        form = json_form(value)
    except TypeError:
        return value
    return tuple(form) if isinstance(form, list) else form


def _is_json(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_json, value))
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_json(inner) for name, inner in value.items())
    try:
        value_key(value)
    except TypeError:
        return False
    return value == value
