"""Questions as the host understands them, as far as a search needs it."""

from __future__ import annotations

from collections.abc import Sequence

from s3_retriever.encode.artifact import Artifact
from s3_retriever.encode.question import encode_questions, query_rows, shared_features
from s3_retriever.host.model import Host
from s3_retriever.host.one_core import OneCoreThreads
from s3_retriever.search.answer import Asked, SearchOptions


def understood(
    questions: Sequence[str],
    options: SearchOptions,
    host: Host,
    artifact: Artifact,
    n_features: int,
    threads: OneCoreThreads,
) -> list[Asked]:
    """Let the host read questions, as far as the mode and the scoring need it.

    Args:
        questions: The questions.
        options: How they are searched.
        host: The language model.
        artifact: Learned for it.
        n_features: Features kept per question token and query head.
        threads: Where it is done.
    """
    if options.mode == "bm25":
        return [Asked() for _ in questions]
    read = encode_questions(host, questions, artifact.query_heads, threads)
    rows = threads.map(lambda one: query_rows(artifact, one.queries, n_features), read)
    paper = options.scoring == "paper"
    shared = (shared_features(artifact, one.queries) if paper else () for one in read)
    return list(map(Asked, read, rows, shared))
