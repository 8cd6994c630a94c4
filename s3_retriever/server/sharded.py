"""An index in shards as a server has it: only read, and opened anew when its manifest names another one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from s3_retriever.disk import hash_json
from s3_retriever.documents import Document
from s3_retriever.errors import ReadOnlyError, S3RetrieverError
from s3_retriever.retriever import S3Retriever
from s3_retriever.search.shards import ShardedIndex
from s3_retriever.server.served import Version
from s3_retriever.store import place_of
from s3_retriever.store.opening import opened_content

_log = logging.getLogger(__name__)


class ServedShards:
    """An index on actors of Ray, each with a part of it; see :class:`~s3_retriever.server.served.Served`.

    While a new version is opened, the one before it is searched, so the cluster needs room for both.

    Args:
        path: A folder that all machines see, or a URL.
        shards: Actors, at most.
        host: As in ``S3Retriever.load``.
        timeout: Seconds to wait for a shard.

    Attributes:
        read_only: True.
        newest: The version that the next search sees.
        stale: Why the newest version could not be opened, if that is so; else empty.

    Raises:
        S3RetrieverError: As ``S3Retriever.load``.
    """

    def __init__(self, path: str, shards: int, *, host: Any = None, timeout: float = 60.0) -> None:
        self.read_only = True
        self.stale = ""
        self._place = place_of(path)
        self._shards = shards
        self._timeout = timeout
        self.newest = self._opened(host)

    @property
    def name(self) -> str:
        """The path or the URL."""
        return self._place.name

    def reader(self) -> tuple[S3Retriever, Version]:
        """Return what to search."""
        newest = self.newest
        return newest.origin, newest

    def refresh(self) -> None:
        """Open what somebody else committed since; an index that cannot be opened is said in the log.

        The actors of the version before end with the last search that sees it.
        """
        try:
            if hash_json(opened_content(self._place))[:16] != self.newest.id:
                self.newest = self._opened(self.newest.origin.host)
            self.stale = ""
        except (S3RetrieverError, OSError) as error:
            if str(error) != self.stale:
                _log.warning("%s cannot be read any more; its last version is served: %s", self.name, error)
            self.stale = str(error)

    def change(
        self, documents: Sequence[Document], delete: Sequence[str] = (), *, replace: bool = True
    ) -> Version:
        """Refuse.

        Raises:
            ReadOnlyError: Always.
        """
        msg = f"{self.name} is served in shards, which are only read; change it with from_dataset()"
        raise ReadOnlyError(msg)

    def _opened(self, host: Any) -> Version:
        retriever = S3Retriever.load(self._place.name, host=host, shards=self._shards, timeout=self._timeout)
        index: Any = retriever.index
        assert isinstance(index, ShardedIndex)  # noqa: S101 - what shards= gives
        return Version(index.generation[:16], index.snapshot, retriever)
