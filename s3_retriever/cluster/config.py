"""How a job uses a cluster, and what it did there; Ray is not imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from s3_retriever.checks import check_settings, choice, number, optional, whole

OnError = Literal["stop", "skip"]

_LAST_PORT = 65535

OF_RAY = ("auto", "local")
"""What stands for an address: a cluster that runs on this machine, or a new one of it."""


def host_and_port(address: str) -> tuple[str, int]:
    """Return the host and the port of a cluster's address, such as ``ray://head:10001``.

    Raises:
        ValueError: It is no address.
    """
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("", "ray") or not host or not port.isdecimal() or int(port) > _LAST_PORT:
        msg = "an address is host:port"
        raise ValueError(msg)
    return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Failure:
    """A document that could not be indexed.

    Attributes:
        id: Its id, as far as it has one.
        reason: What is wrong with it.
    """

    id: str
    reason: str


@dataclass(frozen=True)
class ClusterConfig:
    """How a job uses a cluster.

    Attributes:
        workers: Actors that scan; None: as many as the cluster has CPUs, or GPUs.
        threads: Threads of each, on one core each.
        gpus: GPUs of each; 0 scans on CPUs.
        pack_bytes: Bytes of text that become one segment, at least; what is lost with an actor, too.
        merge_bytes: Segments are merged at the end, by the rule of a retriever's own, up to so many bytes; 0
            merges none.
        patience: Seconds to wait for the cluster to start the actors.
        on_error: "stop" at a document that cannot be indexed, or "skip" it and report it.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    workers: int | None = None
    threads: int = 1
    gpus: float = 0.0
    pack_bytes: int = 1 << 20
    merge_bytes: int = 1 << 30
    patience: float = 600.0
    on_error: OnError = "stop"

    def __post_init__(self) -> None:
        check_settings(
            self,
            workers=optional(whole(1)),
            threads=whole(1),
            gpus=number(0),
            pack_bytes=whole(1),
            merge_bytes=whole(),
            patience=number(above=0),
            on_error=choice(get_args(OnError)),
        )


@dataclass(frozen=True)
class Report:
    """What a job did.

    Attributes:
        documents: Documents that it added or replaced.
        tokens: Their tokens.
        segments: Segments that they are in.
        failures: Documents that could not be indexed.
    """

    documents: int
    tokens: int
    segments: int
    failures: tuple[Failure, ...]
