"""A saved retriever as a folder: an index and, beside it, the artifact it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_retriever.config import RetrieverConfig
from s3_retriever.disk import read_whole, refuse_foreign, refuse_links
from s3_retriever.durable import remove
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import ArtifactFormatError, IndexFormatError, InvalidInputError
from s3_retriever.index import Index, storage
from s3_retriever.index.manifest import MANIFEST
from s3_retriever.index.storage import saved_header
from s3_retriever.workplace import LOCK

INDEX, ARTIFACT = "index", "artifact"
"""Folders of a saved retriever."""

JOBS = "jobs"
"""Folder of what interrupted jobs of a cluster wrote down."""

_UNFINISHED = f".{ARTIFACT}-"  # prefix of the folders that a killed Artifact.save leaves


def save_parts(path: Path, index: Index, header: Mapping[str, Any], artifact: Artifact) -> None:
    """Write an index and, unless it is there and sound, its artifact; the caller is the only writer.

    Raises:
        InvalidInputError: The folder holds the index of another artifact, or a link instead of a folder.
        DiskFullError: There is no room; the folder holds what it held before.
    """
    refuse_links(path / INDEX, path / ARTIFACT)
    for abandoned in path.glob(f"{_UNFINISHED}*"):
        remove(abandoned)
    is_first = not (path / INDEX / MANIFEST).exists()
    if not _holds(path, artifact):
        artifact.save(path / ARTIFACT)
    try:
        index.save(path / INDEX, header)
    except BaseException:
        if is_first and not (path / INDEX / MANIFEST).exists():
            remove(path / ARTIFACT)
        raise


def _holds(path: Path, artifact: Artifact) -> bool:
    """Whether a folder holds an artifact, undamaged.

    Raises:
        InvalidInputError: It, or the index beside it, is of another one.
    """
    try:
        found = Artifact.load(path / ARTIFACT).digest if (path / ARTIFACT).exists() else None
        sound = found is not None
    except ArtifactFormatError:
        found, sound = saved_header(path / INDEX).get("artifact"), False
    if found not in (None, artifact.digest):
        msg = f"{path} holds an index made with another artifact; choose another folder or delete it"
        raise InvalidInputError(msg)
    return sound


def read_saved(path: str | Path) -> tuple[Index, Artifact, RetrieverConfig]:
    """Read a saved index, its artifact and its settings, without the host.

    Raises:
        IndexFormatError: The index is missing, truncated, altered or of another version.
        ArtifactFormatError: The artifact is truncated, altered or of another version.
    """
    folder = Path(path)
    return read_whole(folder, lambda: _read(folder))


def _read(path: Path) -> tuple[Index, Artifact, RetrieverConfig]:
    missing = [name for name in (INDEX, ARTIFACT) if not (path / name).is_dir()]
    if missing:
        found = f"{path} holds no index (it has no folder {missing[0]!r})"
        msg = f"{found}; write one with save(), or with 's3-retriever index'"
        raise IndexFormatError(msg)
    index = Index.load(path / INDEX)
    artifact = Artifact.load(path / ARTIFACT)
    return index, artifact, checked_config(str(path), index.header, artifact)


def checked_config(name: str, header: Mapping[str, Any], artifact: Artifact) -> RetrieverConfig:
    """Return the settings in an index's header, if that names its host and the artifact beside it.

    Args:
        name: Where the index lies, for messages.
        header: Of its manifest.
        artifact: What lies beside it.

    Raises:
        IndexFormatError: The artifact is another one, no host is named, or settings cannot be read.
    """
    if header.get("artifact") != artifact.digest:
        msg = f"{name}/{ARTIFACT} is not the artifact that the index beside it was made with"
        raise IndexFormatError(msg)
    manifest, host = f"{name}/{INDEX}/{MANIFEST}", header.get("host")
    if not isinstance(host, dict) or not all(isinstance(host.get(key), str) for key in ("name", "revision")):
        msg = f"{manifest} does not name the host of the index; index the documents again"
        raise IndexFormatError(msg)
    try:
        return RetrieverConfig.from_json(header["config"])
    except (KeyError, InvalidInputError) as error:
        msg = f"{manifest} holds settings that cannot be read: {error}"
        raise IndexFormatError(msg) from error


def holds_index(path: Path) -> bool:
    """Whether a folder holds a saved index, sound or damaged, and nothing else."""
    return (path / INDEX / MANIFEST).is_file() and all(_is_ours(entry.name) for entry in path.iterdir())


def check_target(path: Path) -> None:
    """Refuse a folder that holds something else than a saved index, or what a killed first save left.

    Raises:
        InvalidInputError: It does.
    """
    refuse_foreign(path, "an index", _is_ours)
    if path.is_dir():
        storage.check_target(path / INDEX)


def _is_ours(name: str) -> bool:
    return name in (INDEX, ARTIFACT, JOBS, LOCK) or name.startswith(_UNFINISHED)
