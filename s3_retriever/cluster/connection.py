"""Connects this process to a cluster, and says at once where there is none."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

import ray

from s3_retriever.cluster.config import OF_RAY, host_and_port
from s3_retriever.errors import ClusterError

_PATIENCE = 10.0  # seconds for a connection; Ray tries for minutes
_WAY_OUT = "name one that runs as host:port, or 'local' for a new one of this machine"


def connect(address: str | None = None) -> None:
    """Connect this process to a cluster, if it is not connected to one.

    Args:
        address: Host and port of one; "auto": one that runs on this machine; "local": a new one of this
            machine; None: one that runs, else a new one. For "auto" and None, ``RAY_ADDRESS`` names another.

    Raises:
        ClusterError: There is none, or Ray cannot connect to it.
    """
    named = os.environ.get("RAY_ADDRESS", "") if address in (None, "auto") else ""
    where = named or address or ""
    source = "of RAY_ADDRESS, " if named else ""
    try:
        if where not in ("", *OF_RAY):
            socket.create_connection(host_and_port(where), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        msg = f"there is no Ray cluster at {where!r} ({source}{error}): {_WAY_OUT}"
        raise ClusterError(msg) from error
    try:
        with _apart():
            ray.init(address, log_to_driver=False, ignore_reinit_error=True)
    except (OSError, ValueError) as error:
        if where in ("", *OF_RAY):
            msg = f"there is no Ray cluster on this machine: {_WAY_OUT}"
        else:  # Ray does not say whether a token is missing
            msg = f"Ray cannot connect to {where!r} ({source}{error}); for a token set RAY_AUTH_MODE=token"
        raise ClusterError(msg) from error


_is_apart = False


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Give each process that begins in the block a session of its own.

    A terminal, or ``kill %1``, sends signals to all processes of a command. Those of a cluster would end
    before the command, which waits a minute for them. On Linux the kernel ends them with it; elsewhere Ray
    ends them by the group that they are in.
    """
    global _is_apart
    _is_apart = sys.platform == "linux"
    try:
        yield
    finally:
        _is_apart = False


def _leave() -> None:
    if _is_apart:
        os.setsid()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_leave)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Have SIGTERM interrupt the block, and then end the process as it does where nobody catches it.

    Ray's own handler ends it with a status (``findings/ray-sigterm-ends-with-a-status.sh``) or by an abort.
    Call it in the main thread, connected.
    """
    told = False

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
