"""An index on disk.

``manifest.json`` says which segments make up the index, and is replaced in one step when everything it
names is in place; ``segments/<name>/`` holds one immutable segment each, named by its content::

    manifest.json
    segments/0f3a…/documents.jsonl, arrays.safetensors
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import each, whole
from s3_retriever.disk import (
    hash_file,
    hash_json,
    new_folder,
    only_writer,
    refuse_foreign,
    refuse_links,
    write_file,
    write_json,
)
from s3_retriever.durable import make_folders, remove
from s3_retriever.errors import IndexChangedError, IndexFormatError
from s3_retriever.index.array_file import map_arrays, write_arrays
from s3_retriever.index.context import ARRAYS as CONTEXT_ARRAYS
from s3_retriever.index.documents import INDEX_AGAIN, DocumentStore, MappedFile
from s3_retriever.index.features import ARRAYS as FEATURE_ARRAYS
from s3_retriever.index.layout import Layout
from s3_retriever.index.manifest import MANIFEST, manifest_content, parse_manifest, sealed_manifest
from s3_retriever.index.metadata import ARRAYS as METADATA_ARRAYS
from s3_retriever.index.metadata import MetadataColumns
from s3_retriever.index.segment import ARRAYS, Segment
from s3_retriever.index.snapshot import LiveSegment, Snapshot
from s3_retriever.index.terms import ARRAYS as TERM_ARRAYS
from s3_retriever.index.terms import TermPostings
from s3_retriever.index.units import ARRAYS as UNIT_ARRAYS
from s3_retriever.index.units import UnitColumns
from s3_retriever.json_form import parse_json
from s3_retriever.workplace import LOCK

SEGMENTS = "segments"

_DOCUMENTS = "documents.jsonl"
ARRAY_FILE = "arrays.safetensors"
_FILES = frozenset([_DOCUMENTS, ARRAY_FILE])
IDS, _OFFSETS = "ids", "document_offsets"
_ARRAYS = (
    IDS,
    _OFFSETS,
    *ARRAYS,
    *FEATURE_ARRAYS,
    *METADATA_ARRAYS,
    *TERM_ARRAYS,
    *CONTEXT_ARRAYS,
    *UNIT_ARRAYS,
)
_SEGMENT_NAME = re.compile(r"[0-9a-f]{16}")
_LITTER = re.compile(rf"\.([0-9a-f]{{16}}|{MANIFEST})[-.]")


def save(path: Path, header: Mapping[str, Any], snapshot: Snapshot, generation: str | None = None) -> str:
    """Write a snapshot; segments that the folder already has, undamaged, are not written again.

    What a killed save left is removed before anything is written. A save that fails leaves no more than
    there was.

    Args:
        path: A folder that does not exist, is empty, or holds an index.
        header: JSON values to keep in the manifest.
        snapshot: What to write.
        generation: What the last :func:`load` or save of this folder returned. None replaces whatever index
            it holds.

    Returns:
        The generation that the folder holds now.

    Raises:
        InvalidInputError: The folder holds something else, or the header is not JSON.
        IndexChangedError: The folder holds another generation.
        IndexFormatError: The manifest that is there is damaged or of another version; or a segment is
            damaged, there and in the snapshot that was loaded from it.
        DiskFullError: There is no room; names the file and the bytes.
        IndexBusyError: Somebody else is saving to the folder.
    """
    check_target(path)
    refuse_links(path / SEGMENTS)
    with only_writer(path):
        known = {}
        if (path / MANIFEST).exists():
            old = _read_manifest(path)
            if generation not in (None, hash_json(old)):
                msg = (
                    f"somebody else saved to {path} since this index was loaded or saved there; "
                    "load it again and repeat your changes, or save to another folder"
                )
                raise IndexChangedError(msg)
            known = {entry["name"]: entry["files"] for entry in old["segments"]}
        make_folders(path / SEGMENTS)
        _remove_others(path, set(known))
        try:
            written, names = _write(path, header, snapshot, known)
        except BaseException:
            _remove_others(path, set(known) | _named(path))  # or each try would leave less room
            raise
        _remove_others(path, names)
        return written


def _write(
    path: Path, header: Mapping[str, Any], snapshot: Snapshot, known: Mapping[str, Any]
) -> tuple[str, set[str]]:
    """Write the segments that are not known and sound, then the manifest; return its hash and their names."""
    entries: list[dict[str, Any]] = []
    for part in snapshot.parts:
        name = part.segment.name
        files = known.get(name)
        if files is None or _is_damaged(path / SEGMENTS / name, files):
            files = write_segment(path / SEGMENTS, part.segment, files)
        deleted = np.flatnonzero(~part.alive).tolist()
        entries.append({"name": name, "files": files, "deleted": deleted})
    written = _write_manifest(path, manifest_content(header, snapshot.layout, entries))
    return written, {entry["name"] for entry in entries}


def load(path: Path, known: Mapping[str, Segment] | None = None) -> tuple[dict[str, Any], Snapshot, str]:
    """Map a saved index, after checking every file's size and SHA-256.

    Args:
        path: The folder.
        known: Segments that are mapped already, by name; they are used as they are, and nothing of them is
            read.

    Returns:
        The header, the snapshot, and the generation, which :func:`save` takes.

    Raises:
        IndexFormatError: A file is missing, truncated, altered or of another version; names it.
    """
    manifest = _read_manifest(path)
    try:
        return *_read(path, manifest, known or {}), hash_json(manifest)
    except (IndexFormatError, OSError):
        if _read_manifest(path) == manifest:
            raise
    # Somebody saved meanwhile, and removed segments that only the manifest before named.
    return load(path, known)


def _read(
    path: Path, manifest: Mapping[str, Any], known: Mapping[str, Segment]
) -> tuple[dict[str, Any], Snapshot]:
    """Map what a manifest names."""
    try:
        layout = Layout(**{field: tuple(values) for field, values in manifest["layout"].items()})
        header = dict(manifest["header"])
        parts = [read_part(path / SEGMENTS, layout, entry, known) for entry in manifest["segments"]]
    except IndexFormatError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        msg = f"{path / MANIFEST} is damaged ({type(error).__name__}: {error}); build the index again"
        raise IndexFormatError(msg) from error
    return header, Snapshot(layout, parts)


def check_target(path: Path) -> None:
    """Refuse folders that are not ours. A first save that was killed leaves ``segments`` alone.

    Raises:
        InvalidInputError: The folder holds something else than an index.
    """
    refuse_foreign(
        path, "an index", lambda name: name in (SEGMENTS, LOCK) or _is_litter(name), marker=MANIFEST
    )
    if not (path / MANIFEST).exists():
        refuse_foreign(path / SEGMENTS, "an index", lambda name: _is_segment(name) or _is_litter(name))


def _is_segment(name: str) -> bool:
    return bool(_SEGMENT_NAME.fullmatch(name))


def _is_litter(name: str) -> bool:
    """Whether a save that was killed left this: the beginnings of a segment or of a manifest."""
    return bool(_LITTER.match(name))


def _remove_others(path: Path, names: set[str]) -> None:
    """Remove segments but those named, and what a killed save left; the caller holds the lock."""
    folder = path / SEGMENTS
    unnamed = [entry for entry in folder.iterdir() if _is_segment(entry.name) and entry.name not in names]
    litter = [entry for place in (path, folder) for entry in place.iterdir() if _is_litter(entry.name)]
    for entry in [*unnamed, *litter]:
        remove(entry)


def saved_header(path: Path) -> dict[str, Any]:
    """Return the header that the manifest of a saved index holds, or nothing where it cannot be read."""
    try:
        return dict(_read_manifest(path)["header"])
    except (IndexFormatError, KeyError, TypeError, ValueError):
        return {}


def _named(path: Path) -> set[str]:
    """Return the segments that the manifest names, where there is one."""
    try:
        return {entry["name"] for entry in _read_manifest(path)["segments"]}
    except IndexFormatError:
        return set()


def _is_damaged(folder: Path, files: Mapping[str, Any]) -> bool:
    """Whether a segment is not what the manifest says; its files are read for that, as a load reads them."""
    try:
        for name, expected in files.items():
            _check_file(folder / name, expected)
    except (IndexFormatError, OSError):
        return True
    return folder.is_symlink() or any((folder / name).is_symlink() for name in files)


def write_segment(
    folder: Path, segment: Segment, expected: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Write one segment, which appears complete or not at all; return each file's size and hash.

    Args:
        folder: Of all segments.
        segment: The segment.
        expected: What that will be, where it was written before.

    Raises:
        IndexFormatError: It is something else: the segment is mapped from files that were damaged.
    """
    ids = json.dumps(segment.ids, ensure_ascii=False).encode("utf-8", "surrogatepass")
    texts = segment.documents.utf8.data
    arrays = {IDS: np.frombuffer(ids, np.uint8), _OFFSETS: segment.documents.offsets}
    arrays |= {array: getattr(segment, array) for array in ARRAYS}
    arrays |= segment.features.arrays | segment.metadata.arrays | segment.terms.arrays
    arrays |= dict(zip(CONTEXT_ARRAYS, (segment.context.arrays[array] for array in TERM_ARRAYS), strict=True))
    arrays |= segment.units.arrays
    files: dict[str, dict[str, Any]] = {}
    if _is_cut(texts) or any(map(_is_cut, arrays.values())):
        raise _lost(folder / segment.name)
    with new_folder(folder / segment.name) as new:
        write_file(new / _DOCUMENTS, texts, fresh=True)
        write_arrays(new / ARRAY_FILE, arrays)
        for name in sorted(_FILES):
            files[name] = {"bytes": (new / name).stat().st_size, "sha256": hash_file(new / name)}
        if expected not in (None, files):
            raise _lost(folder / segment.name)
    return files


