"""The actor that scans: it loads host and artifact once, then writes each pack as a segment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from s3_retriever.cluster.config import Failure
from s3_retriever.cluster.records import Pack, SegmentRecord, result_table
from s3_retriever.config import RetrieverConfig
from s3_retriever.documents import Document
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import DuplicateDocumentError, IndexChangedError
from s3_retriever.host.model import Host
from s3_retriever.index import Segment
from s3_retriever.indexing import build_segment
from s3_retriever.store import place_of


@dataclass(frozen=True)
class ScanSettings:
    """What an actor has to know.

    Attributes:
        path: Where the index lies.
        host: A hub name or a folder that the actor's machine has, or None for the default host.
        artifact: Files of the artifact, by name.
        config: Settings of the retriever.
        threads: Threads that scan.
        device: Where the host runs, as torch names it.
        skip: Whether a document that fails is left out; else it is an error.
    """

    path: str
    host: str | None
    artifact: Mapping[str, bytes]
    config: RetrieverConfig
    threads: int
    device: str
    skip: bool


class Scanner:
    """Scans packs; an object of it lives in each actor."""

    def __init__(self, settings: ScanSettings) -> None:
        self._settings = settings
        self._place = place_of(settings.path)
        self._artifact = artifact_of(settings.artifact)
        self._host = load_host(settings.host, settings.device)
        self._artifact.check_host(self._host)
        self._header = header_of(self._host, self._artifact, settings.config)

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Yield a row per document of each pack.

        Raises:
            S3RetrieverError: A document cannot be indexed, and none is to be skipped.
            IndexChangedError: The job failed meanwhile, and took back what it had made.
        """
        for pack in Pack.of_table(table):
            segment, failed = self._scanned(pack.documents)
            record = None
            if segment is not None and len(segment):
                if self._place.is_given_up():
                    msg = f"the job that scans for {self._place.name} has ended"
                    raise IndexChangedError(msg)
                files = self._place.put_segment(segment)
                record = SegmentRecord(segment.name, files, self._header, segment.n_tokens)
            ids = segment.ids if segment is not None else ()
            yield result_table(record, ids, [*pack.failed, *failed])

    def _scanned(self, documents: Sequence[Document]) -> tuple[Segment | None, list[Failure]]:
        try:
            return self._segment(documents), []
        except DuplicateDocumentError:
            raise
        except Exception:
            if not self._settings.skip:
                raise
        failed = [Failure(one.id, reason) for one in documents if (reason := self._reason(one))]
        if len(failed) == len(documents) > 1:  # it is not the documents
            return self._segment(documents), []
        gone = {one.id for one in failed}
        rest = [one for one in documents if one.id not in gone]
        return (self._segment(rest) if rest else None), failed

    def _reason(self, document: Document) -> str:
        """Return why a document cannot be scanned, empty if it can."""
        try:
            self._segment([document])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def _segment(self, documents: Sequence[Document]) -> Segment:
        return build_segment(
            documents,
            self._host,
            self._artifact,
            self._settings.config.scan,
            taken=(),
            threads=self._settings.threads,
            show_progress=False,
        )


def load_host(name: str | None, device: str) -> Host:
    """Load a host, onto a device."""
    host = Host.load(name)
    if device != "cpu":
        host = Host(
            model=host.model.to(device), tokenizer=host.tokenizer, name=host.name, revision=host.revision
        )
    return host


def header_of(host: Host, artifact: Artifact, config: RetrieverConfig) -> dict[str, Any]:
    """Return the manifest's header, as a retriever of these parts writes it."""
    return {"artifact": artifact.digest, "host": dict(host.identity), "config": config.to_json()}


def files_of(artifact: Artifact) -> dict[str, bytes]:
    """Return the files of an artifact, by name."""
    with tempfile.TemporaryDirectory(prefix="s3-artifact-") as folder:
        artifact.save(Path(folder, "artifact"))
        return {file.name: file.read_bytes() for file in Path(folder, "artifact").iterdir()}


def artifact_of(files: Mapping[str, bytes]) -> Artifact:
    """Return the artifact whose files :func:`files_of` returned."""
    with tempfile.TemporaryDirectory(prefix="s3-artifact-") as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        return Artifact.load(Path(folder))
