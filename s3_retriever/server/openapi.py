"""The API described: an OpenAPI document for programs, and a page of it for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from s3_retriever import __version__
from s3_retriever.names import MODES, SCORINGS, SPAN_KINDS
from s3_retriever.search.spans import SpanConfig
from s3_retriever.server.endpoints import LISTED, MOST_LISTED, json_response
from s3_retriever.server.page import BINS, MOST_BINS
from s3_retriever.server.settings import ServerSettings

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean", "default": False}
_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}


def _whole(least: int, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, **more}


def _object(required: tuple[str, ...], /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _options(settings: ServerSettings) -> dict[str, Any]:
    """Return what a search takes beside its questions."""
    spans = {one.name: _whole(0, default=one.default) for one in fields(SpanConfig) if one.type == "int"}
    return {
        "token_budget": _whole(1, default=512, maximum=settings.max_budget),
        "mode": {"enum": list(MODES), "default": "hybrid"},
        "scoring": {"enum": list(SCORINGS), "default": "attention"},
        "explain": _FLAG,
        "unit_scores": _FLAG,
        "top_k": _whole(1),
        "unique": {"type": "boolean", "default": True, "description": "Each passage once."},
        "where": {**_OBJECT, "description": "Each key has its value, or one of the list."},
        "filter": _ref("Filter"),
        "spans": {**_object((), **spans), "description": "How passages are cut."},
        "titles": {**_FLAG, "description": "Give each span the title of its document."},
    }


def _schemas(settings: ServerSettings) -> dict[str, Any]:
    question = {"type": "string", "minLength": 1, "maxLength": settings.max_question}
    several = {"type": "array", "items": question, "minItems": 1, "maxItems": settings.max_questions}
    place = {"start": _whole(0), "end": _whole(0)}
    answer = {"question": _TEXT, "spans": _list_of("Span")}
    common = {"version": _TEXT, "warnings": {**_TEXTS, "description": "What is odd about the filter."}}
    document = {"id": {**_TEXT, "minLength": 1}, "title": _TEXT, "metadata": _OBJECT}
    of_file = {
        "pages": {"type": "array", "items": _whole(0), "description": "Where each page begins."},
        "source_hash": {**_TEXT, "description": "Of what the document was read from."},
    }
    compare = _object(("key", "op"), key=_TEXT, op=_TEXT, value={})
    joins = [_object((name,), **{name: _list_of("Filter")}) for name in ("all", "any")]
    return {
        "Search": {
            **_object((), question=question, questions=several, **_options(settings)),
            "oneOf": [{"required": ["question"]}, {"required": ["questions"]}],
        },
        "Filter": {"oneOf": [compare, *joins, _object(("not",), **{"not": _ref("Filter")})]},
        "Span": _object(
            ("id", "doc_id", "start", "end", "text", "score", "metadata"),
            id=_TEXT,
            doc_id=_TEXT,
            **place,
            text=_TEXT,
            score={"type": "number"},
            metadata=_OBJECT,
            pages={"type": "array", "items": _whole(1)},
            title=_TEXT,
            explanation={"oneOf": [_OBJECT, {"type": "null"}]},
            kind={"enum": list(SPAN_KINDS)},
            heading_path={"type": "array", "items": _TEXT},
            header={**_TEXT, "description": "Of its table; the lines that open its class and function."},
            lines={"type": "array", "items": _whole(1)},
            also_in={
                "type": "array",
                "items": _object(
                    ("doc_id", "start", "end"), doc_id=_TEXT, **place, similarity={"type": "number"}
                ),
            },
        ),
        "Answer": _object(("question", "spans", *common), **answer, **common),
        "Answers": _object(
            ("answers", *common), answers={"type": "array", "items": _object((), **answer)}, **common
        ),
        "Document": _object(("id", "text"), **document, text=_TEXT, **of_file),
        "Excerpt": _object((), **document, text=_TEXT, **of_file, **place, length=_whole(0), version=_TEXT),
        "Listing": _object(
            ("documents", "next", "total", "version"),
            documents={"type": "array", "items": _object((), **document, length=_whole(0))},
            next={"type": ["string", "null"]},
            total=_whole(0),
            version=_TEXT,
        ),
        "Profile": _object(
            ("question", "doc_id"),
            question=question,
            doc_id=_TEXT,
            mode={"enum": list(MODES), "default": "hybrid"},
            scoring={"enum": list(SCORINGS), "default": "attention"},
            bins=_whole(1, default=BINS, maximum=MOST_BINS),
        ),
        "Changed": _object(("version",), ids=_TEXTS, deleted=_TEXTS, version=_TEXT),
        "Ids": _object(("ids", "version"), ids=_TEXTS, version=_TEXT),
        "State": _object(
            (),
            status=_TEXT,
            name=_TEXT,
            other={"type": ["string", "null"], "description": "The index below /other, if there is one."},
            version=_TEXT,
            documents=_whole(0),
            read_only=_FLAG,
            stale=_TEXT,
        ),
        "Error": _object(("error",), error=_object(("type", "message"), type=_TEXT, message=_TEXT)),
    }


def _operation(
    summary: str,
    answer: Mapping[str, Any],
    *,
    body: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    required: tuple[str, ...] = (),
    status: int = 200,
    media: str = "application/json",
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): {"description": "done", "content": {media: {"schema": answer}}},
            "default": {
                "description": "an error",
                "content": {"application/json": {"schema": _ref("Error")}},
            },
        },
    }
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if parameters:
        made["parameters"] = [
            {"name": name, "in": "query", "required": name in required, **_parameter(schema)}
            for name, schema in parameters.items()
        ]
    return made


def _parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say that objects stand in a link as JSON."""
    plain = schema.get("type") in ("string", "integer", "boolean", "array") or "enum" in schema
    return {"schema": schema} if plain else {"content": {"application/json": {"schema": schema}}}


