"""What callers may ask: the JSON of a request, checked against the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from s3_retriever.checks import Rule, as_questions, choice, instance, whole
from s3_retriever.errors import InvalidInputError
from s3_retriever.json_form import parse_json
from s3_retriever.names import MODES, SCORINGS
from s3_retriever.search.filters import AllOf, Filter, as_filter
from s3_retriever.search.spans import SpanConfig
from s3_retriever.server.settings import ServerSettings
from s3_retriever.wire import filter_from_json

_FLAG = instance(bool, "true or false")


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
    questions = as_questions([body["question"]] if is_single else body["questions"])
    if not 1 <= len(questions) <= settings.max_questions:
        msg = f"a request has 1 to {settings.max_questions} questions, not {len(questions)}"
        raise InvalidInputError(msg)
    check_lengths(questions, settings)
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


def check_lengths(questions: Sequence[str], settings: ServerSettings) -> None:
    """Refuse questions that are longer than a server allows.

    Raises:
        InvalidInputError: Names the length and the limit.
    """
    longest = max(map(len, questions))
    if longest > settings.max_question:
        msg = f"a question has at most {settings.max_question} characters, not {longest}"
        raise InvalidInputError(msg)


def _span_config(given: Any) -> SpanConfig:
    names = [one.name for one in fields(SpanConfig)]
    if not isinstance(given, dict) or not given.keys() <= set(names):
        msg = f"spans must be an object with some of {', '.join(names)}, not {given!r:.80}"
        raise InvalidInputError(msg)
    return SpanConfig(**given)


def _where(mapping: Any, tree: Any) -> Filter | None:
    given = [] if mapping is None else [as_filter(mapping)]
    if tree is not None:
        given.append(filter_from_json(tree))
    return AllOf(given) if len(given) > 1 else given[0] if given else None


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
