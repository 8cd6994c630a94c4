"""Files of an object storage on this machine: fetched once, checked by their hash, bounded in all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from s3_retriever.disk import hash_file, new_folder
from s3_retriever.durable import make_folders, remove
from s3_retriever.errors import IndexFormatError, InvalidInputError, StorageError
from s3_retriever.index.storage import SEGMENTS
from s3_retriever.saved import INDEX
from s3_retriever.store.place import Place

FOLDER_VARIABLE, BYTES_VARIABLE = "S3_RETRIEVER_CACHE", "S3_RETRIEVER_CACHE_BYTES"

_BYTES = 50_000_000_000
_LOCK = ".lock"


def cache_folder() -> Path:
    """Return where segments of object storages lie on this machine."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else user_cache_path("s3-retriever") / SEGMENTS


def cache_bytes() -> int:
    """Return how many bytes they may have.

    Raises:
        InvalidInputError: The environment variable holds no whole number.
    """
    given = os.environ.get(BYTES_VARIABLE, str(_BYTES))
    try:
        return int(given)
    except ValueError as error:
        msg = f"{BYTES_VARIABLE} must be a whole number of bytes, not {given!r}"
        raise InvalidInputError(msg) from error


def cached_segment(place: Place, entry: Mapping[str, Any], needed: Collection[str]) -> Path:
    """Return the folder that has the folder of a segment, fetched if it is not there; others may be removed.

    Those used longest ago are removed first. What some process has mapped stays readable where the
    system lets a mapped file be removed; elsewhere it stays.

    Args:
        place: Where it lies.
        entry: What the manifest says of it.
        needed: Names of segments that stay.

    Raises:
        IndexFormatError: What was fetched is not what the manifest says, twice.
        StorageError: The segments needed do not fit into the cache.
    """
    folder = cache_folder()
    make_folders(folder)
    name = str(entry["name"])
    with FileLock(folder / _LOCK):
        if not _is_sound(folder / name, entry["files"]):
            size = sum(int(file["bytes"]) for file in entry["files"].values())
            _make_room(folder, size, {*needed, name})
            _fetch(place, name, entry["files"], folder / name)
        with contextlib.suppress(OSError):
            os.utime(folder / name)
    return folder


def _is_sound(folder: Path, files: Mapping[str, Any]) -> bool:
    return all(
        (folder / file).is_file() and (folder / file).stat().st_size == facts["bytes"]
        for file, facts in files.items()
    )


def _fetch(place: Place, name: str, files: Mapping[str, Any], to: Path) -> None:
    with new_folder(to) as new:
        for file, facts in files.items():
            path = f"{INDEX}/{SEGMENTS}/{name}/{file}"
            try:
                place.fetch(path, new / file)
            except FileNotFoundError as error:
                msg = f"{place.name}/{path} is missing; load the index again, or restore it"
                raise IndexFormatError(msg) from error
            if hash_file(new / file) != facts["sha256"]:
                msg = f"{place.name}/{path} is not what the manifest says (its SHA-256 differs); restore it"
                raise IndexFormatError(msg)


def _make_room(folder: Path, size: int, needed: Collection[str]) -> None:
    """Remove segments, those used longest ago first, until another one fits."""
    most = cache_bytes()
    held = {
        entry: sum(file.stat().st_size for file in entry.iterdir())
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    }
    free = most - sum(held.values())
    for entry in sorted(held, key=lambda entry: entry.stat().st_mtime):
        if free >= size:
            return
        if entry.name not in needed:
            remove(entry)
            free += held[entry]
    if free < size:
        msg = (
            f"a segment of {size:,} bytes does not fit into the cache {folder} of {most:,} bytes beside "
            f"those that are needed with it; set {BYTES_VARIABLE} higher, or search in more shards"
        )
        raise StorageError(msg)
