"""How a retriever is opened: from a folder, a URL, in shards, or by a job on a cluster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.checks import PATH, check, check_library, number, pip_install, whole
from s3_retriever.cluster.config import ClusterConfig
from s3_retriever.config import RetrieverConfig
from s3_retriever.documents import as_ids
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import ArtifactError, S3RetrieverError
from s3_retriever.host.model import Host
from s3_retriever.index import Index
from s3_retriever.index.storage import saved_header
from s3_retriever.names import ChangeMode
from s3_retriever.saved import INDEX
from s3_retriever.search.rank import Ranker
from s3_retriever.search.shards import ShardedIndex
from s3_retriever.store.opening import read_saved_at
from s3_retriever.store.place import folder_of

if TYPE_CHECKING:
    import ray.data
    from typing_extensions import Self


def _begin_shards(
    path: str | Path, shards: int, timeout: float, ranker: Ranker | None
) -> Callable[[], tuple[ShardedIndex, Artifact, RetrieverConfig]]:
    """Begin to open an index in shards on a cluster; arguments as of ``S3Retriever.load``."""
    check("shards", shards, whole(1))
    check("timeout", timeout, number(above=0))
    check_library("indexes in shards", "Ray", "ray", pip_install("ray"))
    from s3_retriever.cluster.shards import begin_shards

    scoring, fuse = (None, np.add) if ranker is None else (ranker.scoring, ranker.fuse)
    return begin_shards(str(path), shards, timeout=timeout, scoring=scoring, fuse=fuse)


def _recorded_host(path: str | Path) -> object:
    """Return the name of the host that an index in a folder was made with; None where it is not known."""
    folder = folder_of(path)
    host = {} if folder is None else saved_header(folder / INDEX).get("host")
    return host.get("name") if isinstance(host, dict) else None


def _loaded(host: Any, recorded: object, path: str | Path) -> Host | None:
    """Load the host given, else the recorded one; None where neither is known."""
    if host is not None:
        return Host.load(host)
    return None if recorded is None else Host.recorded(recorded, f"the index {path}")


class Opened:
    """A retriever that is opened from where its index lies, or where it is made."""

    def __init__(
        self, *, host: Host, artifact: Artifact, index: Any, config: RetrieverConfig, ranker: Ranker | None
    ) -> None:
        raise NotImplementedError

    @classmethod
    def from_dataset(
        cls,
        dataset: ray.data.Dataset,
        *,
        path: str | Path,
        host: str | Path | None = None,
        artifact: Artifact | str | Path = "fast",
        config: RetrieverConfig | None = None,
        mode: ChangeMode = "append",
        delete: Iterable[str] = (),
        cluster: ClusterConfig | None = None,
    ) -> Self:
        """Scan the documents of a Ray dataset on a cluster, write the index, and open it.

        All documents are made part of the index in one step, when the last one is scanned. A job with a
        ``CheckpointConfig`` on the column ``id`` that was interrupted goes on where it was when it is
        run again.
        The extra ``ray`` installs what is needed.

        Args:
            dataset: Rows with a ``text``, and maybe an ``id`` (or ``_id``), a ``title``, and ``metadata``, a
                mapping or its JSON; what other columns hold is metadata, too.
            path: Where the index lies: a folder that all machines see, or a URL such as
                ``s3://bucket/my-index``.
            host: A hub name, or a folder that each machine has; None: the default host.
            artifact: As in :meth:`from_documents`.
            config: Settings of a new index.
            mode: What becomes of the documents that are there: "append" keeps them, "upsert" replaces those
                with the ids of new ones, "overwrite" replaces all.
            delete: Ids of documents to delete in the same step.
            cluster: How to use the cluster; a document that it skips is named in a warning.

        Raises:
            MissingDependencyError: Ray is not installed.
            InvalidDocumentError: A row is no document.
            DuplicateDocumentError: Two documents have one id.
            UnknownDocumentError: There is no document with an id to delete.
            InvalidInputError: The index was made with another artifact, or a value cannot be used.
            IndexBusyError: Somebody else writes to the folder.
            IndexChangedError: Somebody else changed the index meanwhile.
        """
        check_library("indexes made on a cluster", "Ray", "ray.data", pip_install("ray"))
        from s3_retriever.cluster.dataset import index_dataset

        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        report = index_dataset(
            dataset,
            str(path),
            host=None if host is None else str(host),
            artifact=artifact,
            config=config,
            mode=mode,
            delete=as_ids(delete),
            cluster=cluster,
        )
        if report.failures:
            first = report.failures[0]
            msg = f"{len(report.failures)} documents were skipped; the first is {first.id!r}: {first.reason}"
            warnings.warn(msg, stacklevel=2)
        return cls.load(path, host=host)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        host: Any = None,
        ranker: Ranker | None = None,
        shards: int | None = None,
        timeout: float = 60.0,
    ) -> Self:
        """Open a saved index, with all its settings.

        Args:
            path: What :meth:`save` or :meth:`from_dataset` wrote: a folder, or a URL.
            host: As in :meth:`from_documents`; None: the one that the index names, see :meth:`Host.recorded`.
            ranker: Another than the artifact's.
            shards: Actors of Ray that search a part of it each, with the same spans; None: this process does.
                Where Ray does not run yet, ``ray.init()`` is called in this thread. On Linux what it begins
                ends with it, so call it yourself in a thread that stays, if this one does not.
            timeout: Seconds to wait for a shard.

        Raises:
            IndexFormatError: The index is missing, truncated, altered or of another version.
            ArtifactError: The host is not the one the index was made with.
            HostNotFoundError: The host that the index names is not to be had, or not to be trusted by name.
        """
        check("path", path, PATH)
        opened: Callable[[], tuple[Index | ShardedIndex, Artifact, RetrieverConfig]]
        with ThreadPoolExecutor(1, "s3-load") as pool:
            if shards is None:
                opened = pool.submit(read_saved_at, path).result
            else:
                opened = _begin_shards(path, shards, timeout, ranker)
            recorded = _recorded_host(path)
            try:
                # Meanwhile, and in this thread: while transformers is imported, no other can import from it.
                loaded = _loaded(host, recorded, path)
            except S3RetrieverError:
                opened()  # what is wrong with the index comes first
                raise
            index, artifact, config = opened()
        name = index.header["host"]["name"]
        if loaded is None or (host is None and recorded != name):  # the index was replaced meanwhile
            loaded = Host.recorded(name, f"the index {path}")
        try:
            return cls(host=loaded, artifact=artifact, index=index, config=config, ranker=ranker)
        except ArtifactError as error:
            msg = f"{path}: {error}"
            raise type(error)(msg) from error
