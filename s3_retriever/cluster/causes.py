"""Errors of ours that come back from a cluster inside errors of Ray's."""

from __future__ import annotations

from typing import Any

from s3_retriever.errors import S3RetrieverError


def cause_of(error: BaseException | None) -> S3RetrieverError | None:
    """Return the error of ours among the causes of one of Ray's."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, S3RetrieverError):
            for kind in type(error).__mro__:  # Ray makes a class of its own of both
                if kind.__module__ == S3RetrieverError.__module__:
                    return error if type(error) is kind else kind(*error.args)
        cause: Any = getattr(error, "cause", None)
        error = cause if isinstance(cause, BaseException) else error.__cause__ or error.__context__
    return None