def _lost(folder: Path) -> IndexFormatError:
    msg = f"{folder} was damaged, and what was loaded from it is, too; restore it or build the index again"
    return IndexFormatError(msg)


def _is_cut(content: npt.NDArray[Any] | memoryview) -> bool:
    """Whether values are mapped from a file that is shorter now: to read them would end the process."""
    at: Any = content.obj if isinstance(content, memoryview) else content
    mapped = None
    while at is not None:
        mapped, at = at if isinstance(at, np.memmap) else mapped, getattr(at, "base", None)
    try:
        if mapped is None or mapped.filename is None:
            return False
        return Path(mapped.filename).stat().st_size < mapped.offset + mapped.nbytes
    except OSError:  # it was removed, and what is mapped is still there
        return False


def read_part(
    folder: Path, layout: Layout, entry: Mapping[str, Any], known: Mapping[str, Segment] | None = None
) -> LiveSegment:
    """Map one segment as the manifest's entry describes it, after checking its files, unless it is known.

    Raises:
        IndexFormatError: A file is missing, truncated or altered.
        ValueError: The entry is none.
    """
    name = str(entry["name"])
    if known and name in known and known[name].layout == layout:
        return LiveSegment(known[name], _alive(len(known[name]), entry["deleted"]))
    if not _SEGMENT_NAME.fullmatch(name) or set(entry["files"]) != _FILES:
        msg = f"segment {name!r} is no segment name, or its files are not those of a segment"
        raise ValueError(msg)
    folder /= name
    for file, expected in entry["files"].items():
        _check_file(folder / file, expected)
    texts = np.memmap(folder / _DOCUMENTS, np.uint8, "r")
    mapped = map_arrays(folder / ARRAY_FILE, _ARRAYS)
    documents = DocumentStore(texts, mapped[_OFFSETS])
    segment = Segment(
        layout,
        documents,
        parse_ids(folder / ARRAY_FILE, mapped[IDS]),
        features={array: mapped[array] for array in FEATURE_ARRAYS},
        metadata=MetadataColumns(len(documents), {array: mapped[array] for array in METADATA_ARRAYS}),
        terms=TermPostings({array: mapped[array] for array in TERM_ARRAYS}),
        context=TermPostings(
            {array: mapped[own] for array, own in zip(TERM_ARRAYS, CONTEXT_ARRAYS, strict=True)}
        ),
        units=UnitColumns(len(documents), {array: mapped[array] for array in UNIT_ARRAYS}),
        name=name,
        files=(
            MappedFile(folder / _DOCUMENTS, texts),
            MappedFile(folder / ARRAY_FILE, mapped[_OFFSETS]),
        ),
        **{array: mapped[array] for array in ARRAYS},
    )
    return LiveSegment(segment, _alive(len(segment), entry["deleted"]))


