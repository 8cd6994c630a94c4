"""One step from an index to the next: which segments the manifest names, and which documents are deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from s3_retriever.checks import check_settings, choice
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import (
    DuplicateDocumentError,
    IndexChangedError,
    IndexFormatError,
    InvalidInputError,
    UnknownDocumentError,
)
from s3_retriever.index.array_file import read_array
from s3_retriever.index.layout import Layout
from s3_retriever.index.manifest import MANIFEST, manifest_content, parse_manifest
from s3_retriever.index.storage import ARRAY_FILE, IDS, SEGMENTS, parse_ids
from s3_retriever.names import CHANGE_MODES, ChangeMode
from s3_retriever.saved import INDEX
from s3_retriever.store.place import Place, changed

UNREACHABLE = "unreachable"
"""In a manifest: segments that it no longer names, each with the time, in seconds since 1970."""

_ATTEMPTS = 5  # commits of others that one of ours follows at most


@dataclass(frozen=True)
class Written:
    """A segment that lies beside the index.

    Attributes:
        name: Its name.
        files: Its files, as ``Place.put_segment`` returned them.
        ids: Ids of its documents, in order.
        again: Whether an earlier run wrote it, some of whose documents this run may have written again.
    """

    name: str
    files: Mapping[str, Any]
    ids: Sequence[str]
    again: bool = False


@dataclass(frozen=True)
class Change:
    """What a commit makes of an index.

    Attributes:
        header: Of the manifest; where there is an index already, its own is kept.
        layout: Sizes of all segments.
        segments: New ones, in the order of their documents.
        mode: What becomes of the documents that are there.
        delete: Ids of documents to delete.
        job: Name of the job that makes it; a change is not made twice in a row.

    Raises:
        InvalidInputError: There is no such mode.
    """

    header: Mapping[str, Any]
    layout: Layout
    segments: Sequence[Written] = ()
    mode: ChangeMode = "append"
    delete: Sequence[str] = ()
    job: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_settings(self, mode=choice(CHANGE_MODES))


def read_content(place: Place) -> tuple[dict[str, Any] | None, Any]:
    """Return the manifest's content, None where there is none, and what :meth:`Place.swap` takes.

    Raises:
        IndexFormatError: It is damaged, or of another version.
    """
    data, token = place.manifest()
    return (None if data is None else parse_manifest(data, f"{place.name}/{INDEX}/{MANIFEST}")), token


def commit(place: Place, change: Change, artifact: Artifact) -> dict[str, Any]:
    """Make a change visible, all of it at once; return the content of the new manifest.

    Args:
        place: The index.
        change: What to make of it; its segments lie there.
        artifact: What they were made with; written where there is no index yet.

    Raises:
        DuplicateDocumentError: Two new documents have one id, or one has that of a document that stays.
        UnknownDocumentError: There is no document with an id to delete.
        InvalidInputError: The index was made with another artifact.
        IndexChangedError: Others were faster each time, or removed what was written here.
        IndexFormatError: The manifest or a segment that is there is damaged.
    """
    new = list(_distinct(change.segments))
    for _ in range(_ATTEMPTS):
        old, token = read_content(place)
        if old is not None:
            if change.job and old.get("job") == change.job:
                return old
            _check_artifact(place, old, change.header)
        content = _next(place, old, change, new)
        _check_written(place, new)
        if old is None:
            place.put_artifact(artifact)
        try:
            place.swap(content, token)
        except IndexChangedError:
            continue
        return content
    raise changed(place.name)


def live_ids(place: Place, entry: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield number and id of the live documents of a segment, given what the manifest says of it."""
    deleted = set(entry["deleted"])
    for number, doc_id in enumerate(ids_of(place, entry["name"])):
        if number not in deleted:
            yield number, doc_id


def ids_of(place: Place, name: str) -> list[str]:
    """Return the ids of all documents of a segment that lies there; little else of it is read."""
    return parse_ids(Path(place.name, INDEX, SEGMENTS, name, ARRAY_FILE), array_of(place, name, IDS))


