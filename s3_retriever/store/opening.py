"""Opening an index wherever it lies: a folder as it is, an object storage through a cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from s3_retriever.config import RetrieverConfig
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import IndexFormatError
from s3_retriever.index import Index
from s3_retriever.index.manifest import MANIFEST
from s3_retriever.index.storage import SEGMENTS
from s3_retriever.saved import ARTIFACT, INDEX, checked_config, read_saved
from s3_retriever.store.cache import cached_segment
from s3_retriever.store.commit import read_content
from s3_retriever.store.parts import Piece, layout_in, open_pieces
from s3_retriever.store.place import Place, folder_of, place_of

_T = TypeVar("_T")


def read_saved_at(path: str | Path) -> tuple[Index, Artifact, RetrieverConfig]:
    """Read a saved index, its artifact and its settings, from a folder or a URL; without the host.

    Raises:
        IndexFormatError: The index is missing, truncated, altered or of another version.
        ArtifactFormatError: The artifact is truncated, altered or of another version.
        StorageError: The cache is too small for the index.
    """
    folder = folder_of(path)
    if folder is not None:
        return read_saved(folder)
    place = place_of(path)

    def read(content: dict[str, Any]) -> tuple[Index, Artifact, RetrieverConfig]:
        artifact, config = saved_parts(place, content)
        needed = {str(entry["name"]) for entry in content["segments"]}
        pieces = [Piece(entry, 0, 1 << 62) for entry in content["segments"]]
        index = Index(layout_in(content), content["header"])
        index.snapshot = open_pieces(lambda entry: cached_segment(place, entry, needed), index.layout, pieces)
        return index, artifact, config

    return _of_one_version(place, read)


def _of_one_version(place: Place, read: Callable[[dict[str, Any]], _T]) -> _T:
    """Read what a manifest names; again if somebody replaced it meanwhile."""
    content = opened_content(place)
    try:
        return read(content)
    except IndexFormatError:
        if opened_content(place) == content:
            raise
    # Somebody replaced it meanwhile, and removed segments that only the manifest before named.
    return _of_one_version(place, read)


def opened_content(place: Place) -> dict[str, Any]:
    """Return the manifest's content.

    Raises:
        IndexFormatError: There is none, or it is damaged.
    """
    content, _ = read_content(place)
    if content is None:
        msg = f"no index at {place.name}: {INDEX}/{MANIFEST} is missing"
        raise IndexFormatError(msg)
    return content


def saved_parts(place: Place, content: Mapping[str, Any]) -> tuple[Artifact, RetrieverConfig]:
    """Return the artifact that lies beside an index, and the settings that its manifest holds.

    Raises:
        IndexFormatError: The artifact is missing or another one, or settings or host are not named.
        ArtifactFormatError: The artifact is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="s3-artifact-") as folder:
        for path in place.files(ARTIFACT):
            place.fetch(path, Path(folder, path.rpartition("/")[2]))
        artifact = Artifact.load(Path(folder))
    return artifact, checked_config(place.name, content["header"], artifact)


def segment_folder(place: Place, entry: Mapping[str, Any], needed: frozenset[str] = frozenset()) -> Path:
    """Return the folder that has the folder of a segment: the index's own, or the cache's."""
    folder = folder_of(place.name)
    return cached_segment(place, entry, needed) if folder is None else folder / INDEX / SEGMENTS
