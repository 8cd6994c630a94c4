"""An index on disk.

``manifest.json`` says which segments make up the index, and is replaced in one step when everything it
names is in place; ``segments/<name>/`` holds one immutable segment each, named by its content::

    manifest.json
    segments/0f3a…/positions.npy, codes.npy, …, term_cells.npy, …, metadata_codes.npy, …, ids.json,
                   documents.jsonl, document_offsets.npy
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import each, whole
from s3_retriever.disk import (
    LOCK,
    hash_file,
    hash_values,
    new_folder,
    only_writer,
    refuse_foreign,
    write_file,
    write_json,
)
from s3_retriever.errors import IndexChangedError, IndexFormatError, InvalidInputError
from s3_retriever.index.documents import INDEX_AGAIN, DocumentStore, MappedFile
from s3_retriever.index.layout import Layout
from s3_retriever.index.metadata import ARRAYS as METADATA_ARRAYS
from s3_retriever.index.metadata import MetadataColumns
from s3_retriever.index.segment import ARRAYS, Segment
from s3_retriever.index.snapshot import LiveSegment, Snapshot
from s3_retriever.index.terms import ARRAYS as TERM_ARRAYS
from s3_retriever.index.terms import TermPostings
from s3_retriever.json_form import parse_json

FORMAT = "s3-retriever index"
VERSION = 5
MANIFEST = "manifest.json"

_SEGMENTS = "segments"
_DOCUMENTS = "documents.jsonl"
_IDS = "ids.json"
_OFFSETS = "document_offsets.npy"
_ARRAY_FILES = [f"{array}.npy" for array in (*ARRAYS, *METADATA_ARRAYS, *TERM_ARRAYS)]
_FILES = frozenset([*_ARRAY_FILES, _DOCUMENTS, _IDS, _OFFSETS])
_SEGMENT_NAME = re.compile(r"[0-9a-f]{16}")
_LITTER = re.compile(rf"\.([0-9a-f]{{16}}-|{MANIFEST}\.)")


def save(path: Path, header: Mapping[str, Any], snapshot: Snapshot, generation: str | None = None) -> str:
    """Write a snapshot; segments that the folder already has are not written again.

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
        IndexFormatError: The manifest that is there is damaged or of another version.
        IndexBusyError: Somebody else is saving to the folder.
    """
    _check_target(path)
    with only_writer(path):
        known = {}
        if (path / MANIFEST).exists():
            old = _read_manifest(path)
            if generation not in (None, _hash_content(old)):
                msg = (
                    f"somebody else saved to {path} since this index was loaded or saved there; "
                    "load it again and repeat your changes, or save to another folder"
                )
                raise IndexChangedError(msg)
            known = {entry["name"]: entry["files"] for entry in old["segments"]}
        folder = path / _SEGMENTS
        folder.mkdir(exist_ok=True)
        entries: list[dict[str, Any]] = []
        for part in snapshot.parts:
            name = part.segment.name
            files = known.get(name) or _write_segment(folder, part.segment)
            deleted = np.flatnonzero(~part.alive).tolist()
            entries.append({"name": name, "files": files, "deleted": deleted})
        layout = {field: list(getattr(snapshot.layout, field)) for field in Layout.__dataclass_fields__}
        written = _write_manifest(path, {"header": dict(header), "layout": layout, "segments": entries})
        _remove_others(folder, {entry["name"] for entry in entries})
        return written


def load(path: Path) -> tuple[dict[str, Any], Snapshot, str]:
    """Map a saved index, after checking every file's size and SHA-256.

    Returns:
        The header, the snapshot, and the generation, which :func:`save` takes.

    Raises:
        IndexFormatError: A file is missing, truncated, altered or of another version; names it.
    """
    manifest = _read_manifest(path)
    try:
        return *_read(path, manifest), _hash_content(manifest)
    except (IndexFormatError, OSError):
        if _read_manifest(path) == manifest:
            raise
    # Somebody saved meanwhile, and removed segments that only the manifest before named.
    return load(path)


def _read(path: Path, manifest: Mapping[str, Any]) -> tuple[dict[str, Any], Snapshot]:
    """Map what a manifest names."""
    try:
        layout = Layout(**{field: tuple(values) for field, values in manifest["layout"].items()})
        header = dict(manifest["header"])
        parts = [_read_part(path / _SEGMENTS, layout, entry) for entry in manifest["segments"]]
    except IndexFormatError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        msg = f"{path / MANIFEST} is damaged ({type(error).__name__}: {error}); build the index again"
        raise IndexFormatError(msg) from error
    return header, Snapshot(layout, parts)


def _check_target(path: Path) -> None:
    """Refuse folders that are not ours. A first save that was killed leaves ``segments`` alone."""
    refuse_foreign(
        path, "an index", lambda name: name in (_SEGMENTS, LOCK) or _is_litter(name), marker=MANIFEST
    )
    if not (path / MANIFEST).exists():
        refuse_foreign(path / _SEGMENTS, "an index", lambda name: _is_segment(name) or _is_litter(name))


def _is_segment(name: str) -> bool:
    return bool(_SEGMENT_NAME.fullmatch(name))


def _is_litter(name: str) -> bool:
    """Whether a save that was killed left this: the beginnings of a segment or of a manifest."""
    return bool(_LITTER.match(name))


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove segments that the manifest no longer names, and what a killed save left."""
    for entry in folder.iterdir():
        if (_is_segment(entry.name) or _is_litter(entry.name)) and entry.name not in names:
            # Windows keeps files that are still mapped; the next save tries again.
            shutil.rmtree(entry, ignore_errors=True)


