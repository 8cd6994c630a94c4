"""Begins a search of an index, in this process or in shards of one elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.answer import Search, Searching, SearchOptions
from s3_retriever.search.rank import Ranker
from s3_retriever.search.sharded import ShardedSearch
from s3_retriever.search.shards import ShardedSnapshot
from s3_retriever.search.spans import SpanConfig


def searching(
    snapshot: Snapshot | ShardedSnapshot,
    ranker: Ranker,
    options: SearchOptions,
    spans: SpanConfig,
    count_tokens: Callable[[str], int],
) -> Searching:
    """Begin a search of one version of an index, wherever it is; arguments as of :class:`Search`."""
    if isinstance(snapshot, ShardedSnapshot):
        return ShardedSearch(snapshot, ranker, options, spans, count_tokens)
    return Search(snapshot, ranker, options, spans, count_tokens)
