"""The door of a server: who may come in, how much they may bring, and what every answer carries."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3_retriever.server.metrics import Metrics
from s3_retriever.server.settings import ServerSettings, is_local
from s3_retriever.wire import encode, error_to_json

PUBLIC = ("/", "/healthz", "/readyz", "/static/")
"""Paths that need no token, since they tell nothing of the documents; of the last one, all below it."""

_BODY_SECONDS = 30.0
_HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

_log = logging.getLogger(__name__)


class Guard:
    """Refuses requests before anything else sees them, and reads their bodies, up to the limit.

    - The header ``Host`` must be a name that the server goes by. A web page whose name was made to point at
      this machine (DNS rebinding) gives its own.
    - A page of another origin may not ask, unless CORS was set up for it.
    - A token, where there is one, is compared in constant time.

    Args:
        app: What is guarded.
        settings: The limits.
        metrics: Told of each request.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._token = None if settings.token is None else settings.token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                carried = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    carried.setdefault(name, value)
                carried.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope, headers)
            body = await self._body(headers, receive)
        except HTTPException as refusal:
            await error_response(refusal)(scope, receive, answer)
        else:
            await self._app(scope, _replay(body, receive), answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(scope["method"], route, status, time.perf_counter() - started)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = _name(headers.get("host", ""))
        if not self._is_ours(host):
            raise HTTPException(421, f"this server does not go by the name {host!r}; see --allowed-host")
        origin = headers.get("origin")
        if origin is not None and not self._may_ask(origin, headers):
            raise HTTPException(403, f"pages of {origin!r:.100} may not ask; see --cors-origin")
        if self._token is not None and not _is_public(scope["path"]) and scope["method"] != "OPTIONS":
            kind, _, given = headers.get("authorization", "").partition(" ")
            fits = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
            if kind.lower() != "bearer" or not fits:
                raise HTTPException(
                    401,
                    "this server needs its token: Authorization: Bearer TOKEN",
                    {"www-authenticate": "Bearer"},
                )

    def _may_ask(self, origin: str, headers: Headers) -> bool:
        """Whether a page of an origin may ask: one of this server, or one that CORS allows."""
        return origin in self._settings.cors_origins or _authority(origin) == headers.get("host")

    def _is_ours(self, host: str) -> bool:
        allowed = self._settings.allowed_hosts
        if allowed:
            return host in allowed or (self._settings.is_local and is_local(host))
        return is_local(host) if self._settings.is_local else True

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most = self._settings.max_body
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > most:
            raise _too_large(most)
        parts, size = [], 0
        until = asyncio.get_running_loop().time() + _BODY_SECONDS
        while True:
            left = until - asyncio.get_running_loop().time()
            try:
                message = await asyncio.wait_for(receive(), left)
            except asyncio.TimeoutError as error:
                raise HTTPException(408, f"the body did not come within {_BODY_SECONDS:g} s") from error
            if message["type"] == "http.disconnect":
                raise HTTPException(400, "the caller left before the body was complete")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
            if not message.get("more_body", False):
                return b"".join(parts)


def error_response(error: HTTPException) -> Response:
    """Return the answer to a refused request."""
    kinds = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge"}
    body = error_to_json(kinds.get(error.status_code, "BadRequest"), error.detail)
    return Response(encode(body), error.status_code, dict(error.headers or {}), "application/json")


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        413, f"a request has at most {most:,} bytes; send less at a time", {"connection": "close"}
    )


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC[-1])


def _name(authority: str) -> str:
    """Return the name in a header ``Host``, without its port."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read to whoever reads it next, and then what comes after it."""
    waiting: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replayed() -> Message:
        return next(waiting, None) or await receive()

    return replayed
