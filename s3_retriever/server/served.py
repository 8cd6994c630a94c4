"""The index of a folder as a server has it: searched by one thread, changed by others."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from s3_retriever.disk import read_whole, refuse_url
from s3_retriever.documents import Document, as_ids, distinct
from s3_retriever.errors import (
    IndexBusyError,
    IndexChangedError,
    InvalidInputError,
    ReadOnlyError,
    S3RetrieverError,
)
from s3_retriever.index import Index, Segment, Snapshot
from s3_retriever.index.manifest import MANIFEST
from s3_retriever.indexing import build_segment
from s3_retriever.retriever import S3Retriever
from s3_retriever.saved import INDEX
from s3_retriever.search.shards import ShardedSnapshot

_PATIENCE = 30.0  # seconds to try again, where others keep saving to the folder
_FIRST_QUESTION = "What is this about?"
_PAUSE = 0.05  # seconds between two tries

_log = logging.getLogger(__name__)


class Version(NamedTuple):
    """One saved version of an index.

    Attributes:
        id: 16 digits, the same for equal saves.
        snapshot: Its documents; it never changes, and any thread may read it.
        origin: The retriever that it was saved or loaded by.
    """

    id: str
    snapshot: Snapshot | ShardedSnapshot
    origin: S3Retriever


class Served(Protocol):
    """An index as a server has it; all but :meth:`reader` may be called from any thread.

    Attributes:
        read_only: Whether changes are refused.
        newest: The version that the next search sees.
        stale: Why the index's own newest version could not be read, if that is so; else empty.
    """

    read_only: bool
    newest: Version
    stale: str

    @property
    def name(self) -> str:
        """Where it lies."""

    def reader(self) -> tuple[S3Retriever, Version]:
        """Return what to search, of the newest version, until the same thread calls this again."""

    def refresh(self) -> None:
        """Take over what somebody else saved since, if anything."""

    def change(
        self, documents: Sequence[Document], delete: Sequence[str] = (), *, replace: bool = True
    ) -> Version:
        """Add and delete documents in one step and save; return the version that this made."""


def warm_up(served: Served) -> None:
    """Answer a question, so that kernels are compiled before somebody waits for them."""
    served.reader()[0].retrieve(_FIRST_QUESTION, top_k=1)


class ServedIndex:
    """A saved index, kept equal to its folder in both directions.

    There are two retrievers over one host. One takes over what somebody else saved, or changes documents and
    saves them. The other one is searched, by one thread, which takes over the :attr:`newest` version before
    it searches. So no search sees what is not in the folder. All but :meth:`reader` may be called from any
    thread.

    Args:
        path: What ``S3Retriever.save`` wrote.
        host: As in ``S3Retriever.load``.
        read_only: Refuse changes; None: if the folder cannot be written.

    Attributes:
        path: The folder.
        read_only: Whether changes are refused.
        newest: The version that the next search sees.
        stale: Why the folder's own version could not be read, if that is so; else empty.

    Raises:
        S3RetrieverError: As ``S3Retriever.load``.
    """

    def __init__(self, path: str | Path, *, host: Any = None, read_only: bool | None = None) -> None:
        self.path = Path(path)
        refuse_url(self.path)
        self.read_only = not _writable(self.path) if read_only is None else read_only
        self.stale = ""
        self._changing = threading.Lock()
        self._seen = self._signature()
        self._writer = S3Retriever.load(self.path, host=host)
        self.newest = self._version()
        self._reader = _reader_of(self._writer)
        self._read = self.newest

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.path)

    def reader(self) -> tuple[S3Retriever, Version]:
        """Return what to search, of the newest version, until the same thread calls this again."""
        newest = self.newest
        if newest is not self._read:
            if newest.origin is not self._read.origin:
                self._reader = _reader_of(newest.origin)
            self._reader.index.snapshot = cast("Snapshot", newest.snapshot)
            self._read = newest
        return self._reader, newest

    def refresh(self) -> None:
        """Take over what somebody else saved since, if anything.

        An index that cannot be read is said in the log and in :attr:`stale`; the old one stays.
        """
        if self._signature() != self._seen:
            with self._changing:
                self._take_over()

    def change(
        self, documents: Sequence[Document], delete: Sequence[str] = (), *, replace: bool = True
    ) -> Version:
        """Add and delete documents in one step and save; return the version that this made.

        Args:
            documents: The new ones.
            delete: Ids of documents to delete.
            replace: Whether documents may take the place of those with their ids.

        Raises:
            ReadOnlyError: The server only reads.
            DuplicateDocumentError: Two documents have one id, or one is taken and ``replace`` is False.
            UnknownDocumentError: There is no document with an id to delete.
            IndexChangedError: Somebody else kept saving to the folder.
            IndexBusyError: Somebody else was saving to it for long.
            DiskFullError: There is no room.
        """
        if self.read_only:
            msg = f"{self.path} is served for reading only; change it where it can be written"
            raise ReadOnlyError(msg)
        given, gone = list(distinct(documents)), as_ids(delete)
        writer, segment = self._scanned(given, replace)
        until = time.monotonic() + _PATIENCE
        while True:
            with self._changing:
                self._take_over()
                if self._writer is writer and self._saved(segment, gone, replace, until):
                    self.newest = self._version()  # the next look at the folder finds the same
                    return self.newest
            if self._writer is not writer:  # it has another artifact
                writer, segment = self._scanned(given, replace)

    def _scanned(self, documents: Sequence[Document], replace: bool) -> tuple[S3Retriever, Segment]:
        """Let the host read documents; return them beside the retriever whose index they fit."""
        writer = self._writer
        taken: Container[str] = () if replace else writer.index
        # One thread scans, so that the other cores stay with those who search.
        how: Any = {"taken": taken, "threads": 1, "show_progress": False}
        return writer, build_segment(documents, writer.host, writer.artifact, writer.config.scan, **how)

    def _saved(self, segment: Segment, gone: Sequence[str], replace: bool, until: float) -> bool:
        """Change the writer's index and save it; False: somebody else saved or is saving, so try again.

        Where that fails, nothing has changed.
        """
        index = self._writer.index
        before = index.snapshot
        try:
            if replace:
                index.update(segment, gone)
            else:
                index.add(segment)
            self._writer.save(self.path)
        except BaseException as error:
            index.snapshot = before
            if isinstance(error, (IndexBusyError, IndexChangedError)) and time.monotonic() < until:
                time.sleep(_PAUSE)
                return False
            raise
        return True

    def _take_over(self) -> None:
        """Bring the writer up to date with the folder; the caller holds the lock."""
        seen = self._signature()
        if seen == self._seen:
            return
        try:
            try:
                read_whole(self.path, lambda: self._writer.index.reload(self.path / INDEX))
            except InvalidInputError:  # another artifact or other settings
                self._writer = S3Retriever.load(self.path, host=self._writer.host)
        except (S3RetrieverError, OSError) as error:
            if str(error) != self.stale:
                _log.warning("%s cannot be read any more; its last version is served: %s", self.path, error)
            self.stale = str(error)
            return
        self._seen, self.stale = seen, ""
        self.newest = self._version()

    def _version(self) -> Version:
        index = self._writer.index
        return Version((index.generation(self.path / INDEX) or "")[:16], index.snapshot, self._writer)

    def _signature(self) -> tuple[int, ...]:
        """Return what tells one save of the folder from the next."""
        try:
            status = (self.path / INDEX / MANIFEST).stat()
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _reader_of(writer: S3Retriever) -> S3Retriever:
    """Return a retriever with an index of its own, which has the same snapshot."""
    index = Index(writer.index.layout, writer.index.header)
    index.snapshot = writer.index.snapshot
    return S3Retriever(host=writer.host, artifact=writer.artifact, index=index, ranker=writer.ranker)


def _writable(path: Path) -> bool:
    return all(os.access(one, os.W_OK | os.X_OK) for one in (path, path / INDEX))
