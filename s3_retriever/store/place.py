"""Where an index lies: what a commit and its readers need of a folder or of an object storage."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from s3_retriever.checks import check_library, pip_install
from s3_retriever.disk import only_writer, refuse_links, url_in, write_file, write_json
from s3_retriever.durable import make_folders, remove
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import IndexChangedError, InvalidInputError, MissingDependencyError, StorageError
from s3_retriever.index.manifest import MANIFEST, sealed_manifest
from s3_retriever.index.segment import Segment
from s3_retriever.index.storage import SEGMENTS, write_segment
from s3_retriever.saved import ARTIFACT, INDEX, JOBS, check_target
from s3_retriever.workplace import LOCK

_FOLDER = "file://"


class Place(Protocol):
    """A saved retriever as those see it who share it; paths in it are relative, with slashes."""

    @property
    def name(self) -> str:
        """What messages call it: the path or the URL, as it can be given again."""

    def read(self, path: str, begin: int = 0, end: int | None = None) -> bytes:
        """Return a file, or its bytes from ``begin`` to ``end``.

        Raises:
            FileNotFoundError: There is none.
        """

    def fetch(self, path: str, to: Path) -> None:
        """Copy a file to a new one on this machine.

        Raises:
            FileNotFoundError: There is none.
        """

    def write(self, path: str, data: bytes) -> None:
        """Write a small file that is no part of the index."""

    def files(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder, sorted; none where there is no such folder."""

    def remove(self, folder: str) -> None:
        """Remove a folder, as far as that can be done."""

    def is_given_up(self) -> bool:
        """Tell whether the writer that made the place took it back; an object storage tells nothing."""

    def put_segment(self, segment: Segment) -> dict[str, dict[str, Any]]:
        """Write a segment beside the others; return its files as a manifest names them."""

    def put_artifact(self, artifact: Artifact) -> None:
        """Write the artifact, in place of one that is there."""

    def segments(self) -> dict[str, float]:
        """Return the segments that lie here, named by a manifest or not, and when each was last written."""

    def manifest(self) -> tuple[bytes | None, Any]:
        """Return the manifest, None where there is none, and what :meth:`swap` takes."""

    def swap(self, content: Mapping[str, Any], token: Any) -> None:
        """Replace the manifest in one step.

        Args:
            content: The new one's.
            token: What :meth:`manifest` returned with the old one.

        Raises:
            IndexChangedError: Somebody else replaced it since.
        """

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from removing what is written here until the block ends, where that can be done.

        Raises:
            IndexBusyError: Somebody else writes here.
            InvalidInputError: Something else than an index is here.
        """


def folder_of(path: str | Path) -> Path | None:
    """Return the folder that a path or a ``file://`` URL names; None for a URL of an object storage."""
    url = url_in(path)
    if not url:
        return Path(path)
    return Path(url.removeprefix(_FOLDER)) if url.startswith(_FOLDER) else None


def place_of(path: str | Path) -> Place:
    """Return the place that a path or a URL names.

    Args:
        path: A folder that all machines see, or a URL that fsspec knows, such as ``s3://bucket/my-index``.

    Raises:
        MissingDependencyError: The library for such URLs is not installed.
        InvalidInputError: fsspec knows no such URLs.
    """
    folder = folder_of(path)
    return _Remote(url_in(path)) if folder is None else _Folder(folder)


def filesystem_of(url: str) -> tuple[Any, str]:
    """Return the filesystem of fsspec that a URL is in, and its path there.

    Raises:
        MissingDependencyError: The library for such URLs is not installed.
        InvalidInputError: fsspec knows no such URLs.
    """
    protocol = url.partition("://")[0]
    way = pip_install("s3") if protocol == "s3" else "install it"
    check_library(f"files at {protocol}://", "s3fs" if protocol == "s3" else "fsspec", "fsspec", way)
    import fsspec

    if protocol == "s3":
        check_library("files at s3://", "s3fs", "s3fs", way)
    try:  # without a cache of listings: others write here
        filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ValueError as error:
        msg = f"{url} cannot be opened ({error}); give a folder, or a URL that fsspec knows"
        raise InvalidInputError(msg) from error
    except ImportError as error:
        msg = f"files at {protocol}:// need another library: {error}"
        raise MissingDependencyError(msg) from error
    return filesystem, str(path)


