"""What callers may ask: the JSON of a request, checked against the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from s3_retriever.checks import Rule, choice, each, instance, whole
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.json_form import parse_json
from s3_retriever.names import MODES, SCORINGS
from s3_retriever.search.filters import OPERATORS, AllOf, AnyOf, Compare, Filter, Not, as_filter, value_rule
from s3_retriever.search.spans import SpanConfig
from s3_retriever.server.settings import ServerSettings

_FLAG = instance(bool, "true or false")
_TEXT = instance(str, "a text")
_ANY = instance(object, "")
_OBJECT = instance(Mapping, "an object")


def or_null(rule: Rule) -> Rule:
    """Allow null beside what a rule allows."""

    def allowed(value: object) -> str:
        wanted = "" if value is None else rule(value)
        return wanted and f"{wanted}, or null"

    return allowed


_RULES: dict[str, Rule] = {
    "token_budget": whole(1),
    "mode": choice(MODES),
    "scoring": choice(SCORINGS),
    "explain": _FLAG,
    "unit_scores": _FLAG,
    "top_k": or_null(whole(1)),
    "unique": _FLAG,
    "titles": _FLAG,
}
_OF_DOCUMENT: dict[str, Rule] = {
    "id": lambda value: "" if isinstance(value, str) and value else "a text that is not empty",
    "text": _TEXT,
    "title": _TEXT,
    "metadata": _OBJECT,
    "pages": each(whole(), least=0),
    "source_hash": _TEXT,
}
_OPTIONS = (*_RULES, "where", "filter", "spans")
_WORDS = ("q", "mode", "scoring")  # of a link, which stand there without quotation marks


@dataclass(frozen=True)
class SearchRequest:
    """Questions and what is asked of their answers.

    Attributes:
        questions: At least one.
        is_single: Whether there was ``question`` rather than ``questions``.
        options: What ``retrieve_batch`` takes beside questions.
        titles: Whether spans come with the titles of their documents.
        key: Equal for equal options.
    """

    questions: list[str]
    is_single: bool
    options: dict[str, Any]
    titles: bool
    key: str


def check_json(name: str, value: object, rule: Rule) -> None:
    """Refuse a value that a rule does not allow; as :func:`s3_retriever.checks.check`, but shown as JSON.

    Raises:
        InvalidInputError: Names the field, what it must be, and the value.
    """
    wanted = rule(value)
    if wanted:
        _refuse(name, wanted, value)


def _refuse(name: str, wanted: str, value: object) -> NoReturn:
    msg = f"{name} must be {wanted}, not {json.dumps(value, ensure_ascii=False):.200}"
    raise InvalidInputError(msg)


def check_fields(what: str, given: Any, names: Sequence[str]) -> None:
    """Refuse a request that is no object, or has a field or parameter that nobody reads.

    Args:
        what: What is asked for, with its article.
        given: The body, or the parameters of a link.
        names: What it may have.

    Raises:
        InvalidInputError: Names the field, and those that there are.
    """
    check_json("the request", given, instance(Mapping, "a JSON object"))
    unknown = sorted(given.keys() - set(names))
    if unknown:
        msg = f"unknown field {unknown[0]!r}; {what} takes {', '.join(names)}"
        raise InvalidInputError(msg)


def search_request(body: Any, settings: ServerSettings) -> SearchRequest:
    """Check the body of a search.

    Raises:
        InvalidInputError: Names the field, what it must be, and the value.
    """
    check_fields("a search", body, ("question", "questions", *_OPTIONS))
    if ("question" in body) == ("questions" in body):
        msg = "give either question or questions"
        raise InvalidInputError(msg)
    is_single = "question" in body
    if is_single:
        questions = [checked_question(body["question"], settings)]
    else:
        check_json("questions", body["questions"], instance(list, "a list of questions"))
        questions = [checked_question(one, settings) for one in body["questions"]]
    if not 1 <= len(questions) <= settings.max_questions:
        msg = f"a request has 1 to {settings.max_questions} questions, not {len(questions)}"
        raise InvalidInputError(msg)
    asked = {name: value for name, value in body.items() if name not in ("question", "questions")}
    for name, rule in _RULES.items():
        if name in asked:
            check_json(name, asked[name], rule)
    check_json("token_budget", asked.get("token_budget", 1), whole(1, settings.max_budget))
    key = json.dumps(asked, sort_keys=True)
    titles = asked.pop("titles", False)
    spans = asked.pop("spans", None)
    where = _where(asked.pop("where", None), asked.pop("filter", None))
    config = None if spans is None else _span_config(spans)
    return SearchRequest(questions, is_single, {**asked, "where": where, "spans": config}, titles, key)


def checked_question(value: object, settings: ServerSettings) -> str:
    """Return a question of a request.

    Raises:
        InvalidInputError: It is no text, or blank, or longer than a server allows.
    """
    check_json("question", value, _is_question)
    question = str(value)
    if len(question) > settings.max_question:
        msg = f"a question has at most {settings.max_question} characters, not {len(question)}"
        raise InvalidInputError(msg)
    return question


def _is_question(value: object) -> str:
    return "" if isinstance(value, str) and value.strip() else "a text that is not blank"


def _span_config(given: Any) -> SpanConfig:
    names = [one.name for one in fields(SpanConfig)]
    check_json("spans", given, _OBJECT)
    check_fields("spans", given, names)
    for name, value in given.items():
        check_json(f"{name} of spans", value, whole())
    return SpanConfig(**given)


def _where(mapping: Any, tree: Any) -> Filter | None:
    given = []
    if mapping is not None:
        check_json("where", mapping, instance(Mapping, "an object of keys and values, or null"))
        if not mapping:
            msg = "where is an empty object; leave it out to search all documents"
            raise InvalidInputError(msg)
        given.append(as_filter(mapping))
    if tree is not None:
        given.append(filter_of(tree))
    return AllOf(given) if len(given) > 1 else given[0] if given else None


def filter_of(value: Any) -> Filter:
    """Return the filter that :func:`s3_retriever.wire.filter_to_json` wrote.

    Raises:
        InvalidInputError: It is something else, or nests too deeply.
    """
    try:
        return _filter(value)
    except RecursionError as error:
        msg = "the filter nests too deeply; give its parts to one 'all' or 'any'"
        raise InvalidInputError(msg) from error


def _filter(value: Any) -> Filter:
    keys = set(value) if isinstance(value, Mapping) else set()
    if keys == {"not"}:
        return Not(_filter(value["not"]))
    for name, join in (("all", AllOf), ("any", AnyOf)):
        if keys == {name}:
            check_json(f"{name} of a filter", value[name], each(_ANY))
            return join([_filter(one) for one in value[name]])
    if {"key", "op"} <= keys <= {"key", "op", "value"}:
        key, op, wanted = value["key"], value["op"], value.get("value")
        check_json("the key of a filter", key, _TEXT)
        check_json(f"op of the filter on {key!r}", op, choice(OPERATORS))
        check_json(f"value of the filter on {key!r} with {op!r}", wanted, value_rule(op))
        return Compare(key, op, wanted)
    forms = '{"key", "op", "value"}, {"all": [...]}, {"any": [...]} or {"not": ...}'
    _refuse("a filter", forms, value)


def document_of(value: Any) -> Document:
    """Return a document of a request.

    Raises:
        InvalidInputError: It is no object with ``id`` and ``text``, has fields that no document has, or one
            that cannot be used.
    """
    if not isinstance(value, Mapping) or not {"id", "text"} <= value.keys() <= _OF_DOCUMENT.keys():
        _refuse("a document", f"an object of {', '.join(_OF_DOCUMENT)}, at least the first two", value)
    check_json("id of a document", value["id"], _OF_DOCUMENT["id"])
    for name, one in value.items():
        check_json(f"{name} of document {value['id']!r:.80}", one, _OF_DOCUMENT[name])
    return Document(**value)


def link_body(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of a search that the parameters of a link ask for.

    ``q`` is the question; whole numbers, flags and JSON values are written as in JSON.

    Raises:
        InvalidInputError: A parameter is unknown or cannot be read.
    """
    check_fields("a link", query, ("q", *_OPTIONS))
    return {"question" if name == "q" else name: _read(name, text) for name, text in query.items()}


def _read(name: str, text: str) -> Any:
    try:
        return text if name in _WORDS else parse_json(text)
    except ValueError as error:
        msg = f"{name} must be JSON (a number, true, false, an object), not {text!r:.80}"
        raise InvalidInputError(msg) from error
