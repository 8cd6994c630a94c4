"""How a server serves: who may ask, and how much."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from s3_retriever.checks import check_settings, each, instance, number, optional, whole
from s3_retriever.errors import InvalidInputError
from s3_retriever.wire import is_token

_NAMES = each(instance(str, "a str"), least=0)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Who may ask a server, and how much.

    Attributes:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        token: What callers send as ``Authorization: Bearer``; None asks for none, on this machine only.
        allowed_hosts: Names that callers may call the server by, in the header ``Host``; empty: those of this
            machine where ``host`` is one of them, else any.
        cors_origins: Web pages of these origins may ask too ("https://wiki.example").
        max_body: Bytes of a request.
        max_questions: Questions of a request.
        max_question: Characters of a question.
        max_budget: Tokens that a request may ask for per question.
        max_waiting: Questions that may wait, and requests for documents; more are refused with status 503.
        max_together: Questions that are answered together.
        timeout: Seconds after which a question is refused with status 503.
        poll: Seconds between two looks whether somebody else saved to the folder.

    Raises:
        InvalidInputError: A value cannot be used, or there is no token and others than this machine may ask.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_body: int = 16 * 2**20
    max_questions: int = 256
    max_question: int = 8192
    max_budget: int = 32_768
    max_waiting: int = 512
    max_together: int = 32
    timeout: float = 60.0
    poll: float = 1.0

    def __post_init__(self) -> None:
        limits = ("max_body", "max_questions", "max_question", "max_budget", "max_waiting", "max_together")
        check_settings(
            self,
            port=whole(0, 65_535),
            token=optional(is_token),
            allowed_hosts=_NAMES,
            cors_origins=_NAMES,
            timeout=number(above=0),
            poll=number(above=0),
            **dict.fromkeys(limits, whole(1)),
        )
        if self.token is None and not is_local(self.host):
            msg = (
                f"to listen on {self.host} a token is needed, since others than this machine may ask: "
                "set S3_RETRIEVER_TOKEN, or give --token"
            )
            raise InvalidInputError(msg)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask."""
        return is_local(self.host)


def is_local(name: str) -> bool:
    """Tell whether an address or name is one that this machine has for itself."""
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
