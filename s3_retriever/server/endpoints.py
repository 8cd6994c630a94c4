"""The endpoints: requests in JSON to the service, and its answers as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from s3_retriever.checks import each, instance, whole
from s3_retriever.documents import Document, Span
from s3_retriever.errors import InvalidInputError
from s3_retriever.json_form import parse_json
from s3_retriever.server.metrics import CONTENT_TYPE
from s3_retriever.server.requests import (
    check_fields,
    check_json,
    document_of,
    link_body,
    or_null,
    search_request,
)
from s3_retriever.server.served import Version
from s3_retriever.server.service import Answer, Service
from s3_retriever.wire import encode, to_json

LISTED = 100
"""Documents that a list has unless more are asked for."""

MOST_LISTED = 1000
"""Documents that may be asked for."""

_DIGITS = 16

Endpoint = Callable[[Request], Awaitable[Response]]
_IDS = each(instance(str, "the id of a document"), least=0)


def json_response(value: Any, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(encode(value), status, media_type="application/json")


async def read_json(request: Request) -> Any:
    """Return the JSON value that a request brings.

    Raises:
        HTTPException: 415, it does not say that it is JSON; 400, it is none.
    """
    # A form of another web page can send anything but this type without being asked first.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send JSON, with the header Content-Type: application/json")
    try:
        return parse_json(await request.body())
    except ValueError as error:
        raise HTTPException(400, f"the body is no JSON: {error}") from error


def span_json(span: Span, title: str | None = None) -> dict[str, Any]:
    """Return a span as the API gives it."""
    found: dict[str, Any] = to_json(span)
    return found if title is None else {**found, "title": title}


def document_json(document: Document, start: int = 0, end: int | None = None) -> dict[str, Any]:
    """Return a document as the API gives it, its text from character ``start`` to ``end``."""
    end = len(document.text) if end is None else min(end, len(document.text))
    start = min(start, end)
    place = {"text": document.text[start:end], "start": start, "end": end, "length": len(document.text)}
    return {**to_json(document), **place}


def document_list(version: Version, after: str | None, prefix: str, limit: int) -> dict[str, Any]:
    """Return ids and titles of documents in order of addition.

    Args:
        version: Whose documents.
        after: The id before the first one.
        prefix: Only ids that begin so.
        limit: At most so many.

    Raises:
        UnknownDocumentError: There is no document ``after``.
    """
    snapshot = version.snapshot
    first = 0 if after is None else snapshot.find(after) + 1
    ids = snapshot.document_ids
    numbers = [i for i in range(first, len(ids)) if ids[i].startswith(prefix)]
    shown = []
    for number in numbers[:limit]:
        document = snapshot.document(number)
        shown.append(
            {
                "id": document.id,
                "title": document.title,
                "metadata": to_json(document.metadata),
                "length": len(document.text),
            }
        )
    return {
        "documents": shown,
        "next": shown[-1]["id"] if len(numbers) > limit else None,
        "total": len(ids),
        "version": version.id,
    }


def short_names(places: Sequence[str]) -> list[str]:
    """Return the last part of each folder or URL, or the last two where that tells nothing.

    Examples:
        >>> short_names(["a/index", "b/index"])
        ['a/index', 'b/index']
    """
    paths = [Path(place).absolute() for place in places]
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else ["/".join(path.parts[-2:]) for path in paths]


class Endpoints:
    """The functions behind the routes of one service, which names the others beside it."""

    def __init__(self, service: Service, *others: Service) -> None:
        self._service = service
        self._names = short_names([one.served.name for one in (service, *others)])

    async def search(self, request: Request) -> Response:
        """Answer questions, from a body or from a link."""
        asked = link_body(request.query_params) if request.method == "GET" else await read_json(request)
        search = search_request(asked, self._service.settings)
        answers = await self._service.search(search)
        found = [
            {"question": question, "spans": _spans(answer)}
            for question, answer in zip(search.questions, answers, strict=True)
        ]
        common = {"version": answers[0].version, "warnings": answers[0].warnings}
        return json_response({**(found[0] if search.is_single else {"answers": found}), **common})

    async def list_documents(self, request: Request) -> Response:
        """List documents."""
        query = request.query_params
        check_fields("a list", query, ("limit", "after", "prefix"))
        limit = _digits(query.get("limit", str(LISTED)))
        check_json("limit", limit, whole(1, MOST_LISTED))
        after, prefix = query.get("after"), query.get("prefix", "")
        return json_response(
            await self._service.read(lambda version: document_list(version, after, prefix, limit))
        )

    async def list_ids(self, request: Request) -> Response:
        """Give the ids of all documents."""
        return json_response(
            await self._service.read(
                lambda version: {"ids": version.snapshot.document_ids, "version": version.id}
            )
        )

    async def document(self, request: Request) -> Response:
        """Give a document, or a part of it; what is asked for stands in a link or, for any id, in a body."""
        if request.method == "GET":
            query = request.query_params
            asked = {**query, **{name: _digits(query[name]) for name in ("start", "end") if name in query}}
        else:
            asked = await read_json(request)
        check_fields("a document", asked, ("id", "start", "end"))
        doc_id, start, end = asked.get("id"), asked.get("start", 0), asked.get("end")
        check_json("id", doc_id, instance(str, "the id of a document"))
        check_json("start", start, whole())
        check_json("end", end, or_null(whole()))

        def read(version: Version) -> dict[str, Any]:
            document = version.snapshot.document(version.snapshot.find(str(doc_id)))
            return {**document_json(document, start, end), "version": version.id}

        return json_response(await self._service.read(read))

    async def add(self, request: Request) -> Response:
        """Add documents."""
        documents, _ = _changes(await read_json(request), may_delete=False)
        version = await self._service.change(documents, replace=False)
        return json_response({"ids": [one.id for one in documents], "version": version.id}, 201)

    async def update(self, request: Request) -> Response:
        """Add or replace documents, and delete others, in one step."""
        documents, gone = _changes(await read_json(request), may_delete=True)
        version = await self._service.change(documents, gone)
        return json_response({"ids": [one.id for one in documents], "deleted": gone, "version": version.id})

    async def delete(self, request: Request) -> Response:
        """Delete documents."""
        check_fields("a deletion", request.query_params, ("id",))
        gone = request.query_params.getlist("id")
        if not gone:
            msg = "give the documents' ids: /documents?id=...&id=..."
            raise InvalidInputError(msg)
        version = await self._service.change((), gone)
        return json_response({"deleted": gone, "version": version.id})

    async def health(self, _request: Request) -> Response:
        """Say that the process answers."""
        return json_response({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether it can answer questions, and from what."""
        service, served = self._service, self._service.served
        state = {
            "status": "ready" if service.is_ready else "stopping",
            "name": self._names[0],
            "other": self._names[1] if len(self._names) > 1 else None,
            "version": served.newest.id,
            "documents": len(served.newest.snapshot),
            "read_only": served.read_only,
            "stale": served.stale,
        }
        return json_response(state, 200 if service.is_ready else 503)

    async def metrics(self, _request: Request) -> Response:
        """Give counts and times to Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    def routes(self) -> list[Route]:
        """Return the routes of the API, one a path: of several, a 405 would name the first one only."""
        table: dict[str, dict[str, Endpoint]] = {
            "/search": {"GET": self.search, "POST": self.search},
            "/documents": {
                "GET": self.list_documents,
                "POST": self.add,
                "PUT": self.update,
                "DELETE": self.delete,
            },
            "/document": {"GET": self.document, "POST": self.document},
            "/ids": {"GET": self.list_ids},
            "/healthz": {"GET": self.health},
            "/readyz": {"GET": self.ready},
            "/metrics": {"GET": self.metrics},
        }
        return [
            Route(path, _by_method(functions), methods=list(functions)) for path, functions in table.items()
        ]


def _by_method(functions: Mapping[str, Endpoint]) -> Endpoint:
    async def answer(request: Request) -> Response:
        return await functions["GET" if request.method == "HEAD" else request.method](request)

    return answer


def _spans(answer: Answer) -> list[dict[str, Any]]:
    titles: Sequence[str | None] = answer.titles or [None] * len(answer.spans)
    return [span_json(span, title) for span, title in zip(answer.spans, titles, strict=True)]


def _changes(body: Any, *, may_delete: bool) -> tuple[list[Document], list[str]]:
    known = ("documents", "delete") if may_delete else ("documents",)
    check_fields("a change", body, known)
    if not body:
        msg = f"the change is empty; give {' or '.join(known)}"
        raise InvalidInputError(msg)
    documents, gone = body.get("documents", []), body.get("delete", [])
    check_json("documents", documents, instance(list, "a list"))
    check_json("delete", gone, _IDS)
    return [document_of(one) for one in documents], gone


def _digits(text: str) -> Any:
    """Return the whole number that a text is, or else the text, which a check then names."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else text