class _Folder:
    """A folder of this machine, or one that is mounted on all."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._index = self._path / INDEX

    @property
    def name(self) -> str:
        return str(self._path)

    def read(self, path: str, begin: int = 0, end: int | None = None) -> bytes:
        with (self._path / path).open("rb") as file:
            file.seek(begin)
            return file.read(-1 if end is None else end - begin)

    def fetch(self, path: str, to: Path) -> None:
        to.write_bytes(self.read(path))

    def is_given_up(self) -> bool:
        return not (self._path / LOCK).exists()

    def put_segment(self, segment: Segment) -> dict[str, dict[str, Any]]:
        check_target(self._path)
        refuse_links(self._index, self._index / SEGMENTS)
        make_folders(self._index / SEGMENTS)
        return write_segment(self._index / SEGMENTS, segment)

    def put_artifact(self, artifact: Artifact) -> None:
        artifact.save(self._path / ARTIFACT)

    def segments(self) -> dict[str, float]:
        folder = self._index / SEGMENTS
        return {entry.name: entry.stat().st_mtime for entry in folder.iterdir()} if folder.is_dir() else {}

    def write(self, path: str, data: bytes) -> None:
        make_folders((self._path / path).parent)
        write_file(self._path / path, data)

    def files(self, folder: str) -> list[str]:
        path = self._path / folder
        names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        return [f"{folder}/{name}" for name in names if not name.startswith(".")]

    def remove(self, folder: str) -> None:
        remove(self._path / folder)

    def manifest(self) -> tuple[bytes | None, Any]:
        file = self._index / MANIFEST
        data = file.read_bytes() if file.is_file() else None
        return data, data

    def swap(self, content: Mapping[str, Any], token: Any) -> None:
        with only_writer(self._index):
            if self.manifest()[1] != token:
                raise changed(self.name)
            write_json(self._index / MANIFEST, sealed_manifest(content))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        check_target(self._path)
        missing = [one for one in (self._path, *self._path.parents) if not one.exists()]
        is_new = bool(missing) or not any(self._path.iterdir())
        with only_writer(self._path):
            try:
                yield
            except BaseException:
                if is_new and not any((self._path / one).exists() for one in (f"{INDEX}/{MANIFEST}", JOBS)):
                    self._undo(missing)
                raise

    def _undo(self, missing: list[Path]) -> None:
        """Remove what failed before there was an index, and the folders that were missing."""
        for entry in list(self._path.iterdir()):
            remove(entry)
        with contextlib.suppress(OSError):  # others have come
            for folder in missing:
                folder.rmdir()


class _Remote:
    """A prefix of an object storage, through fsspec."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._conditions = url.partition("://")[0] in ("s3", "s3a")
        self._fs, self._root = filesystem_of(self._url)

    @property
    def name(self) -> str:
        return self._url

    def read(self, path: str, begin: int = 0, end: int | None = None) -> bytes:
        data: bytes = self._fs.cat_file(f"{self._root}/{path}", start=begin or None, end=end)
        return data

    def fetch(self, path: str, to: Path) -> None:
        self._fs.get_file(f"{self._root}/{path}", str(to))

    def is_given_up(self) -> bool:
        return False

    def put_segment(self, segment: Segment) -> dict[str, dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="s3-segment-") as folder:
            files = write_segment(Path(folder), segment)
            for file in files:
                self._put(Path(folder, segment.name, file), f"{INDEX}/{SEGMENTS}/{segment.name}/{file}")
        return files

    def put_artifact(self, artifact: Artifact) -> None:
        with tempfile.TemporaryDirectory(prefix="s3-artifact-") as folder:
            artifact.save(Path(folder, ARTIFACT))
            for file in sorted(Path(folder, ARTIFACT).iterdir()):
                self._put(file, f"{ARTIFACT}/{file.name}")

    def _put(self, file: Path, path: str) -> None:
        self._make_folder(path)
        self._fs.put_file(str(file), f"{self._root}/{path}")

    def _make_folder(self, path: str) -> None:
        if not self._conditions:  # S3 has no folders
            self._fs.makedirs(f"{self._root}/{path}".rpartition("/")[0], exist_ok=True)

    def segments(self) -> dict[str, float]:
        found: dict[str, float] = {}
        with contextlib.suppress(FileNotFoundError):
            for path, facts in self._fs.find(f"{self._root}/{INDEX}/{SEGMENTS}", detail=True).items():
                name = path.split("/")[-2]
                found[name] = max(found.get(name, 0.0), _written(facts))
        return found

    def write(self, path: str, data: bytes) -> None:
        self._make_folder(path)
        self._fs.pipe_file(f"{self._root}/{path}", data)

    def files(self, folder: str) -> list[str]:
        try:
            found = self._fs.find(f"{self._root}/{folder}")
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{path.rpartition('/')[2]}" for path in found)

    def remove(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            self._fs.rm(f"{self._root}/{folder}", recursive=True)

    def manifest(self) -> tuple[bytes | None, Any]:
        path = f"{self._root}/{INDEX}/{MANIFEST}"
        try:
            etag = self._fs.info(path).get("ETag") if self._conditions else None
            data = self.read(f"{INDEX}/{MANIFEST}")
        except FileNotFoundError:
            return None, None
        return data, etag or data

    def swap(self, content: Mapping[str, Any], token: Any) -> None:
        data = f"{json.dumps(sealed_manifest(content), indent=1, ensure_ascii=False)}\n".encode()
        path = f"{self._root}/{INDEX}/{MANIFEST}"
        if not self._conditions:
            if self.manifest()[1] != token:
                raise changed(self.name)
            self._make_folder(f"{INDEX}/{MANIFEST}")
            self._fs.pipe_file(path, data)
            return
        condition = {"IfNoneMatch": "*"} if token is None else {"IfMatch": token}
        try:
            self._fs.pipe_file(path, data, **condition)
        except OSError as error:
            if self.manifest()[1] != token:
                raise changed(self.name) from error
            msg = f"{self.name}: the manifest could not be written ({error})"
            raise StorageError(msg) from error

    def alone(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def _written(facts: Mapping[str, Any]) -> float:
    """Return when a file was written, as seconds since 1970; now where that is not known."""
    at = facts.get("LastModified", facts.get("mtime", facts.get("created")))
    if hasattr(at, "timestamp"):
        return float(at.timestamp())
    return float(at) if isinstance(at, (int, float)) else time.time()


def changed(name: str) -> IndexChangedError:
    """Return the error of who lost a race to replace a manifest."""
    msg = f"somebody else changed the index {name} meanwhile; nothing of this change was made; try it again"
    return IndexChangedError(msg)
