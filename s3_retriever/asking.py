"""Puts questions to one version of an index: what the host makes of them, then the search."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.documents import Span, Spans
from s3_retriever.encode.artifact import Artifact
from s3_retriever.encode.question import encode_questions, query_rows, shared_features
from s3_retriever.host.model import Host
from s3_retriever.host.one_core import OneCoreThreads
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.answer import Asked, Searching, SearchOptions
from s3_retriever.search.corpus import searching
from s3_retriever.search.profile import Profile
from s3_retriever.search.rank import Ranker
from s3_retriever.search.spans import SpanConfig


@dataclass(frozen=True, eq=False)
class Asking:
    """What it takes to ask, beside an index and a question.

    Attributes:
        host: Reads the questions.
        artifact: Of that host.
        ranker: Scores cells.
        threads: Where the host's passes run.
        spans: How passages are cut unless the options say it.
    """

    host: Host
    artifact: Artifact
    ranker: Ranker
    threads: OneCoreThreads
    spans: SpanConfig

    def answers(
        self, snapshot: Snapshot, questions: Sequence[str], options: SearchOptions
    ) -> list[list[Span]]:
        """Return the spans that answer each of several questions."""
        search = self._search(snapshot, options)
        if search.is_empty:
            return [Spans() for _ in questions]
        found: list[list[Span]] = []
        for first in range(0, len(questions), search.together):
            some = questions[first : first + search.together]
            found += search.answers(some, functools.partial(self._understood, some, options))
        return found

    def profile(self, snapshot: Snapshot, question: str, doc_id: str, options: SearchOptions) -> Profile:
        """Return the density of one document for a question.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        search = self._search(snapshot, options)
        snapshot.find(doc_id)  # before the host reads the question
        (asked,) = self._understood([question], options)
        return search.profile(asked, doc_id)

    def _search(self, snapshot: Snapshot, options: SearchOptions) -> Searching:
        return searching(snapshot, self.ranker, options, self.spans, self.host.count_tokens)

    def _understood(self, questions: Sequence[str], options: SearchOptions) -> list[Asked]:
        """Let the host read questions, as far as the mode and the scoring need it."""
        if options.mode == "bm25":
            return list(map(Asked, questions))
        artifact, n_features = self.artifact, self.ranker.scoring.n_features
        read = encode_questions(self.host, questions, artifact.query_heads, self.threads)
        rows = self.threads.map(lambda one: query_rows(artifact, one.queries, n_features), read)
        paper = options.scoring == "paper"
        shared = (shared_features(artifact, one.queries) if paper else () for one in read)
        return list(map(Asked, questions, read, rows, shared))
