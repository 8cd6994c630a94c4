"""A lock between threads that its own holder does not wait for."""

from __future__ import annotations

import threading

from s3_retriever.errors import InvalidInputError


class ChangeLock:
    """Lets one thread at a time change something.

    A thread that changes it already is refused, for it would wait for itself for ever. So it is where the
    documents that are added come from a function that adds.

    Args:
        what: What is changed, with its article.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._holder: int | None = None

    def __enter__(self) -> None:
        """Wait for the other threads.

        Raises:
            InvalidInputError: This thread holds it.
        """
        if self._holder == threading.get_ident():
            msg = (
                f"what reads the documents of a change may not change {self._what} itself; "
                "collect the documents in a list first"
            )
            raise InvalidInputError(msg)
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_error: object) -> None:
        self._holder = None
        self._lock.release()