def _alive(n_documents: int, deleted: object) -> npt.NDArray[np.bool_]:
    """Return bool (D,), false at the numbers of the documents that are deleted."""
    rule = each(whole(0, n_documents - 1), least=0)
    if rule(deleted) or sorted(set(deleted)) != deleted:  # type: ignore[call-overload]
        msg = f"deleted documents must be numbers from 0 to {n_documents - 1}, ascending, not {deleted!r:.80}"
        raise ValueError(msg)
    alive = np.ones(n_documents, np.bool_)
    alive[deleted] = False
    return alive


def parse_ids(path: Path, utf8: npt.NDArray[Any]) -> list[str]:
    """Return the ids of a segment's documents, given the array that holds them.

    Raises:
        IndexFormatError: It holds none.
    """
    try:
        ids = parse_json(utf8.tobytes().decode("utf-8", "surrogatepass"))
    except ValueError as error:
        msg = f"{path} has ids that cannot be read ({error}); {INDEX_AGAIN}"
        raise IndexFormatError(msg) from error
    if not isinstance(ids, list):
        msg = f"{path} has no list of ids; {INDEX_AGAIN}"
        raise IndexFormatError(msg)
    return ids


def _check_file(path: Path, expected: Mapping[str, Any]) -> None:
    if not path.is_file():
        msg = f"{path} is missing; restore it or build the index again"
        raise IndexFormatError(msg)
    size = path.stat().st_size
    if size != expected["bytes"]:
        msg = f"{path} has {size} bytes instead of {expected['bytes']}; restore it or build the index again"
        raise IndexFormatError(msg)
    if hash_file(path) != expected["sha256"]:
        msg = f"{path} was altered (its SHA-256 differs); restore it or build the index again"
        raise IndexFormatError(msg)


def _write_manifest(path: Path, content: Mapping[str, Any]) -> str:
    """Write the manifest; return the hash of its content."""
    sealed = sealed_manifest(content)
    write_json(path / MANIFEST, sealed)
    return str(sealed["sha256"])


def _read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest's content, checked to be ours, of this version, and unaltered."""
    file = path / MANIFEST
    if not file.is_file():
        msg = f"no index at {path}: a folder with {MANIFEST} and {SEGMENTS}/ is expected"
        raise IndexFormatError(msg)
    return parse_manifest(file.read_bytes(), file)
