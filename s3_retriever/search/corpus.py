"""What a retriever searches: an index in this process, or shards of one elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError, UnknownDocumentError
from s3_retriever.index.layout import Layout
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.answer import Search, Searching, SearchOptions
from s3_retriever.search.rank import Ranker
from s3_retriever.search.shard import read_page
from s3_retriever.search.sharded import ShardedSearch, Shards
from s3_retriever.search.spans import SpanConfig


class ReadOnly:
    """A lock that lets nobody in: what is in shards cannot be changed there."""

    def __enter__(self) -> NoReturn:
        """Refuse.

        Raises:
            InvalidInputError: Always.
        """
        msg = "an index in shards is only read; change it with from_dataset(), or load it without shards"
        raise InvalidInputError(msg)

    def __exit__(self, *_error: object) -> None:
        """Do nothing: nobody came in."""


class ShardedIndex:
    """An index in shards, with what a retriever asks of an :class:`~s3_retriever.index.index.Index`.

    Attributes:
        layout: Taps and their sizes.
        header: Of the manifest.
        shards: Where it is.
    """

    def __init__(self, shards: Shards, layout: Layout, header: Mapping[str, Any]) -> None:
        self.layout = layout
        self.header = dict(header)
        self.shards = shards

    def __len__(self) -> int:
        return sum(one.n_documents for one in self.shards.facts())

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and self._place(doc_id) is not None

    @property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of the live documents, in order."""
        return tuple(doc_id for ids in self._all("document_ids").values() for doc_id in ids)

    @property
    def n_tokens(self) -> int:
        """Tokens of the live documents."""
        return sum(one.n_tokens for one in self.shards.facts())

    @property
    def nbytes(self) -> int:
        """Bytes of all segments, counted for each shard that reads them; texts excluded."""
        return sum(one.nbytes for one in self.shards.facts())

    @property
    def snapshot(self) -> ShardedIndex:
        """Itself: it never changes."""
        return self

    def find(self, doc_id: str) -> tuple[int, int]:
        """Return the shard that has a document, and its number there.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        place = self._place(doc_id)
        if place is None:
            msg = f"no document has the id {doc_id!r}"
            raise UnknownDocumentError(msg)
        return place

    def document(self, doc_id: str) -> Document:
        """Return a document.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        shard, number = self.find(doc_id)
        (page,) = self.shards.each("pages", {shard: ([number],)})[shard]
        return read_page(page)[0]

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        """Refuse; see :class:`ReadOnly`."""
        ReadOnly().__enter__()

    add = update = delete = merge = save = reload = __iter__ = _refuse

    def _place(self, doc_id: str) -> tuple[int, int] | None:
        found = self._all("find", doc_id)
        return next(((shard, number) for shard, number in found.items() if number is not None), None)

    def _all(self, method: str, *arguments: Any) -> dict[int, Any]:
        found = self.shards.each(method, dict.fromkeys(range(len(self.shards.facts())), arguments))
        return dict(sorted(found.items()))


def searching(
    snapshot: Snapshot | ShardedIndex,
    ranker: Ranker,
    options: SearchOptions,
    spans: SpanConfig,
    count_tokens: Callable[[str], int],
) -> Searching:
    """Begin a search of one version of an index, wherever it is; arguments as of :class:`Search`."""
    if isinstance(snapshot, ShardedIndex):
        return ShardedSearch(snapshot.shards, ranker, options, spans, count_tokens)
    return Search(snapshot, ranker, options, spans, count_tokens)
