"""A server of an index in shards as an application of Ray Serve, with the API of every other server."""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FrameType

from ray import serve
from ray.exceptions import RayError
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus
from starlette.types import ASGIApp

from s3_retriever.disk import found_anywhere
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

_PAUSE = 0.5  # seconds between two looks whether the application has started
_LOOK = 5.0  # seconds between two looks whether it is still there


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


def application(what: Sharded, name: str) -> serve.Application:
    """Return an application for ``serve.run``: one replica, which has the host, and a shard per actor.

    Args:
        what: What is served.
        name: Of its deployment.
    """

    def build() -> ASGIApp:  # runs in the replica, which opens the index there
        served = ServedShards(what.path, what.shards, host=what.host, timeout=what.settings.timeout)
        warm_up(served)
        return make_app(Service(served, what.settings))

    waiting = what.settings.max_waiting + what.settings.max_together
    ingress = serve.ingress(build)()
    return serve.deployment(name=name, max_ongoing_requests=waiting)(ingress).bind()


def run(what: Sharded, *, ready: Callable[[str], None], patience: float = 600.0) -> None:
    """Serve on the cluster that this process is connected to, until SIGINT or SIGTERM.

    Args:
        what: What is served.
        ready: Told the address when questions are answered.
        patience: Seconds to wait until the cluster has started what answers them.

    Raises:
        IndexFormatError: There is no index, or its manifest is damaged.
        InvalidInputError: The address is taken, or Ray Serve listens at another one already; the application
            cannot start, does not in time, or is replaced by another command.
    """
    place = place_of(what.path)
    opened_content(place)  # its absence is said here, not in the log of a replica
    what = replace(what, path=place.name, host=what.host and found_anywhere(what.host))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _serve_at(what.settings.host, what.settings.port), _deployed(what) as name:
            until = time.monotonic() + patience
            while not stopped.is_set() and not _answers(name):
                if time.monotonic() > until:
                    msg = (
                        f"Ray Serve has not started the application in {patience:g} s: is there room for it?"
                    )
                    raise InvalidInputError(msg)
                stopped.wait(_PAUSE)
            if not stopped.is_set():
                ready(url_of(what.settings.host, what.settings.port))
            while not stopped.wait(_LOOK):
                _answers(name)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _serve_at(host: str, port: int) -> Iterator[None]:
    """Have Ray Serve listen there, and end it if it was begun here and nothing else has come to use it.

    Where it runs already, it keeps its address whatever is asked for, and might let others ask of whom no
    token is demanded.
    """
    begun = _get_global_client(raise_if_no_controller_running=False) is None
    try:
        if begun:
            _begin(host, port)
        now = _get_global_client().http_config
        if (now.host, now.port) != (host, port):
            msg = (
                f"Ray Serve listens at {now.host}, port {now.port}, of this cluster already, not at {host}, "
                f"port {port}: give that address by --bind and --port, or end it by 'serve shutdown'"
            )
            raise InvalidInputError(msg)
        yield
    finally:
        if begun and not serve.status().applications:
            serve.shutdown()


def _begin(host: str, port: int) -> None:
    try:
        serve.start(http_options={"host": host, "port": port})
    except (RuntimeError, TimeoutError) as error:
        reason = getattr(error, "cause", error)  # without the stack of the process where it happened
        msg = f"Ray Serve cannot listen at {host}, port {port}; choose another --port or --bind ({reason})"
        raise InvalidInputError(msg) from error


@contextlib.contextmanager
def _deployed(what: Sharded) -> Iterator[str]:
    """Have the application on the cluster, beside those of others; gives the name of its deployment."""
    name = f"{APPLICATION}-{secrets.token_hex(4)}"
    try:
        target = serve.RunTarget(application(what, name), APPLICATION, "/")
        serve.run_many([target], wait_for_applications_running=False)
        yield name
    except (RayError, RayServeException) as error:
        msg = f"Ray Serve cannot serve the application ({getattr(error, 'cause', error)}); its logs say why"
        raise InvalidInputError(msg) from error
    finally:
        found = serve.status().applications.get(APPLICATION)
        if found and name in found.deployments:
            serve.delete(APPLICATION)


def _answers(name: str) -> bool:
    """Tell whether the application answers, by the deployment of that name.

    Raises:
        InvalidInputError: It never will: it cannot start, or another one has taken its place.
    """
    found = serve.status().applications.get(APPLICATION)
    if found is None or name not in found.deployments:
        msg = f"another command has replaced or deleted the application {APPLICATION!r} of this cluster"
        raise InvalidInputError(msg)
    if found.status is ApplicationStatus.DEPLOY_FAILED:
        why = found.deployments[name].message or found.message
        msg = f"Ray Serve cannot start the application: {why.strip().splitlines()[-1]}"
        raise InvalidInputError(msg)
    return found.status is ApplicationStatus.RUNNING
