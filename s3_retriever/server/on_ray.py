"""A server of an index in shards as an application of Ray Serve, with the API of every other server."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from ray import serve
from starlette.types import ASGIApp

from s3_retriever.errors import InvalidInputError
from s3_retriever.server.app import make_app
from s3_retriever.server.run import url_of
from s3_retriever.server.served import warm_up
from s3_retriever.server.service import Service
from s3_retriever.server.settings import ServerSettings
from s3_retriever.server.sharded import ServedShards
from s3_retriever.store import place_of
from s3_retriever.store.opening import opened_content

APPLICATION = "s3-retriever"
"""Its name in Ray Serve."""

_PAUSE = 0.5  # seconds between two looks whether to stop


@dataclass(frozen=True)
class Sharded:
    """What is served.

    Attributes:
        path: A folder that all machines see, or a URL.
        shards: Actors, at most.
        settings: Who may ask, and how much.
        host: A hub name, or a folder that each machine has; None: the one that the index names.
    """

    path: str
    shards: int
    settings: ServerSettings
    host: str | None = None


def application(what: Sharded) -> serve.Application:
    """Return an application for ``serve.run``: one replica, which has the host, and a shard per actor."""

    def build() -> ASGIApp:  # runs in the replica, which opens the index there
        served = ServedShards(what.path, what.shards, host=what.host, timeout=what.settings.timeout)
        warm_up(served)
        return make_app(Service(served, what.settings))

    waiting = what.settings.max_waiting + what.settings.max_together
    ingress = serve.ingress(build)()
    return serve.deployment(name=APPLICATION, max_ongoing_requests=waiting)(ingress).bind()


def run(what: Sharded, *, ready: Callable[[str], None]) -> None:
    """Serve on the cluster that this process is connected to, until SIGINT or SIGTERM.

    Args:
        what: What is served.
        ready: Told the address when questions are answered.

    Raises:
        IndexFormatError: There is no index, or its manifest is damaged.
        InvalidInputError: The application cannot start.
    """
    opened_content(place_of(what.path))  # its absence is said here, not in the log of a replica
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    host, port = what.settings.host, what.settings.port
    serve.start(http_options={"host": host, "port": port})
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        serve.run(application(what), name=APPLICATION, route_prefix="/")
        ready(url_of(host, port))
        while not stopped.wait(_PAUSE):
            pass
    except RuntimeError as error:
        msg = f"Ray Serve cannot start the application ({error}); its logs say why"
        raise InvalidInputError(msg) from error
    finally:
        serve.delete(APPLICATION)  # others may have applications there, too
        for number, handler in before.items():
            signal.signal(number, handler)
