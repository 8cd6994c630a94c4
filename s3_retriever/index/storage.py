"""An index on disk.

``manifest.json`` says which segments make up the index, and is replaced in one step when everything it
names is in place; ``segments/<name>/`` holds one immutable segment each, named by its content::

    manifest.json
    segments/0f3a…/positions.npy, codes.npy, …, metadata_codes.npy, …, ids.json, documents.jsonl,
                   document_offsets.npy
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.errors import IndexFormatError, InvalidInputError
from s3_retriever.files import LOCK, only_writer
from s3_retriever.index import columns, records
from s3_retriever.index.layout import Layout
from s3_retriever.index.segment import ARRAYS, Segment
from s3_retriever.index.snapshot import Part, Snapshot

FORMAT = "s3-retriever index"
VERSION = 3
MANIFEST = "manifest.json"

_TEMPORARY_MANIFEST = "manifest.json.tmp"
_SEGMENTS = "segments"
_DOCUMENTS = "documents.jsonl"
_IDS = "ids.json"
_OFFSETS = "document_offsets.npy"
_FILES = frozenset([*(f"{array}.npy" for array in (*ARRAYS, *columns.ARRAYS)), _DOCUMENTS, _IDS, _OFFSETS])
_SEGMENT_NAME = re.compile(r"[0-9a-f]{16}")
_TEMPORARY_PREFIX = "tmp-"


def save(path: Path, header: Mapping[str, Any], snapshot: Snapshot) -> None:
    """Write a snapshot; segments that the folder already has are not written again.

    Args:
        path: A folder that does not exist, is empty, or holds an index.
        header: JSON values to keep in the manifest.
        snapshot: What to write.

    Raises:
        InvalidInputError: The folder holds something else, or the header is not JSON.
        IndexFormatError: The manifest that is there is damaged or of another version.
        IndexBusyError: Somebody else is saving to the folder.
    """
    _check_target(path)
    with only_writer(path):
        known = {}
        if (path / MANIFEST).exists():
            known = {entry["name"]: entry["files"] for entry in _read_manifest(path)["segments"]}
        folder = path / _SEGMENTS
        folder.mkdir(exist_ok=True)
        entries: list[dict[str, Any]] = []
        for part in snapshot.parts:
            name = part.segment.name
            files = known.get(name) or _write_segment(folder, part.segment)
            deleted = np.flatnonzero(~part.alive).tolist()
            entries.append({"name": name, "files": files, "deleted": deleted})
        layout = {field: list(getattr(snapshot.layout, field)) for field in Layout.__dataclass_fields__}
        _write_manifest(path, {"header": dict(header), "layout": layout, "segments": entries})
        _remove_others(folder, {entry["name"] for entry in entries})


def load(path: Path) -> tuple[dict[str, Any], Snapshot]:
    """Map a saved index, after checking every file's size and SHA-256.

    Returns:
        The header and the snapshot.

    Raises:
        IndexFormatError: A file is missing, truncated, altered or of another version; names it.
    """
    manifest = _read_manifest(path)
    try:
        return _read(path, manifest)
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
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        msg = f"{path / MANIFEST} is damaged ({type(error).__name__}: {error}); build the index again"
        raise IndexFormatError(msg) from error
    return header, Snapshot(layout, parts)


def _check_target(path: Path) -> None:
    """Refuse folders that are not ours. A first save that was killed leaves ``segments`` alone."""
    inside = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if MANIFEST in inside:
        return
    segments = path / _SEGMENTS
    foreign = inside - {_SEGMENTS, _TEMPORARY_MANIFEST, LOCK}
    if segments.is_dir():
        foreign |= {entry.name for entry in segments.iterdir() if not _is_ours(entry.name)}
    if foreign:
        msg = f"{path} holds {min(foreign)!r}, which is no part of an index; save to a new or empty folder"
        raise InvalidInputError(msg)


def _is_ours(name: str) -> bool:
    return bool(_SEGMENT_NAME.fullmatch(name)) or name.startswith(_TEMPORARY_PREFIX)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove segments that the manifest no longer names, and what a killed save left."""
    for entry in folder.iterdir():
        if _is_ours(entry.name) and entry.name not in names:
            # Windows keeps files that are still mapped; the next save tries again.
            shutil.rmtree(entry, ignore_errors=True)


