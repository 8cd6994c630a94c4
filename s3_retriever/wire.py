"""What goes between a client and a server, as JSON: spans, documents, filters, errors."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from s3_retriever import errors
from s3_retriever.errors import InvalidInputError, S3RetrieverError
from s3_retriever.json_form import parse_json
from s3_retriever.search.filters import AllOf, Compare, Filter, Not, as_filter

_HALF = re.compile("[\ud800-\udfff]")

_T = TypeVar("_T")


def is_token(value: object) -> str:
    """Allow what a header can carry as a token; a rule of :mod:`s3_retriever.checks`."""
    fits = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value != ""
    return "" if fits else "a text of visible ASCII characters"


def encode(value: Any) -> bytes:
    """Return a value as JSON that every reader takes; dataclasses are objects, NaN and infinities are null.

    UTF-8, or ASCII where a text holds half of a surrogate pair, which UTF-8 cannot say.
    """
    plain = to_json(value)
    try:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(plain), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), separators=(",", ":")).encode("ascii")


def to_json(value: Any) -> Any:
    """Return a dataclass as a mapping of its fields, also inside lists and mappings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(one) for one in value]
    return value


def from_json(kind: type[_T], value: Any) -> _T:
    """Return what :func:`to_json` made a mapping of; fields that are unknown here are left out.

    Raises:
        InvalidInputError: A field is missing or has a value that it cannot have.
    """
    try:
        made: _T = _made(kind, value)
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"this is no {kind.__name__}: {value!r:.80} ({type(error).__name__}: {error})"
        raise InvalidInputError(msg) from error
    return made


def _made(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            msg = "it is no mapping"
            raise TypeError(msg)
        make: Any = kind
        hints = _hints(make)
        names = [one.name for one in dataclasses.fields(kind) if one.name in value]
        return make(**{name: _made(hints[name], value[name]) for name in names})
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _made(next(one for one in of if one is not type(None)), value)
    if origin is tuple:
        inner = [of[0]] * len(value) if of[-1] is Ellipsis else of
        return tuple(_made(one, each) for one, each in zip(inner, value, strict=True))
    return value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def portable(value: Any) -> Any:
    """Return a JSON value that any encoder takes: NaN and infinities are null, lone surrogates U+FFFD."""
    return _whole_characters(_finite(to_json(value)))


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else _HALF.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(one) for key, one in value.items()}
    return [_whole_characters(one) for one in value] if isinstance(value, list) else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def filter_to_json(where: Filter | Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter as JSON: ``{"key", "op", "value"}``, or ``all``, ``any`` or ``not`` of such.

    Raises:
        InvalidInputError: It is neither a filter nor a mapping.
    """
    where = as_filter(where)
    if isinstance(where, Compare):
        return {"key": where.key, "op": where.op, "value": to_json(where.value)}
    if isinstance(where, Not):
        return {"not": filter_to_json(where.filter)}
    name = "all" if isinstance(where, AllOf) else "any"
    return {name: [filter_to_json(one) for one in where.filters]}


def error_to_json(kind: str, message: str) -> dict[str, Any]:
    """Return the body of an answer that is an error."""
    return {"error": {"type": kind, "message": message}}


def error_from_json(status: int, body: bytes) -> S3RetrieverError:
    """Return the error that an answer reports, of the class that a retriever would raise.

    Args:
        status: Of the answer.
        body: Of the answer.
    """
    try:
        found = parse_json(body)["error"]
        name, message = str(found["type"]), str(found["message"])
    except (ValueError, KeyError, TypeError):
        name, message = "", f"the server answered with status {status}: {body[:200]!r}"
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, S3RetrieverError):
        return kind(message) if kind is not errors.DiskFullError else errors.ServerError(message)
    return errors.ServerBusyError(message) if status == 503 else errors.ServerError(message)