def array_of(place: Place, segment: str, array: str) -> npt.NDArray[Any]:
    """Read one array of a segment; nothing is checked by its hash.

    Raises:
        IndexFormatError: The segment has no such array, or its file is not there.
    """
    path = f"{INDEX}/{SEGMENTS}/{segment}/{ARRAY_FILE}"
    try:
        return read_array(lambda begin, end: place.read(path, begin, end), Path(place.name, path), array)
    except FileNotFoundError as error:
        msg = f"{place.name}/{path} is missing; restore it or build the index again"
        raise IndexFormatError(msg) from error


def _distinct(segments: Sequence[Written]) -> Iterator[dict[str, Any]]:
    """Yield the manifest's entries of new segments; what was written twice by two runs is deleted once.

    A segment of this run comes first: the earlier one's documents that are in it are the deleted ones.

    Raises:
        DuplicateDocumentError: Two documents of one run have one id.
    """
    seen: set[str] = set()
    deleted: dict[int, list[int]] = {}
    for at in sorted(range(len(segments)), key=lambda at: segments[at].again):
        segment = segments[at]
        twice = [number for number, doc_id in enumerate(segment.ids) if doc_id in seen]
        if twice and not segment.again:
            doc_id = segment.ids[twice[0]]
            msg = f"document id {doc_id!r} occurs twice; ids must be unique, so nothing was changed"
            raise DuplicateDocumentError(msg)
        seen.update(segment.ids)
        deleted[at] = twice
    for at, segment in enumerate(segments):
        if len(deleted[at]) < len(segment.ids):
            yield {"name": segment.name, "files": dict(segment.files), "deleted": deleted[at]}


def _next(
    place: Place, old: Mapping[str, Any] | None, change: Change, new: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the content of the next manifest."""
    entries: list[dict[str, Any]] = []
    if old is not None and change.mode != "overwrite":
        entries = _kept(place, old, change)
    elif change.delete:
        raise _unknown(change.delete[0])
    names = {entry["name"] for entry in entries}
    entries += [dict(entry) for entry in new if entry["name"] not in names]
    header = change.header if old is None or change.mode == "overwrite" else old["header"]
    content = manifest_content(header, change.layout, entries)
    gone = dict((old or {}).get(UNREACHABLE, {}))
    now, reachable = time.time(), {entry["name"] for entry in entries}
    gone |= {entry["name"]: now for entry in (old or {}).get("segments", ())}
    content[UNREACHABLE] = {name: since for name, since in sorted(gone.items()) if name not in reachable}
    if change.job:
        content["job"] = change.job
    return content


def _kept(place: Place, old: Mapping[str, Any], change: Change) -> list[dict[str, Any]]:
    """Return the entries of the segments that are there, without what the change takes out of them."""
    new = {doc_id for segment in change.segments for doc_id in segment.ids}
    names = {segment.name for segment in change.segments}
    gone, unknown = set(change.delete), set(change.delete)
    entries = []
    for entry in old["segments"]:
        if entry["name"] in names and change.mode == "upsert":
            entries.append(dict(entry))  # the very same documents
            continue
        live = list(live_ids(place, entry)) if new or gone else []
        taken = sorted(doc_id for _, doc_id in live if doc_id in new)
        if taken and change.mode == "append":
            where = f"already in the index {place.name}"
            msg = f"document id {taken[0]!r} is {where}; replace it with mode='upsert'"
            raise DuplicateDocumentError(msg)
        unknown -= {doc_id for _, doc_id in live}
        dead = [number for number, doc_id in live if doc_id in new or doc_id in gone]
        if not dead or len(dead) < len(live):
            entries.append({**entry, "deleted": sorted([*entry["deleted"], *dead])})
    if unknown:
        raise _unknown(min(unknown))
    return entries


def _unknown(doc_id: str) -> UnknownDocumentError:
    return UnknownDocumentError(f"no document has the id {doc_id!r}; nothing was deleted")


def _check_artifact(place: Place, old: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    if old["header"].get("artifact") != header["artifact"]:
        msg = f"{place.name} holds an index made with another artifact; choose another place or delete it"
        raise InvalidInputError(msg)


def _check_written(place: Place, new: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to name segments that are not there."""
    missing = {entry["name"] for entry in new} - set(place.segments())
    if missing:
        msg = (
            f"segment {min(missing)} of this job is no longer at {place.name}: somebody else saved there or "
            "collected garbage meanwhile; delete the job's checkpoint, if it has one, and run it again"
        )
        raise IndexChangedError(msg)
