"""A Ray dataset to an index: packed by bytes, scanned by actors, committed once.

What an actor returns may be lost with it, and made again by another one. So it writes its segments beside the
index, named by their content; only the commit, after the last of them, makes any of them visible.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset, Datasink
from ray.data.datasource import WriteResult

from s3_retriever.checks import check, instance, optional
from s3_retriever.cluster.causes import cause_of
from s3_retriever.cluster.checkpoint import delete as delete_checkpoint
from s3_retriever.cluster.checkpoint import drop_torn
from s3_retriever.cluster.config import ClusterConfig, Failure, Report
from s3_retriever.cluster.job import Job, Scanned
from s3_retriever.cluster.merging import merge_segments
from s3_retriever.cluster.records import (
    ERROR,
    ID,
    RECORD,
    SEGMENT,
    Packer,
    SegmentRecord,
)
from s3_retriever.cluster.scanner import Scanner, ScanSettings, files_of
from s3_retriever.config import RetrieverConfig
from s3_retriever.disk import found_anywhere
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.indexing import layout_of
from s3_retriever.names import ChangeMode
from s3_retriever.store import Change, Place, collect_garbage, commit, place_of
from s3_retriever.store.commit import Written, read_content

_SPARE = 1.25
"""CPUs of a cluster that actors leave alone: reading takes 1 by Ray's default, packing and writing less."""

_FILTER = 1.0
"""CPUs of the actor by which Ray leaves out, in a resumed job, what is done; nobody can choose how many.
On two CPUs nothing remains for ours, which then claim none: claims that do not fit make a job stand still."""

_PACKING, _WRITING = 0.1, 0.05  # CPUs; another number than the actors' keeps Ray from fusing the steps
_ROWS = 1024  # that are packed together, so that a thousand tiny files do not become a thousand segments


def index_dataset(
    dataset: Dataset,
    path: str,
    *,
    host: str | None = None,
    artifact: Artifact,
    config: RetrieverConfig | None = None,
    mode: ChangeMode = "append",
    delete: Sequence[str] = (),
    cluster: ClusterConfig | None = None,
) -> Report:
    """Scan the documents of a dataset on a cluster and make them part of an index, all of them or none.

    Args:
        dataset: Rows with a ``text``, and maybe an ``id`` (or ``_id``), a ``title``, and ``metadata``, a
            mapping or its JSON; what other columns hold is metadata, too.
        path: Where the index lies: a folder that all machines see, or a URL that fsspec knows.
        host: A hub name or a folder that each machine has; None: the default host.
        artifact: Learned for it.
        config: Settings of a new index.
        mode: "append", "overwrite" or "upsert".
        delete: Ids of documents to delete in the same step.
        cluster: How to use the cluster.

    Raises:
        InvalidDocumentError: A row is no document.
        DuplicateDocumentError: Two documents have one id.
        UnknownDocumentError: There is no document with an id to delete.
        InvalidInputError: The index was made with another artifact; the checkpoint's id column is not ``id``;
            there is no document to overwrite the index with.
        IndexBusyError: Somebody else writes to the folder.
        IndexChangedError: Somebody else changed the index meanwhile, and again and again.
    """
    check("dataset", dataset, instance(Dataset, "a ray.data.Dataset"))
    check("host", host, optional(instance(str, "a name or a folder, which each machine loads for itself")))
    cluster, config = cluster or ClusterConfig(), config or RetrieverConfig()
    checkpoint = dataset.context.checkpoint_config
    if checkpoint is not None and checkpoint.id_column != ID:
        msg = f"the checkpoint's id column must be {ID!r}, not {checkpoint.id_column!r}: rename the column"
        raise InvalidInputError(msg)
    place = place_of(path)
    settings = ScanSettings(
        place.name,
        host and found_anywhere(host),
        files_of(artifact),
        config,
        cluster.threads,
        "cuda" if cluster.gpus else "cpu",
        cluster.on_error == "skip",
    )
    with place.alone():
        job = None if checkpoint is None else Job(place, checkpoint.checkpoint_path, mode)
        change = _Commit(place, artifact, mode, delete, job)
        if not change.is_done():
            if checkpoint is not None:
                drop_torn(checkpoint)
            sink = SegmentSink(change, job)
            with _context(dataset, cluster):
                _run(_scanned(dataset, settings, cluster), sink, cluster)
            if change.report is None:  # Ray calls nobody where there was nothing to write
                change.make([])
        if cluster.merge_bytes:
            merge_segments(place.name, cluster.merge_bytes)
        collect_garbage(place)
        if checkpoint is not None and job is not None:  # last: until then a run that is killed is known again
            delete_checkpoint(checkpoint)
            job.forget()
    return change.report or Report(0, 0, 0, ())