def _write_segment(folder: Path, segment: Segment) -> dict[str, dict[str, Any]]:
    """Write one segment, which appears complete or not at all; return each file's size and hash."""
    ids = json.dumps(segment.ids, ensure_ascii=False).encode("utf-8", "surrogatepass")
    contents: dict[str, bytes | npt.NDArray[Any] | memoryview] = {
        _DOCUMENTS: segment.documents.utf8.data,
        _IDS: ids,
        _OFFSETS: segment.documents.offsets,
    }
    contents |= {f"{array}.npy": getattr(segment, array) for array in ARRAYS}
    beside = segment.metadata.arrays | segment.terms.arrays
    contents |= {f"{array}.npy": values for array, values in beside.items()}
    files = {}
    with new_folder(folder / segment.name) as new:
        for name, content in sorted(contents.items()):
            write_file(new / name, content)
            files[name] = {"bytes": (new / name).stat().st_size, "sha256": hash_file(new / name)}
    return files


def _read_part(folder: Path, layout: Layout, entry: Mapping[str, Any]) -> LiveSegment:
    """Map one segment as the manifest's entry describes it."""
    name = str(entry["name"])
    if not _SEGMENT_NAME.fullmatch(name) or set(entry["files"]) != _FILES:
        msg = f"segment {name!r} is no segment name, or its files are not those of a segment"
        raise ValueError(msg)
    folder /= name
    for file, expected in entry["files"].items():
        _check_file(folder / file, expected)
    maps = {file: _map(folder / file) for file in sorted(_FILES - {_IDS})}
    arrays, metadata, terms = (
        {array: maps[f"{array}.npy"] for array in names} for names in (ARRAYS, METADATA_ARRAYS, TERM_ARRAYS)
    )
    documents = DocumentStore(maps[_DOCUMENTS], maps[_OFFSETS])
    segment = Segment(
        layout,
        documents,
        _read_ids(folder / _IDS),
        metadata=MetadataColumns(len(documents), metadata),
        terms=TermPostings(terms),
        name=name,
        files=tuple(MappedFile(folder / file, values) for file, values in maps.items()),
        **arrays,
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


def _read_ids(path: Path) -> list[str]:
    try:
        ids = parse_json(path.read_bytes().decode("utf-8", "surrogatepass"))
    except ValueError as error:
        msg = f"{path} is damaged ({error}); {INDEX_AGAIN}"
        raise IndexFormatError(msg) from error
    if not isinstance(ids, list):
        msg = f"{path} is no list of ids; {INDEX_AGAIN}"
        raise IndexFormatError(msg)
    return ids


def _map(path: Path) -> np.memmap[Any, Any]:
    """Map a file of bytes or, by its name, of an array."""
    try:
        if path.suffix != ".npy":
            return np.memmap(path, np.uint8, "r")
        array: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # of NumPy's reader, which evaluates a header: also TokenError, MemoryError
        msg = f"{path} is no array ({type(error).__name__}: {error}); {INDEX_AGAIN}"
        raise IndexFormatError(msg) from error
    return array


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


def _hash_content(content: Mapping[str, Any]) -> str:
    return hash_values(json.dumps(content, sort_keys=True))


def _write_manifest(path: Path, content: Mapping[str, Any]) -> str:
    """Write the manifest; return the hash of its content."""
    try:
        content = json.loads(json.dumps(content))
    except (TypeError, ValueError) as error:
        msg = f"the header of an index must hold JSON values only ({error})"
        raise InvalidInputError(msg) from error
    sha256 = _hash_content(content)
    write_json(path / MANIFEST, {"format": FORMAT, "version": VERSION, "sha256": sha256, "content": content})
    return sha256


def _read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest's content, checked to be ours, of this version, and unaltered."""
    file = path / MANIFEST
    if not file.is_file():
        msg = f"no index at {path}: a folder with {MANIFEST} and {_SEGMENTS}/ is expected"
        raise IndexFormatError(msg)
    try:
        manifest = parse_json(file.read_bytes())
    except ValueError as error:
        msg = f"{file} is truncated or altered ({error}); build the index again"
        raise IndexFormatError(msg) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        msg = f"{file} is not the manifest of an index of this package"
        raise IndexFormatError(msg)
    if manifest.get("version") != VERSION:
        found = f"{file} has format version {manifest.get('version')!r}"
        msg = f"{found}, this release reads {VERSION}; index the documents again"
        raise IndexFormatError(msg)
    content = manifest.get("content")
    if not isinstance(content, dict) or manifest.get("sha256") != _hash_content(content):
        msg = f"{file} was altered (its SHA-256 differs); restore it or build the index again"
        raise IndexFormatError(msg)
    return content
