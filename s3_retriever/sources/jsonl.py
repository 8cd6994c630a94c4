"""JSON lines to documents and to other objects, one a line, read lazily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from s3_retriever.checks import check, instance, optional
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.json_form import parse_json

_OWN_FIELDS = ("_id", "title", "text", "metadata")


class JsonLine(NamedTuple):
    """One JSON object of a file, with an id that no line before it has.

    Attributes:
        id: Its ``_id``.
        text: Its ``text``.
        fields: The whole object.
        place: File and line number, for messages.
    """

    id: str
    text: str
    fields: Mapping[str, Any]
    place: str


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read JSON objects with the numbers of their lines, one a line, lazily; blank lines do not count.

    Raises:
        InvalidInputError: A line is no JSON object, or no UTF-8; names file and line.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if raw.strip():
                yield number, parse_object(raw, f"{path}, line {number}")


def read_lines(path: Path) -> Iterator[JsonLine]:
    """Read objects with ``_id`` and ``text``, one a line, lazily; blank lines do not count.

    Raises:
        InvalidInputError: A line is no such object, no UTF-8, or repeats an id; names file and line.
        OSError: The file cannot be read.
    """
    numbers: dict[str, int] = {}
    for number, fields in read_objects(path):
        place = f"{path}, line {number}"
        line = JsonLine(
            string_field(fields, "_id", place), string_field(fields, "text", place), fields, place
        )
        if not line.id:
            msg = f"{place}: '_id' is empty"
            raise InvalidInputError(msg)
        if line.id in numbers:
            msg = f"{place}: the id {line.id!r} is that of line {numbers[line.id]}; give each its own"
            raise InvalidInputError(msg)
        numbers[line.id] = number
        yield line


def read_corpus(path: Path) -> Iterator[Document]:
    """Read documents ``{_id, title, text, metadata}`` lazily; see :func:`document_of`.

    Raises:
        InvalidInputError: As :func:`read_lines` and :func:`document_of`.
        OSError: The file cannot be read.
    """
    for line in read_lines(path):
        yield document_of(line.fields, line.place)


def document_of(
    fields: Mapping[str, Any], place: str, doc_id: str | None = None, source_hash: str = ""
) -> Document:
    """Return the document that a line describes; title and metadata may be left out.

    Fields beside ``_id``, ``title``, ``text`` and ``metadata`` are metadata too, unless that has their names.

    Args:
        fields: The line.
        place: File and line number, for messages.
        doc_id: Its id, instead of ``_id``.
        source_hash: As the document has it.

    Raises:
        InvalidInputError: ``_id`` is missing or empty, text or title are no text, or metadata is no object.
    """
    own_id, text = string_field(fields, "_id", place), string_field(fields, "text", place)
    if not own_id:
        msg = f"{place}: '_id' is empty"
        raise InvalidInputError(msg)
    title = "" if fields.get("title") is None else string_field(fields, "title", place)
    metadata = fields.get("metadata")
    check(f"{place}: metadata", metadata, optional(instance(dict, "an object")))
    more = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    return Document(doc_id or own_id, text, title, {**more, **(metadata or {})}, source_hash=source_hash)


def parse_object(raw: bytes, place: str) -> dict[str, Any]:
    """Return the JSON object that ``raw`` is.

    Raises:
        InvalidInputError: It is no JSON object, or no UTF-8; names ``place``.
    """
    try:
        fields = parse_json(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        msg = f"{place}: not UTF-8 (byte {error.start + 1} of the line); convert the file"
        raise InvalidInputError(msg) from error
    except ValueError as error:
        msg = f"{place}: not JSON ({error})"
        raise InvalidInputError(msg) from error
    if not isinstance(fields, dict):
        msg = f"{place}: expected a JSON object, not {type(fields).__name__}"
        raise InvalidInputError(msg)
    return fields


def string_field(fields: Mapping[str, Any], name: str, place: str) -> str:
    """Return a field that must be a string.

    Raises:
        InvalidInputError: It is missing or of another type; names ``place``.
    """
    if name not in fields:
        msg = f"{place}: no field {name!r}; there are {', '.join(map(repr, fields)) or 'none'}"
        raise InvalidInputError(msg)
    value = fields[name]
    if not isinstance(value, str):
        msg = f"{place}: {name!r} must be a string, not {value!r:.40}"
        raise InvalidInputError(msg)
    return value