class _Commit:
    """The one step that makes a job's segments visible.

    Attributes:
        report: What was committed, when that is done.
    """

    def __init__(
        self, place: Place, artifact: Artifact, mode: ChangeMode, delete: Sequence[str], job: Job | None
    ) -> None:
        self.report: Report | None = None
        self._place = place
        self._artifact = artifact
        self._mode = mode
        self._delete = tuple(delete)
        self._job = job
        self._name = job.name() if job else ""

    def is_done(self) -> bool:
        """Whether an earlier run was killed between its commit and its last step."""
        content, _ = read_content(self._place)
        return bool(self._name) and content is not None and content.get("job") == self._name

    def make(self, results: Sequence[Scanned]) -> None:
        """Commit what this run and, with a checkpoint, the runs before it wrote."""
        found = _joined(results)
        new = {one.name for one in found.records}
        earlier = _joined(list(self._job.kept()) if self._job else [])
        records = [*(one for one in earlier.records if one.name not in new), *found.records]
        failures = [*(one for one in earlier.failures if one not in found.failures), *found.failures]
        ids = {**earlier.ids, **found.ids}
        segments = [Written(one.name, one.files, ids[one.name], again=one.name not in new) for one in records]
        header = records[0].header if records else {"artifact": self._artifact.digest}
        if any(record.header != header for record in records):
            msg = "the machines of the cluster loaded different hosts or settings; give all of them the same"
            raise InvalidInputError(msg)
        content, _ = read_content(self._place)
        if self._mode == "overwrite" and content is not None and not records:
            why = f": {failures[0].id}: {failures[0].reason}" if failures else ""
            msg = f"no document to overwrite {self._place.name} with{why}; delete the folder to be rid of it"
            raise InvalidInputError(msg)
        if records or self._delete:
            header = header if records or content is None else content["header"]
            layout = layout_of(self._artifact)
            change = Change(header, layout, segments, self._mode, self._delete, job=self._name)
            commit(self._place, change, self._artifact)
        documents = len({doc_id for one in segments for doc_id in one.ids})
        tokens = sum(one.tokens for one in records)
        self.report = Report(documents, tokens, len(segments), tuple(failures))


def _joined(results: Iterable[Scanned]) -> Scanned:
    """Return what all tasks were handed, as one."""
    records: dict[str, SegmentRecord] = {}
    ids: dict[str, list[str]] = {}
    failures: list[Failure] = []
    for one in results:
        records |= {record.name: record for record in one.records}
        for name, found in one.ids.items():
            ids.setdefault(name, []).extend(found)
        failures += one.failures
    return Scanned(list(records.values()), ids, failures)


class SegmentSink(Datasink):  # type: ignore[misc]
    """Gathers which segments were written, and commits them when all are."""

    def __init__(self, commit: _Commit, job: Job | None) -> None:
        self._commit: _Commit | None = commit
        self._job = job

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_commit": None}  # tasks do not commit

    def write(self, blocks: Iterable[Any], ctx: object) -> Scanned:
        """Take the rows that actors returned; called in a task."""
        scanned = _of_rows(row for block in blocks for row in pa.table(block).to_pylist())
        if self._job is not None:
            self._job.keep(scanned)
        return scanned

    def on_write_complete(self, write_result: WriteResult[Scanned]) -> None:
        """Commit; called in the driver, when all rows were written."""
        if self._commit is not None:
            self._commit.make(write_result.write_returns)


def _of_rows(rows: Iterable[Mapping[str, Any]]) -> Scanned:
    records, failures = [], []
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row[RECORD]:
            records.append(SegmentRecord(**json.loads(row[RECORD])))
        if row[SEGMENT]:
            ids.setdefault(row[SEGMENT], []).append(row[ID])
        else:
            failures.append(Failure(row[ID], row[ERROR]))
    return Scanned(records, ids, failures)


def _scanned(dataset: Dataset, settings: ScanSettings, cluster: ClusterConfig) -> Dataset:
    """Return a dataset with a row per document, whose segments lie beside the index."""
    workers, cpus = _sizes(cluster, _SPARE + (_FILTER if dataset.context.checkpoint_config else 0.0))
    packed = dataset.map_batches(
        Packer(cluster.pack_bytes, skip=settings.skip),
        batch_size=_ROWS,
        batch_format="pyarrow",
        zero_copy_batch=True,
        num_cpus=_PACKING,
    )
    return packed.map_batches(
        Scanner,
        fn_constructor_args=(settings,),
        batch_size=1,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=cpus,
        num_gpus=cluster.gpus or None,
    )


def _sizes(cluster: ClusterConfig, spare: float) -> tuple[int, float]:
    """Return how many actors scan, and the CPUs that Ray counts for each; others have ``spare``."""
    resources = ray.cluster_resources()
    cpus = resources.get("CPU", 1.0)
    if cluster.gpus and resources.get("GPU", 0.0) < cluster.gpus:
        msg = f"a worker wants {cluster.gpus:g} GPUs, and the cluster has {resources.get('GPU', 0):g}"
        raise InvalidInputError(msg)
    most = resources.get("GPU", 0.0) / cluster.gpus if cluster.gpus else cpus / cluster.threads
    workers = cluster.workers or max(1, int(most))
    share = max(0.0, cpus - spare) / workers
    return workers, min(float(cluster.threads), int(share * 100) / 100)


@contextlib.contextmanager
def _context(dataset: Dataset, cluster: ClusterConfig) -> Iterator[None]:
    """Set what Ray Data does with this dataset, for a while."""
    context = dataset.context
    wanted: list[tuple[Any, str, Any]] = [
        (context, "target_max_block_size", cluster.pack_bytes),
        (context, "wait_for_min_actors_s", max(1, int(cluster.patience))),
        (context.execution_options, "preserve_order", True),
    ]
    if context.checkpoint_config is not None:  # Ray would delete it before the commit
        wanted.append((context.checkpoint_config, "delete_checkpoint_on_success", False))
    before = [getattr(thing, name) for thing, name, _ in wanted]
    for thing, name, value in wanted:
        setattr(thing, name, value)
    try:
        yield
    finally:
        for (thing, name, _), value in zip(wanted, before, strict=True):
            setattr(thing, name, value)


def _run(scanned: Dataset, sink: SegmentSink, cluster: ClusterConfig) -> None:
    """Run a job; errors of ours come out as they went in."""
    try:
        scanned.write_datasink(sink, ray_remote_args={"num_cpus": _WRITING}, concurrency=1)
    except Exception as error:
        ours = cause_of(error)
        if ours is None or ours is error:
            raise
        raise ours from error