def _write_segment(folder: Path, segment: Segment) -> dict[str, dict[str, Any]]:
    """Write one segment beside its place, move it there, and return each file's size and hash."""
    # Not mkdtemp, whose folders only their owner can read.
    temporary = folder / f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    temporary.mkdir()
    arrays = {array: getattr(segment, array) for array in ARRAYS} | segment.columns.arrays
    for array, values in arrays.items():
        np.save(temporary / f"{array}.npy", values, allow_pickle=False)
    (temporary / _DOCUMENTS).write_bytes(segment.documents.utf8.data)
    np.save(temporary / _OFFSETS, segment.documents.offsets, allow_pickle=False)
    ids = json.dumps(segment.ids, ensure_ascii=False).encode("utf-8", "surrogatepass")
    (temporary / _IDS).write_bytes(ids)
    files = {}
    for name in sorted(_FILES):
        with (temporary / name).open("rb+") as file:
            os.fsync(file.fileno())
        files[name] = {"bytes": (temporary / name).stat().st_size, "sha256": _sha256(temporary / name)}
    target = folder / segment.name
    if target.exists():  # left by a save that was killed before its manifest
        shutil.rmtree(target)
    temporary.replace(target)
    return files


def _read_part(folder: Path, layout: Layout, entry: Mapping[str, Any]) -> Part:
    """Map one segment as the manifest's entry describes it."""
    name = str(entry["name"])
    if not _SEGMENT_NAME.fullmatch(name) or set(entry["files"]) != _FILES:
        msg = f"segment {name!r} is no segment name, or its files are not those of a segment"
        raise ValueError(msg)
    folder /= name
    for file, expected in entry["files"].items():
        _check_file(folder / file, expected)
    arrays = {array: _map_array(folder / f"{array}.npy") for array in ARRAYS}
    lines = np.memmap(folder / _DOCUMENTS, np.uint8, "r")
    documents = records.Lines(lines, _map_array(folder / _OFFSETS))
    ids = json.loads((folder / _IDS).read_bytes().decode("utf-8", "surrogatepass"))
    metadata = {array: _map_array(folder / f"{array}.npy") for array in columns.ARRAYS}
    store = columns.Columns(len(documents), metadata)
    segment = Segment(layout, documents, ids, columns=store, name=name, **arrays)
    alive = np.ones(len(segment), np.bool_)
    alive[np.array(entry["deleted"], np.int64)] = False
    return Part(segment, alive)


def _map_array(path: Path) -> np.ndarray[Any, Any]:
    try:
        array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        msg = f"{path} is no array ({error}); build the index again"
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
    if _sha256(path) != expected["sha256"]:
        msg = f"{path} was altered (its SHA-256 differs); restore it or build the index again"
        raise IndexFormatError(msg)


def _write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    try:
        body = json.dumps(content, sort_keys=True)
    except (TypeError, ValueError) as error:
        msg = f"the header of an index must hold JSON values only ({error})"
        raise InvalidInputError(msg) from error
    manifest = {"format": FORMAT, "version": VERSION, "sha256": _digest(body), "content": json.loads(body)}
    temporary = path / _TEMPORARY_MANIFEST
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path / MANIFEST)


def _read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest's content, checked to be ours, of this version, and unaltered."""
    file = path / MANIFEST
    if not file.is_file():
        msg = f"no index at {path}: a folder with {MANIFEST} and {_SEGMENTS}/ is expected"
        raise IndexFormatError(msg)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{file} is truncated or altered ({error}); build the index again"
        raise IndexFormatError(msg) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        msg = f"{file} is not the manifest of an index of this package"
        raise IndexFormatError(msg)
    if manifest.get("version") != VERSION:
        msg = f"{file} has format version {manifest.get('version')!r}, this release reads {VERSION}"
        raise IndexFormatError(msg)
    content = manifest.get("content")
    if not isinstance(content, dict) or manifest.get("sha256") != _digest(
        json.dumps(content, sort_keys=True)
    ):
        msg = f"{file} was altered (its SHA-256 differs); restore it or build the index again"
        raise IndexFormatError(msg)
    return content


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
