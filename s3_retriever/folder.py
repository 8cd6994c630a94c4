"""A saved retriever as a folder: an index and, beside it, the artifact it was made with."""

from __future__ import annotations

import shutil
from pathlib import Path

from s3_retriever.errors import IndexFormatError, InvalidInputError
from s3_retriever.features.artifact import Artifact
from s3_retriever.files import LOCK
from s3_retriever.index import Index
from s3_retriever.index.storage import MANIFEST

_INDEX, _ARTIFACT = "index", "artifact"
_UNFINISHED = f".{_ARTIFACT}-"  # how the folders begin that a killed Artifact.save leaves


def save_parts(path: Path, index: Index, artifact: Artifact) -> None:
    """Write an index and, unless it is there, its artifact; the caller is the only writer.

    Raises:
        InvalidInputError: The folder holds the index of another artifact.
    """
    if (path / _ARTIFACT).exists() and Artifact.load(path / _ARTIFACT).digest != artifact.digest:
        msg = f"{path} holds an index made with another artifact; choose another folder or delete it"
        raise InvalidInputError(msg)
    for abandoned in path.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    if not (path / _ARTIFACT).exists():
        artifact.save(path / _ARTIFACT)
    index.save(path / _INDEX)


def read_saved(path: str | Path) -> tuple[Index, Artifact]:
    """Read a saved index and its artifact, without the host.

    Raises:
        IndexFormatError: The index is missing, truncated, altered or of another version.
        ArtifactError: So is the artifact.
    """
    path = Path(path)
    if not (path / _INDEX).is_dir():
        msg = f"{path} holds no index (it has no folder {_INDEX!r}); write one with save()"
        raise IndexFormatError(msg)
    index = Index.load(path / _INDEX)
    artifact = Artifact.load(path / _ARTIFACT)
    if index.header.get("artifact") != artifact.digest:
        msg = f"{path / _ARTIFACT} is not the artifact that the index beside it was made with"
        raise IndexFormatError(msg)
    return index, artifact


def holds_index(path: Path) -> bool:
    """Whether a folder holds a saved index, sound or damaged, and nothing else."""
    return (path / _INDEX / MANIFEST).is_file() and not _others(path)


def check_target(path: Path) -> None:
    """Refuse a folder that holds something else than a saved index.

    Raises:
        InvalidInputError: It does.
    """
    others = _others(path)
    if others:
        msg = f"{path} holds {others[0]!r}, which is no part of an index; choose another folder"
        raise InvalidInputError(msg)


def _others(path: Path) -> list[str]:
    """Return the names in a folder, if there is one, that no save has written; sorted."""
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    ours = (_INDEX, _ARTIFACT, LOCK)
    return [name for name in names if name not in ours and not name.startswith(_UNFINISHED)]
