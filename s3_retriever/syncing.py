"""Brings an index up to date with files: what is new is added, what changed replaced, what went deleted.

The index holds a hash of each file beside its document, and nothing else is kept: a sync that was interrupted
goes on from whatever was saved.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.retriever import S3Retriever
from s3_retriever.sources.corpus import Corpus, FileEntry, Problem

_LOG = logging.getLogger(__name__)

COMMIT_EVERY = 120.0
"""Seconds between two saves of a sync, so that a kill costs no more than these."""


@dataclass(frozen=True)
class SyncResult:
    """What a sync did.

    Attributes:
        added: Ids of documents that are new.
        changed: Ids of documents that were replaced.
        deleted: Ids of documents whose files are gone.
        unchanged: How many documents were left alone.
        problems: What could not be read; what the index held of it stays.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: int
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the index stayed as it was."""
        return not (self.added or self.changed or self.deleted)


def sync(
    retriever: S3Retriever,
    corpus: Corpus,
    commit: Callable[[], object],
    *,
    commit_every: float = COMMIT_EVERY,
    threads: int | None = None,
    show_progress: bool = False,
) -> SyncResult:
    """Make a retriever hold what files say now, and save it now and then.

    Documents that did not come from files stay. Each commit is an index that can be searched. Done again
    after an interruption, a sync ends with the same documents in the same order.

    Args:
        retriever: Holds what was read before.
        corpus: The files, after :meth:`Corpus.survey`.
        commit: Saves the retriever.
        commit_every: Seconds of scanning between two commits.
        threads: As in :meth:`S3Retriever.add`.
        show_progress: As in :meth:`S3Retriever.add`.

    Raises:
        InvalidInputError: There are no documents, or they have nothing in common with those that the
            retriever has of files, all of which would be deleted; or none can be read.
        UnreadableFileError: Something cannot be read, and the corpus is strict.
    """
    known = {one.id: one.source_hash for one in retriever.index.snapshot}
    pending = [entry for entry in corpus if known.get(entry.id) != entry.source_hash]
    of_files = {key for key, source_hash in known.items() if source_hash}
    gone = [key for key in known if key in of_files and key not in corpus.entries and not corpus.keeps(key)]
    _refuse_others(corpus, known, of_files, gone)
    read = _Reader(corpus, pending, commit_every)
    if gone:
        retriever.delete(gone)
        if not pending:
            commit()
    while read.is_pending:
        read.begin()
        retriever.update(read, threads=threads, show_progress=show_progress)
        if gone or read.ids:
            commit()
            _LOG.info("saved %d documents", len(retriever))
    if not len(retriever):
        first = f" ({corpus.problems[0]})" if corpus.problems else ""
        msg = f"{_named(corpus)}: nothing could be read{first}"
        raise InvalidInputError(msg)
    done = read.ids
    return SyncResult(
        added=tuple(key for key in done if key not in known),
        changed=tuple(key for key in done if key in known),
        deleted=tuple(gone),
        unchanged=sum(known.get(entry.id) == entry.source_hash for entry in corpus),
        problems=tuple(corpus.problems),
    )


def _refuse_others(corpus: Corpus, known: dict[str, str], of_files: set[str], gone: Sequence[str]) -> None:
    """Refuse a corpus that would replace another: an empty one, or one with nothing that the index knows."""
    if not corpus.entries and not of_files - set(gone):
        why = f" ({corpus.problems[0]})" if corpus.problems else ""
        msg = f"{_named(corpus)}: no document there{why}; give a folder or files that hold text"
        raise InvalidInputError(msg)
    hashes = {known[key] for key in of_files}
    if gone and not of_files - set(gone) and not any(entry.source_hash in hashes for entry in corpus):
        msg = (
            f"{_named(corpus)}: of {len(of_files):,} documents that the index has of files none is there, "
            "and all would be deleted; give the path that it was made of, or another index"
        )
        raise InvalidInputError(msg)


def _named(corpus: Corpus) -> str:
    return ", ".join(corpus.paths)


class _Reader:
    """Reads documents, lazily, until it is time to commit; then goes on with the next ones.

    What cannot be read is reported, and passed over.
    """

    def __init__(self, corpus: Corpus, pending: Sequence[FileEntry], seconds: float) -> None:
        self.ids: list[str] = []
        self._corpus = corpus
        self._pending = pending
        self._next = 0
        self._seconds = seconds
        self._until = math.inf

    @property
    def is_pending(self) -> bool:
        return self._next < len(self._pending)

    def begin(self) -> None:
        self._until = time.monotonic() + self._seconds

    def __length_hint__(self) -> int:
        return len(self._pending) - self._next

    def __iter__(self) -> Iterator[Document]:
        while self.is_pending:
            entry = self._pending[self._next]
            self._next += 1
            _LOG.info("reading %s", entry.id)
            document = self._corpus.try_to_read(entry)
            if document is None:
                continue
            self.ids.append(document.id)
            yield document
            if time.monotonic() >= self._until:
                return
