"""What travels between the steps of a job: packs of documents, and records of segments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from s3_retriever.cluster.config import Failure
from s3_retriever.documents import Document, as_document
from s3_retriever.errors import InvalidDocumentError
from s3_retriever.index.documents import of_line, to_line, with_json_metadata
from s3_retriever.json_form import parse_json

DOCUMENTS, FAILED = "documents", "failed"
"""Columns of packs: documents as lines of JSON, and what could not become one."""

LINE, PROBLEM = "s3_retriever_line", "s3_retriever_problem"
"""Columns of what files become: a document as a line of JSON, or why there is none."""

ID, SEGMENT, RECORD, ERROR = "id", "segment", "record", "error"
"""Columns of what a scan returns, a row per document."""


@dataclass(frozen=True)
class Pack:
    """Documents that become one segment.

    Attributes:
        documents: In their order.
        failed: Rows that are no documents.
    """

    documents: Sequence[Document]
    failed: Sequence[Failure] = ()

    def to_table(self) -> pa.Table:
        """Return one row, which is never cut in two."""
        lines = b"".join(map(to_line, self.documents))
        failed = json.dumps([asdict(one) for one in self.failed])
        return pa.table({DOCUMENTS: pa.array([lines], pa.large_binary()), FAILED: [failed]})

    @classmethod
    def of_table(cls, table: pa.Table) -> Iterator[Pack]:
        """Read what :meth:`to_table` wrote, from each row."""
        for lines, failed in zip(table[DOCUMENTS].to_pylist(), table[FAILED].to_pylist(), strict=True):
            documents = [of_line(line) for line in lines.splitlines()]
            yield cls(documents, [Failure(**one) for one in json.loads(failed)])


class Packer:
    """Cuts rows into packs of about as many bytes of text.

    Ray's blocks may be anything from one row to a whole file, and one goes to one actor.

    Args:
        n_bytes: Of text in a pack.
        skip: Whether a row that is no document is set aside; else it is an error.
    """

    def __init__(self, n_bytes: int, *, skip: bool) -> None:
        self._n_bytes = n_bytes
        self._skip = skip

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Yield packs of a table, one a row.

        Raises:
            InvalidDocumentError: A row is no document, and none is to be skipped; names its id.
        """
        for pack in self._packs(table.to_pylist()):
            yield pack.to_table()

    def _packs(self, rows: Iterable[dict[str, Any]]) -> Iterator[Pack]:
        documents: list[Document] = []
        failed: list[Failure] = []
        size = 0
        for row in rows:
            doc_id = str(row.get("id", row.get("_id")))
            try:
                document = _document(row)
            except InvalidDocumentError as error:
                if not self._skip:
                    place = f"document {doc_id!r}: "
                    msg = f"{place}{str(error).removeprefix(place)}; on_error='skip' leaves it out"
                    raise InvalidDocumentError(msg) from error
                failed.append(Failure(doc_id, str(error)))
                continue
            documents.append(document)
            size += len(document.text.encode("utf-8", "surrogatepass"))
            if size >= self._n_bytes:
                yield Pack(documents, failed)
                documents, failed, size = [], [], 0
        if documents or failed:
            yield Pack(documents, failed)


def _document(row: dict[str, Any]) -> Document:
    if row.get(PROBLEM):
        raise InvalidDocumentError(row[PROBLEM])
    if row.get(LINE):
        return of_line(row[LINE])
    return with_json_metadata(as_document(_with_metadata(row)))


def _with_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose metadata may be text, JSON: Arrow gives each row the keys of all."""
    metadata = row.get("metadata")
    if not isinstance(metadata, str):
        return row
    try:
        return {**row, "metadata": parse_json(metadata)}
    except ValueError as error:
        msg = f"metadata is a text that is no JSON object ({error})"
        raise InvalidDocumentError(msg) from error


@dataclass(frozen=True)
class SegmentRecord:
    """A segment that an actor wrote.

    Attributes:
        name: Its name.
        files: Its files, as the manifest has them.
        header: Of the manifest, as the actor would write it.
        tokens: How many there are in it.
    """

    name: str
    files: dict[str, Any]
    header: dict[str, Any]
    tokens: int

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def result_table(record: SegmentRecord | None, ids: Sequence[str], failed: Sequence[Failure]) -> pa.Table:
    """Return a row per document: its id, and the segment that has it, or why none has.

    The record stands in the first row of its segment.
    """
    name = record.name if record else ""
    first = [record.to_json() if record else "", *[""] * len(ids)][: len(ids)]
    return pa.table(
        {
            ID: pa.array([*ids, *(one.id for one in failed)], pa.string()),
            SEGMENT: pa.array([*[name] * len(ids), *[""] * len(failed)], pa.string()),
            RECORD: pa.array([*first, *[""] * len(failed)], pa.string()),
            ERROR: pa.array([*[""] * len(ids), *(one.reason for one in failed)], pa.string()),
        }
    )
