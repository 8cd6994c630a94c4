"""Opening an index wherever it lies: a folder as it is, an object storage through a cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from s3_retriever.config import RetrieverConfig
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import IndexFormatError, InvalidInputError
from s3_retriever.index import Index
from s3_retriever.index.manifest import MANIFEST
from s3_retriever.index.storage import SEGMENTS
from s3_retriever.saved import read_saved
from s3_retriever.store.cache import cached_segment
from s3_retriever.store.commit import read_content
from s3_retriever.store.parts import Piece, layout_in, open_pieces
from s3_retriever.store.place import ARTIFACT, INDEX, Place, is_remote, place_of

_T = TypeVar("_T")


def read_saved_at(path: str | Path) -> tuple[Index, Artifact, RetrieverConfig]:
    """Read a saved index, its artifact and its settings, from a folder or a URL; without the host.

    Raises:
        IndexFormatError: The index is missing, truncated, altered or of another version.
        ArtifactFormatError: The artifact is truncated, altered or of another version.
        StorageError: The cache is too small for the index.
    """
    if not is_remote(path):
        return read_saved(str(path).removeprefix("file://") if isinstance(path, str) else path)
    place = place_of(path)

    def read(content: dict[str, Any]) -> tuple[Index, Artifact, RetrieverConfig]:
        artifact, config = saved_artifact(place, content), saved_config(place, content)
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


def saved_config(place: Place, content: Mapping[str, Any]) -> RetrieverConfig:
    """Return the settings that a manifest holds.

    Raises:
        IndexFormatError: There are none, or no host is named.
    """
    try:
        host = content["header"]["host"]
        if not all(isinstance(host[key], str) for key in ("name", "revision")):
            raise TypeError(host)
        return RetrieverConfig.from_json(content["header"]["config"])
    except (KeyError, TypeError, InvalidInputError) as error:
        msg = f"{place.name}/{INDEX}/{MANIFEST} holds settings that cannot be read: {error}"
        raise IndexFormatError(msg) from error


def saved_artifact(place: Place, content: Mapping[str, Any]) -> Artifact:
    """Return the artifact that lies beside an index.

    Raises:
        IndexFormatError: It is another one than the manifest names, or missing.
        ArtifactFormatError: It is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="s3-artifact-") as folder:
        for path in place.files(ARTIFACT):
            place.fetch(path, Path(folder, path.rpartition("/")[2]))
        artifact = Artifact.load(Path(folder))
    if artifact.digest != content["header"].get("artifact"):
        msg = f"{place.name}/{ARTIFACT} is not the artifact that the index beside it was made with"
        raise IndexFormatError(msg)
    return artifact


def segment_folder(place: Place, entry: Mapping[str, Any], needed: frozenset[str] = frozenset()) -> Path:
    """Return the folder that has the folder of a segment: the index's own, or the cache's."""
    if is_remote(place.name):
        return cached_segment(place, entry, needed)
    return Path(place.name, INDEX, SEGMENTS)
