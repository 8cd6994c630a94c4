"""Connects this process to a cluster, and says at once where there is none."""

from __future__ import annotations

import os
import socket

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
        ray.init(address, log_to_driver=False, ignore_reinit_error=True)
    except (OSError, ValueError) as error:
        if where in ("", *OF_RAY):
            msg = f"there is no Ray cluster on this machine: {_WAY_OUT}"
        else:  # Ray does not say whether a token is missing
            msg = f"Ray cannot connect to {where!r} ({source}{error}); for a token set RAY_AUTH_MODE=token"
        raise ClusterError(msg) from error
