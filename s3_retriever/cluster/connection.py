"""Connecting this process to a cluster; an address where none is is said at once."""

from __future__ import annotations

import os
import socket

import ray

from s3_retriever.errors import ClusterError

_PATIENCE = 10.0  # seconds for a connection; Ray tries for minutes
_OF_RAY = ("", "auto", "local")


def connect(address: str | None = None) -> None:
    """Connect this process to a cluster, if it is not connected to one.

    Args:
        address: Host and port of one; "auto": one that runs on this machine; "local": a new one of this
            machine; None: one that runs, else a new one. For "auto" and None, ``RAY_ADDRESS`` names another.

    Raises:
        ClusterError: There is none.
    """
    named = os.environ.get("RAY_ADDRESS", "") if address in (None, "auto") else ""
    where = named or address or ""
    way_out = "name one that runs as host:port, or 'local' for a new one of this machine"
    try:
        if where not in _OF_RAY:
            _knock(where)
        ray.init(address, log_to_driver=False, ignore_reinit_error=True)
    except (OSError, ValueError) as error:
        reason = "none runs on this machine" if where == "auto" else error
        source = "of RAY_ADDRESS, " if named else ""
        msg = f"there is no Ray cluster at {where!r} ({source}{reason}): {way_out}"
        raise ClusterError(msg) from error


def _knock(where: str) -> None:
    """Raise OSError where nobody listens, ValueError at what is no address."""
    host, _, port = where.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):
        msg = "an address is host:port"
        raise ValueError(msg)
    socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
