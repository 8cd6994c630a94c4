"""The index that users change: segments in, documents out, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_retriever.checks import Uncopyable, check, instance
from s3_retriever.documents import Document, as_ids
from s3_retriever.errors import DuplicateDocumentError, InvalidInputError, UnknownDocumentError
from s3_retriever.index import storage
from s3_retriever.index.builder import merge
from s3_retriever.index.layout import Layout
from s3_retriever.index.segment import Segment
from s3_retriever.index.snapshot import LiveSegment, Snapshot
from s3_retriever.index.tiers import settled
from s3_retriever.locks import ThreadLock


class Index(Uncopyable):
    """A changing set of documents over segments that never change.

    Every change replaces :attr:`snapshot` as a whole, under a lock between writers; a reader takes the
    snapshot once and is not disturbed. Scores and frequencies always equal those of an index built from
    scratch from the live documents. An add or update also merges segments, so that there are always few; see
    :mod:`s3_retriever.index.tiers`.

    Attributes:
        layout: Taps and their sizes.
        header: JSON values of the caller, kept in the manifest (who made the features).
        snapshot: The current version.
    """

    instead = "use save() and load(); its snapshot never changes and may be shared"

    def __init__(self, layout: Layout, header: Mapping[str, Any]) -> None:
        check("layout", layout, instance(Layout, "a Layout"))
        check("header", header, instance(Mapping, "a mapping"))
        self.layout = layout
        self.header = dict(header)
        self.snapshot = Snapshot(layout)
        self._lock = ThreadLock()
        self._generations: dict[Path, str] = {}  # what was last loaded from or saved to a folder

    @classmethod
    def load(cls, path: str | Path) -> Index:
        """Open a saved index; postings and texts stay on disk and are mapped.

        Raises:
            IndexFormatError: It is missing, truncated, altered or of another version; names the file.
        """
        header, snapshot, generation = storage.load(Path(path))
        index = cls(snapshot.layout, header)
        index.snapshot = snapshot
        index._generations[Path(path).resolve()] = generation
        return index

    def save(self, path: str | Path, header: Mapping[str, Any] | None = None) -> None:
        """Write the index to a folder: a new one, an empty one, or one that holds an index to replace.

        Whoever kills the process at any moment finds the old index or the new one.

        Args:
            path: The folder.
            header: JSON values to keep in the manifest instead of :attr:`header`.

        Raises:
            InvalidInputError: The folder holds something else.
            IndexFormatError: The manifest there is damaged; or a segment, there and as it was loaded.
            DiskFullError: There is no room.
            IndexBusyError: Somebody else is saving to the folder.
            IndexChangedError: Somebody else saved to it since this index was loaded from it or saved to it.
        """
        folder = Path(path).resolve()
        header = self.header if header is None else header
        with self._lock:
            known = self._generations.get(folder)
            self._generations[folder] = storage.save(Path(path), header, self.snapshot, known)

    def reload(self, path: str | Path) -> bool:
        """Take over what somebody else saved to a folder, in one step; what this index has beside it is lost.

        Segments that both have are not read again.

        Returns:
            Whether the folder holds another version than was last loaded from it or saved to it.

        Raises:
            IndexFormatError: It is missing, truncated, altered or of another version; nothing changes.
            InvalidInputError: It was made by another artifact or with other settings, or is of another
                layout: load it.
        """
        folder = Path(path).resolve()
        with self._lock:
            known = {segment.name: segment for segment in self.snapshot.segments}
            header, snapshot, generation = storage.load(folder, known)
            if self._generations.get(folder) == generation:
                return False
            if header != self.header or snapshot.layout != self.layout:
                msg = f"{path} was replaced by an index with another artifact or other settings; load it"
                raise InvalidInputError(msg)
            self.snapshot = snapshot
            self._generations[folder] = generation
            return True

    def generation(self, path: str | Path) -> str | None:
        """Return the version of a folder that was last loaded from it or saved to it, as 64 digits."""
        return self._generations.get(Path(path).resolve())

    def add(self, segment: Segment) -> None:
        """Add the documents of a segment after those already here.

        Raises:
            DuplicateDocumentError: One of its ids is already here; nothing is added.
            InvalidInputError: It was built for another layout.
        """
        self._check_layout(segment)
        with self._lock:
            for doc_id in segment.ids:
                if doc_id in self.snapshot:
                    msg = f"document id {doc_id!r} is already in the index; update it instead"
                    raise DuplicateDocumentError(msg)
            if len(segment):
                self._swap_in(self.snapshot.parts, segment)

    def update(self, segment: Segment, delete: Iterable[str] = ()) -> None:
        """Add the documents of a segment and delete those that have their ids, in one step.

        Args:
            segment: The new documents.
            delete: More documents to delete in the same step.

        Raises:
            InvalidInputError: The segment was built for another layout, or ``delete`` holds no ids.
            UnknownDocumentError: An id to delete is not here; nothing changes.
        """
        self._check_layout(segment)
        gone = set(as_ids(delete))
        with self._lock:
            self._check_here(gone)
            gone |= set(segment.ids)
            if len(segment):
                self._swap_in(self._without(gone), segment)
            elif gone:
                self.snapshot = Snapshot(self.layout, self._without(gone))

    def delete(self, doc_ids: Iterable[str]) -> None:
        """Delete documents by id; an id given twice counts once.

        Raises:
            InvalidInputError: ``doc_ids`` is a single text, or holds something else than ids.
            UnknownDocumentError: An id is not here; nothing is deleted.
        """
        gone = set(as_ids(doc_ids))
        with self._lock:
            self._check_here(gone)
            self.snapshot = Snapshot(self.layout, self._without(gone))

    def merge(self) -> None:
        """Rewrite all live documents, in order, into one segment, which frees the space of deleted ones."""
        with self._lock:
            parts = self.snapshot.parts
            if len(parts) == 1 and parts[0].whole:
                return
            merged = merge(self.layout, [(part.segment, part.alive) for part in parts])
            self.snapshot = Snapshot(self.layout, [LiveSegment(merged)] if len(merged) else [])

    def __len__(self) -> int:
        return len(self.snapshot)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self.snapshot

    def document(self, doc_id: str) -> Document:
        """Return a live document.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        snapshot = self.snapshot
        return snapshot.document(snapshot.find(doc_id))

    @property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of the live documents, in order."""
        return self.snapshot.document_ids

    @property
    def n_tokens(self) -> int:
        """Tokens of the live documents."""
        return self.snapshot.n_tokens

    @property
    def nbytes(self) -> int:
        """Bytes of all segments, deleted documents included, texts excluded."""
        return sum(segment.nbytes for segment in self.snapshot.segments)

    def _swap_in(self, parts: Sequence[LiveSegment], segment: Segment) -> None:
        self.snapshot = Snapshot(self.layout, settled(self.layout, [*parts, LiveSegment(segment)]))

    def _check_layout(self, segment: Segment) -> None:
        check("segment", segment, instance(Segment, "a Segment"))
        if segment.layout != self.layout:
            msg = f"the segment was built for {segment.layout}, the index for {self.layout}"
            raise InvalidInputError(msg)

    def _check_here(self, doc_ids: set[str]) -> None:
        for doc_id in sorted(doc_ids):
            if doc_id not in self.snapshot:
                msg = f"no document has the id {doc_id!r}; nothing was deleted"
                raise UnknownDocumentError(msg)

    def _without(self, doc_ids: set[str]) -> list[LiveSegment]:
        """Return the parts after a deletion; segments without live documents are left out."""
        parts = (part.without(doc_ids) for part in self.snapshot.parts)
        return [part for part in parts if len(part)]
