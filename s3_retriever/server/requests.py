"""What callers may ask: the JSON of a request, checked against the limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from s3_retriever.checks import FLAG, Rule, as_questions, check, choice, instance, optional, whole
from s3_retriever.errors import InvalidInputError
from s3_retriever.json_form import parse_json
from s3_retriever.names import MODES, SCORINGS
from s3_retriever.search.filters import AllOf, Filter, as_filter
from s3_retriever.search.spans import SpanConfig
from s3_retriever.server.settings import ServerSettings
from s3_retriever.wire import filter_from_json

_RULES: dict[str, Rule] = {
    "token_budget": whole(1),
    "mode": choice(MODES),
    "scoring": choice(SCORINGS),
    "explain": FLAG,
    "unit_scores": FLAG,
    "top_k": optional(whole(1)),
    "unique": FLAG,
}
_FIELDS = ("question", "questions", *_RULES, "where", "filter", "spans", "titles")


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


def search_request(body: Any, settings: ServerSettings) -> SearchRequest:
    """Check the body of a search.

    Raises:
        InvalidInputError: Names the field, what it must be, and the value.
    """
    check("the request", body, instance(dict, "a JSON object"))
    unknown = sorted(body.keys() - set(_FIELDS))
    if unknown:
        msg = f"unknown field {unknown[0]!r}; a search takes {', '.join(_FIELDS)}"
        raise InvalidInputError(msg)
    if ("question" in body) == ("questions" in body):
        msg = "give either question or questions"
        raise InvalidInputError(msg)
    is_single = "question" in body
    questions = as_questions([body["question"]] if is_single else body["questions"])
    _check_amount(questions, settings)
    asked = {name: value for name, value in body.items() if name not in ("question", "questions")}
    titles = asked.pop("titles", False)
    check("titles", titles, FLAG)
    for name, rule in _RULES.items():
        if name in asked:
            check(name, asked[name], rule)
    check("token_budget", asked.get("token_budget", 1), whole(1, settings.max_budget))
    key = json.dumps([titles, asked], sort_keys=True)
    spans = asked.pop("spans", None)
    where = _where(asked.pop("where", None), asked.pop("filter", None))
    config = None if spans is None else _span_config(spans)
    return SearchRequest(questions, is_single, {**asked, "where": where, "spans": config}, titles, key)


def _check_amount(questions: list[str], settings: ServerSettings) -> None:
    if not 1 <= len(questions) <= settings.max_questions:
        msg = f"a request has 1 to {settings.max_questions} questions, not {len(questions)}"
        raise InvalidInputError(msg)
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
    readers: dict[str, Callable[[str], Any]] = {
        "q": str,
        "mode": str,
        "scoring": str,
        **dict.fromkeys(("token_budget", "top_k", "explain", "unit_scores", "unique", "titles"), _json),
        **dict.fromkeys(("where", "filter", "spans"), _json),
    }
    body = {}
    for name, text in query.items():
        if name not in readers:
            msg = f"unknown parameter {name!r}; a link takes {', '.join(readers)}"
            raise InvalidInputError(msg)
        try:
            body["question" if name == "q" else name] = readers[name](text)
        except ValueError as error:
            msg = f"{name} must be JSON (a number, true, false, an object), not {text!r:.80}"
            raise InvalidInputError(msg) from error
    return body


def _json(text: str) -> Any:
    return parse_json(text)
