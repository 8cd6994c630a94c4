"""Runs a server until it is told to stop, and then lets it finish what it began."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from s3_retriever.errors import InvalidInputError

_GRACE = 30  # seconds for what was begun when the server is told to stop


def run(app: ASGIApp, host: str, port: int, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; then take nothing new, and return when the last answer is given.

    Args:
        app: What ``make_app`` returned.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        ready: Told the address when connections are taken.

    Raises:
        InvalidInputError: The address cannot be listened on.
    """
    with listen(host, port) as listener:
        server = make_server(app)
        ready(address(listener))
        # At its end uvicorn sends the signal that stopped it again, which would kill the process.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                server.run([listener])
        finally:
            signal.signal(signal.SIGTERM, before)


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server that has not begun."""
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        InvalidInputError: The address is taken, or is none of this machine.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(512)
    except OSError as error:
        reason = error.strerror or error
        msg = f"cannot listen on {host}, port {port}: {reason}; choose another --port or --bind"
        raise InvalidInputError(msg) from error
    return listener


def address(listener: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    return url_of(*listener.getsockname()[:2])


def url_of(host: str, port: int) -> str:
    """Return the URL of a server at an address, which may be one of IPv6."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