def _paths(settings: ServerSettings) -> dict[str, Any]:
    documents = _object((), documents=_list_of("Document"))
    update = _object((), documents=_list_of("Document"), delete=_TEXTS)
    place = {"id": _TEXT, "start": _whole(0, default=0), "end": _whole(0)}
    listing = {"limit": _whole(1, default=LISTED, maximum=MOST_LISTED), "after": _TEXT, "prefix": _TEXT}
    either = {"oneOf": [_ref("Answer"), _ref("Answers")]}
    return {
        "/search": {
            "post": _operation("Find the spans that answer questions.", either, body=_ref("Search")),
            "get": _operation(
                "The same as a link, for one question.",
                _ref("Answer"),
                parameters={"q": _TEXT, **_options(settings)},
                required=("q",),
            ),
        },
        "/documents": {
            "get": _operation("List documents in order of addition.", _ref("Listing"), parameters=listing),
            "post": _operation("Add documents.", _ref("Changed"), body=documents, status=201),
            "put": _operation(
                "Add or replace documents, and delete others, in one step.", _ref("Changed"), body=update
            ),
            "delete": _operation(
                "Delete documents.", _ref("Changed"), parameters={"id": _TEXTS}, required=("id",)
            ),
        },
        "/document": {
            "get": _operation(
                "Read a document, or some of its characters.",
                _ref("Excerpt"),
                parameters=place,
                required=("id",),
            ),
            "post": _operation("The same, for any id.", _ref("Excerpt"), body=_object(("id",), **place)),
        },
        "/profile": {
            "post": _operation("Where a document is dense for a question.", _OBJECT, body=_ref("Profile"))
        },
        "/ids": {"get": _operation("Ids of all documents.", _ref("Ids"))},
        "/healthz": {"get": _operation("Whether the process answers.", _ref("State"))},
        "/readyz": {"get": _operation("Whether it answers questions, and from what.", _ref("State"))},
        "/metrics": {"get": _operation("Counts and times for Prometheus.", _TEXT, media="text/plain")},
    }


def openapi(settings: ServerSettings) -> dict[str, Any]:
    """Return the OpenAPI document of a server with some settings."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "s3-retriever", "version": __version__},
        "paths": _paths(settings),
        "components": {"schemas": _schemas(settings)},
    }
    if settings.token is not None:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def page(document: Mapping[str, Any]) -> str:
    """Return an OpenAPI document as a page of HTML without scripts."""
    parts = []
    for path, operations in document["paths"].items():
        for method, one in operations.items():
            parts.append(f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(one['summary'])}</p>")
            for what in one.get("parameters", ()):
                schema = what.get("schema") or what["content"]["application/json"]["schema"]
                need = ", required" if what["required"] else ""
                parts.append(f"<p>Parameter <code>{escape(what['name'])}</code>{need}: {_json(schema)}</p>")
            if "requestBody" in one:
                schema = one["requestBody"]["content"]["application/json"]["schema"]
                parts.append(f"<p>Body:</p><pre>{_json(schema, indent=2)}</pre>")
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f'<h3 id="{escape(name)}">{escape(name)}</h3><pre>{_json(schema, indent=2)}</pre>')
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f'<h1>{title}</h1><p><a href="openapi.json">openapi.json</a></p>{"".join(parts)}</html>'
    )


def _json(value: Any, indent: int | None = None) -> str:
    return escape(json.dumps(value, indent=indent))


def routes(settings: ServerSettings) -> list[Route]:
    """Return the routes of both."""
    document = openapi(settings)

    async def as_json(_request: Request) -> Response:
        return json_response(document)

    async def as_page(_request: Request) -> Response:
        return HTMLResponse(page(document))

    return [Route("/openapi.json", as_json), Route("/docs", as_page)]
