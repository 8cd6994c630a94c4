"""The commands ``serve`` and ``mcp``: an index that stays loaded, for programs and for agents."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from s3_retriever.checks import check_library, pip_install
from s3_retriever.cli.shared import PROGRAM, Command, Options, address, count, note, plain_warnings, settings
from s3_retriever.errors import ArtifactError, InvalidInputError
from s3_retriever.names import TOKEN_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from s3_retriever.server.service import Service
    from s3_retriever.server.settings import ServerSettings

_SHARDS = 2
_POLL = 5.0  # seconds between two looks at the manifest of an index in shards, which may lie far away
_OPTIONS = {
    "host": "--bind",
    "allowed_hosts": "--allowed-host",
    "cors_origins": "--cors-origin",
    "max_waiting": "--queue",
}


def _serve(args: argparse.Namespace) -> None:
    _check_libraries("serve", starlette="starlette", uvicorn="uvicorn", prometheus_client="prometheus-client")
    if args.ray is not None:
        if args.compare is not None:
            msg = "--compare does not go with --ray: serve one of the two without"
            raise InvalidInputError(msg)
        _serve_on_ray(args)
        return
    if args.shards is not None:
        msg = "--shards goes with --ray: each shard is an actor of a cluster"
        raise InvalidInputError(msg)
    from s3_retriever.server.app import make_app

    service = _service(args)
    other = None if args.compare is None else _other(args.compare, service)
    _run(service, make_app(service, other=other))


def _serve_on_ray(args: argparse.Namespace) -> None:
    check_library("servers of an index in shards", "Ray", "ray.serve", pip_install("ray"))
    from s3_retriever.cluster.connection import connect
    from s3_retriever.server.on_ray import Sharded, run
    from s3_retriever.store import place_of
    from s3_retriever.store.opening import opened_content

    chosen = _settings(args)
    if not chosen.port:
        msg = "--port 0 takes a free one, which Ray Serve cannot; name one"
        raise InvalidInputError(msg)
    what = Sharded(str(args.index), args.shards or _SHARDS, replace(chosen, poll=_POLL), args.host)
    opened_content(place_of(what.path))  # its absence is said before a cluster is begun
    connect(args.ray)
    how = f"in {what.shards} shards, for reading only"
    run(what, ready=lambda url: note(f"serving {what.path} ({how}) at {url}"))


def _mcp(args: argparse.Namespace) -> None:
    _check_libraries(
        "mcp", mcp="mcp", starlette="starlette", uvicorn="uvicorn", prometheus_client="prometheus-client"
    )
    from s3_retriever.server import tools
    from s3_retriever.server.app import make_app

    service = _service(args)
    if not args.http:
        note(f"{PROGRAM}: {_what(service)} is served on standard input and output")
        with plain_warnings(), contextlib.suppress(KeyboardInterrupt):
            asyncio.run(tools.serve_stdio(service))
        return
    server = tools.make_tools(service)
    routes = tools.http_routes(server)
    _run(service, make_app(service, routes, lambda: tools.http_running(server)), tools.PATH)


def _check_libraries(extra: str, **libraries: str) -> None:
    for module, library in libraries.items():
        check_library("servers", library, module, pip_install(extra))


def _run(service: Service, app: ASGIApp, path: str = "") -> None:
    from s3_retriever.server.run import run

    chosen = service.settings
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection need look at it while questions are answered
    with plain_warnings():
        run(app, chosen.host, chosen.port, ready=lambda url: note(f"serving {_what(service)} at {url}{path}"))


def _service(args: argparse.Namespace) -> Service:
    """Load what is served, and warm it up; a mistake in an option is said before that."""
    from s3_retriever.server.served import ServedIndex, warm_up
    from s3_retriever.server.service import Service

    chosen = _settings(args)
    served = ServedIndex(args.index, host=args.host, read_only=args.read_only or None)
    warm_up(served)
    return Service(served, chosen)


def _settings(args: argparse.Namespace) -> ServerSettings:
    from s3_retriever.server.settings import ServerSettings

    if args.token is None:
        args.token = os.environ.get(TOKEN_VARIABLE) or None
    return settings(ServerSettings, args, None, names=None, **_OPTIONS)


def _other(path: Path, service: Service) -> Service:
    """Load what the page compares with; both share the host if they can."""
    from s3_retriever.server.served import ServedIndex, warm_up
    from s3_retriever.server.service import Service

    try:
        served = ServedIndex(path, host=service.served.newest.origin.host, read_only=True)
    except ArtifactError:
        served = ServedIndex(path, read_only=True)
    warm_up(served)
    return Service(served, service.settings)


def _what(service: Service) -> str:
    served = service.served
    how = "for reading only" if served.read_only else "for reading and writing"
    return f"{served.name} ({len(served.newest.snapshot):,} documents, {how})"


_NETWORK: Options = {
    "--bind ADDRESS": "address to listen on; any but this machine's own needs a token (default: 127.0.0.1)",
    "--port N": count("port; 0 takes a free one (default: 8080)", least=0),
    "--token TOKEN": f"what callers send as bearer token (default: {TOKEN_VARIABLE} of the environment, "
    "which other users of the machine cannot see)",
    "--allowed-host NAME ...": "names that callers may call the server by (default: this machine's own, or "
    "any where --bind is another address)",
    "--cors-origin ORIGIN ...": "let web pages of these origins ask (default: none)",
    "--max-body N": count("most bytes of a request (default: 16777216)"),
    "--max-questions N": count("most questions of a request (default: 256)"),
    "--max-budget N": count("most tokens that may be asked for per question (default: 32768)"),
    "--queue N": count(
        "questions that may wait, and requests for documents; more are refused with status 503 (default: 512)"
    ),
    "--timeout SECONDS": {
        "type": float,
        "metavar": "SECONDS",
        "help": "seconds after which a question is refused (default: 60)",
    },
}
_INDEX: Options = {
    "index DIR": "what 'index' wrote",
    "--read-only": "refuse changes (default: if DIR cannot be written)",
    "--host NAME_OR_PATH": "where the host of the index is now, if not where its name says",
}

_CLUSTER: Options = {
    "--ray ADDRESS": address("serve as an application of Ray Serve, for reading only, on"),
    "--shards N": count(f"actors on it that have a part of the documents each (default: {_SHARDS})"),
}

SERVE = Command(
    "serve",
    "answer questions over HTTP, with the index and its host kept in memory",
    (
        "serve my-index",
        "serve my-index --compare index-of-last-week",
        "serve my-index --bind 0.0.0.0 --port 80 --read-only",
        "serve s3://bucket/my-index --ray auto --shards 8",
    ),
    {
        **_INDEX,
        "--compare DIR": "another index, which the page shows beside it if asked; it is only read",
        **_CLUSTER,
        **_NETWORK,
    },
    _serve,
)

MCP = Command(
    "mcp",
    "let agents search an index, by the Model Context Protocol",
    (
        "mcp my-index",
        "mcp my-index --http --port 8080",
    ),
    {
        **_INDEX,
        "--http": "serve over HTTP, at /mcp, beside what 'serve' offers (default: on standard streams)",
        **_NETWORK,
    },
    _mcp,
)
