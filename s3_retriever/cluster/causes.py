"""Errors of ours that come back from a cluster inside errors of Ray's."""

from __future__ import annotations

from typing import Any

from s3_retriever.errors import S3RetrieverError


def cause_of(error: BaseException | None) -> S3RetrieverError | None:
    """Return the error of ours among the causes of one of Ray's."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        cause: Any = getattr(error, "cause", None)
        # Ray makes a class of its own of both; its cause is the error of ours.
        if isinstance(error, S3RetrieverError) and not isinstance(cause, S3RetrieverError):
            return _as_raised(error)
        error = cause if isinstance(cause, BaseException) else error.__cause__ or error.__context__
    return None


def _as_raised(error: S3RetrieverError) -> S3RetrieverError:
    """Return an error of ours, whose message is one line, without the lines that Ray Data adds to it."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == S3RetrieverError.__module__)
    args = tuple(one.partition("\n")[0] if isinstance(one, str) else one for one in error.args)
    return error if type(error) is kind and args == error.args else kind(*args)
