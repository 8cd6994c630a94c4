"""The web application: the API, the page, and whatever else is mounted, behind one guard."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from s3_retriever import errors
from s3_retriever.server import openapi
from s3_retriever.server.endpoints import Endpoints, json_response
from s3_retriever.server.guard import Guard, error_response
from s3_retriever.server.page import page_routes, profile_route
from s3_retriever.server.service import Service
from s3_retriever.wire import error_to_json

OTHER = "/other"
"""Where the index is that the page compares with."""

_RETRY_AFTER = "1"  # seconds

STATUS: dict[type[Exception], int] = {
    errors.UnknownDocumentError: 404,
    errors.DuplicateDocumentError: 409,
    errors.IndexChangedError: 409,
    errors.ReadOnlyError: 403,
    errors.IndexBusyError: 503,
    errors.ServerBusyError: 503,
    errors.DiskFullError: 507,
    errors.StorageError: 500,
    errors.InvalidInputError: 422,
    errors.S3RetrieverError: 500,
}
"""Of each error, its status; the first class that fits counts."""

_log = logging.getLogger(__name__)


def make_app(
    service: Service,
    routes: Sequence[BaseRoute] = (),
    beside: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    other: Service | None = None,
) -> ASGIApp:
    """Return the web application of a service.

    Args:
        service: What answers. It runs as long as the application does.
        routes: More routes, which come first.
        beside: What else is entered while the application runs.
        other: Answers below ``/other``, for the page to compare with.
    """
    services = [service] if other is None else [service, other]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as running:
            for one in services:
                await running.enter_async_context(one.running())
            await running.enter_async_context(beside())
            yield

    app = Starlette(
        routes=[
            *routes,
            *page_routes(),
            *_of_service(service, *services[1:]),
            *(Mount(OTHER, routes=_of_service(one)) for one in services[1:]),
            *openapi.routes(service.settings),
        ],
        exception_handlers={HTTPException: _refused, errors.S3RetrieverError: _failed, Exception: _broken},
        lifespan=lifespan,
    )
    guarded: ASGIApp = Guard(app, service.settings, service.metrics)
    origins = service.settings.cors_origins
    if origins:
        return CORSMiddleware(
            guarded,
            allow_origins=origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=("authorization", "content-type"),
        )
    return guarded


def _of_service(service: Service, *others: Service) -> list[Route]:
    return [*Endpoints(service, *others).routes(), profile_route(service)]


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return error_response(error)


async def _failed(_request: Request, error: Exception) -> Response:
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    if status == 500:
        _log.error("a request failed", exc_info=error)
    response = json_response(error_to_json(type(error).__name__, str(error)), status)
    if status == 503:
        response.headers["retry-after"] = _RETRY_AFTER
    return response


async def _broken(_request: Request, _error: Exception) -> Response:
    """Answer where the fault is ours; Starlette logs it and raises it again."""
    return json_response(error_to_json("InternalError", "the server failed; its log says why"), 500)
