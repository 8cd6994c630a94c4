"""Errors of ours that come back from a cluster inside errors of Ray's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from s3_retriever import errors
from s3_retriever.errors import S3RetrieverError

# Where an actor cannot be made or a function is no generator, Ray has the error as the text of a stack only.
_AS_TEXT = re.compile(rf"^{re.escape(errors.__name__)}\.(\w+): (.+)$", re.MULTILINE)


def cause_of(error: BaseException | None) -> S3RetrieverError | None:
    """Return the error of ours among the causes of one of Ray's."""
    for one in _causes(error):
        # Ray makes a class of its own of both; its cause is the error of ours.
        if isinstance(one, S3RetrieverError) and not isinstance(
            getattr(one, "cause", None), S3RetrieverError
        ):
            return _as_raised(one)
    for one in _causes(error):
        for name, message in reversed(_AS_TEXT.findall(str(one))):
            kind = getattr(errors, name, None)
            if isinstance(kind, type) and issubclass(kind, S3RetrieverError):
                return kind(message)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        cause: Any = getattr(error, "cause", None)
        error = cause if isinstance(cause, BaseException) else error.__cause__ or error.__context__


def _as_raised(error: S3RetrieverError) -> S3RetrieverError:
    """Return an error of ours, whose message is one line, without the lines that Ray Data adds to it.

    See ``findings/ray-data-adds-to-messages.sh``.
    """
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == S3RetrieverError.__module__)
    args = tuple(one.partition("\n")[0] if isinstance(one, str) else one for one in error.args)
    return error if type(error) is kind and args == error.args else kind(*args)
