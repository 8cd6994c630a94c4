"""Files and folders to a dataset, read by Ray Data: Parquet, JSON lines, files of other kinds."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data import Dataset, Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from s3_retriever.cluster.records import ID, LINE, PROBLEM
from s3_retriever.disk import found_anywhere, url_in
from s3_retriever.documents import Document, as_document
from s3_retriever.errors import DuplicateDocumentError, InvalidInputError, UnreadableFileError
from s3_retriever.index.documents import to_line, with_json_metadata
from s3_retriever.names import DATASET_FORMATS
from s3_retriever.sources.corpus import Corpus
from s3_retriever.sources.files import LINES, FileSettings, SourceFile, check_libraries, check_size
from s3_retriever.sources.folder import find_files, is_skipped
from s3_retriever.sources.jsonl import parse_object
from s3_retriever.store.place import filesystem_of

_ROWS = 1024  # of a block


@dataclass(frozen=True)
class _File:
    """A file to read.

    Attributes:
        source: As :func:`~s3_retriever.sources.folder.find_files` gives it; of a URL, its id is its path.
        place: Its path, or its URL.
        size: Its bytes.
        alone: Whether it is all that there is, and not in a folder, so that its lines keep their ids.
    """

    source: SourceFile
    place: str
    size: int
    alone: bool

    def open(self) -> IO[bytes]:
        if not url_in(self.place):
            return self.source.open()
        filesystem, path = filesystem_of(self.place)
        opened: IO[bytes] = filesystem.open(path, "rb")
        return opened


@dataclass(frozen=True)
class Source:
    """A source that is there.

    Attributes:
        name: Its path or URL, as it was given.
        kind: What is in it, one of ``DATASET_FORMATS``.
        files: Its files; none of Parquet, which Ray lists.
    """

    name: str
    kind: str
    files: Sequence[_File] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no document can be in it."""
        return not self.files and self.kind != "parquet"


def find_sources(
    sources: Sequence[str],
    kind: str = "",
    settings: FileSettings | None = None,
    *,
    without: Sequence[Path] = (),
) -> list[Source]:
    """Look for files and folders, on disks that all machines see or at URLs; no cluster is needed.

    Args:
        sources: Paths or URLs.
        kind: What is in them, one of ``DATASET_FORMATS``; empty: what their endings say, ``.parquet``,
            ``.jsonl``, else files.
        settings: How files are read, and which are left out.
        without: Folders to leave out, such as that of the index.

    Raises:
        InvalidInputError: There is no such format, or no source, or a source is not there, or two files have
            one id.
        UnreadableFileError: A folder cannot be read.
        MissingDependencyError: A library that reads some of the files is missing.
    """
    if kind not in ("", *DATASET_FORMATS) or not sources:
        msg = (
            f"format must be one of {', '.join(DATASET_FORMATS)}, and a source is needed; "
            f"not {kind!r}, {sources!r}"
        )
        raise InvalidInputError(msg)
    settings = settings or FileSettings()
    alone = len(sources) == 1
    seen: dict[str, str] = {}
    found = []
    for source in sources:
        one = kind or _kind_of(source)
        if one == "parquet":
            if not url_in(source) and not Path(source).exists():
                msg = f"{source} is no file and no folder"
                raise InvalidInputError(msg)
            found.append(Source(source, one))
            continue
        files = list(_once(_listed(source, settings, without, alone=alone), seen))
        if one == "files":
            check_libraries(file.source.ending for file in files)
        found.append(Source(source, one, files))
    return found


def read_sources(sources: Sequence[Source], settings: FileSettings | None = None) -> Dataset:
    """Return the documents of sources that were found.

    What cannot be read is a row that says why; the job stops there, or leaves it out.

    Args:
        sources: What :func:`find_sources` returned.
        settings: How files are read.
    """
    read = partial(_documents, settings=settings or FileSettings())
    parts = []
    for one in sources:
        if one.kind == "parquet":
            parts.append(ray.data.read_parquet(found_anywhere(one.name)))
        else:
            files = DocumentFiles(one.files, _lines if one.kind == "jsonl" else read)
            parts.append(ray.data.read_datasource(files))
    return reduce(lambda one, other: one.union(other), parts)


def check_ids(sources: Sequence[Source]) -> None:
    """Refuse JSON lines two of which have one id; the cluster reads them for that, and scans nothing.

    Ids of files are known to :func:`find_sources`; of Parquet, a commit looks at them.

    Raises:
        DuplicateDocumentError: Names the id, and where it stands.
    """
    seen: dict[str, str] = {}
    for one in sources:
        if one.kind == "jsonl":
            ids = ray.data.read_datasource(DocumentFiles(one.files, _ids))
            for batch in ids.iter_batches(batch_format="pyarrow"):
                for doc_id in batch[ID].to_pylist():
                    if doc_id in seen:
                        where = " and ".join(dict.fromkeys((seen[doc_id], one.name)))
                        msg = f"document id {doc_id!r} occurs twice, in {where}; give each its own"
                        raise DuplicateDocumentError(msg)
                    seen[doc_id] = one.name


def _once(files: Iterable[_File], seen: dict[str, str]) -> Iterator[_File]:
    """Yield files that were not seen yet, by their ids."""
    for file in files:
        other = seen.setdefault(file.source.id, file.place)
        if other is file.place:
            yield file
        elif other != file.place:
            msg = f"{other} and {file.place} would both have the id {file.source.id!r}; index them apart"
            raise InvalidInputError(msg)


def _kind_of(source: str) -> str:
    ending = source.rstrip("/").rpartition(".")[2]
    return ending if ending in ("parquet", "jsonl") else "files"


def _listed(source: str, settings: FileSettings, without: Sequence[Path], *, alone: bool) -> Iterator[_File]:
    """Yield the files of a source, sorted; their ids are those that ``index`` gives."""
    if not url_in(source):
        problems: list[str] = []

        def note(path: str, error: OSError) -> None:
            problems.append(f"{path}: {error.strerror or error}")

        files = list(find_files([source], settings, note, without=without, alone=alone))
        alone = alone and len(files) == 1 and not Path(source).is_dir()
        for file in files:
            path = file.path.absolute()
            yield _File(replace(file, path=path), str(path), file.size, alone)
        if problems:
            msg = f"{problems[0]}; make it readable, or leave it out"
            raise UnreadableFileError(msg)
        return
    filesystem, root = filesystem_of(source)
    root = root.rstrip("/")
    found = filesystem.find(root, detail=True)
    if not found:
        msg = f"{source} is no file and no folder"
        raise InvalidInputError(msg)
    name = posixpath.basename(root)
    for place, facts in sorted(found.items()):
        inside = place[len(root) :].lstrip("/")
        if inside and is_skipped(inside, settings.exclude):
            continue
        doc_id = inside if inside and alone else posixpath.join(name, inside).rstrip("/")
        file = SourceFile(doc_id, Path(doc_id))
        url = filesystem.unstrip_protocol(place)
        yield _File(file, url, int(facts.get("size") or 0), alone and not inside)


_Read = Callable[[_File], Iterator[dict[str, Any]]]


class DocumentFiles(Datasource):  # type: ignore[misc]
    """Files whose documents are rows, with a column of ids as soon as they are read, for Ray's checkpoint.

    Args:
        files: The files.
        read: Returns the rows of one; called in tasks.
    """

    def __init__(self, files: Sequence[_File], read: _Read) -> None:
        super().__init__()
        self._files = list(files)
        self._read = read

    def get_name(self) -> str:
        """Return what Ray's progress calls it."""
        return "Documents"

    def estimate_inmemory_data_size(self) -> int:
        """Return about how many bytes all rows have."""
        return sum(file.size for file in self._files)

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """Return tasks of about as many bytes, whose files follow each other."""
        ends = np.cumsum([file.size + 1 for file in self._files])
        n = max(1, min(parallelism, len(self._files)))
        borders = np.unique([0, *np.searchsorted(ends, (ends[-1:] * np.arange(1, n)) / n), len(ends)])
        tasks = []
        for first, last in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            some = self._files[first:last]
            size = sum(file.size for file in some)
            facts = BlockMetadata(num_rows=None, size_bytes=size, input_files=None, exec_stats=None)
            tasks.append(ReadTask(partial(_blocks, some, self._read), facts))
        return tasks


def _blocks(files: Sequence[_File], read: _Read) -> Iterator[pa.Table]:
    rows: list[dict[str, Any]] = []
    for file in files:
        for row in read(file):
            rows.append(row)
            if len(rows) == _ROWS:
                yield _table(rows)
                rows = []
    yield _table(rows)


def _table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    kinds = [(ID, pa.string()), (LINE, pa.large_binary()), (PROBLEM, pa.string())]
    return pa.Table.from_pylist(list(rows), schema=pa.schema(kinds))


def _row(document: Document) -> dict[str, Any]:
    return {ID: document.id, LINE: to_line(with_json_metadata(document)), PROBLEM: ""}


def _problem(doc_id: str, reason: object) -> dict[str, Any]:
    return {ID: doc_id, LINE: b"", PROBLEM: str(reason) or type(reason).__name__}


def _documents(file: _File, settings: FileSettings) -> Iterator[dict[str, Any]]:
    """Read a file as ``index`` does: one document, or one a line."""
    corpus, source = Corpus((), settings), file.source
    try:
        if url_in(file.place):
            if source.ending not in LINES:
                check_size(file.size, settings)
            with file.open() as opened:
                source = replace(source, data=opened.read())
        corpus.look_at(source, alone=file.alone)
    except (UnreadableFileError, OSError) as error:
        corpus.report(source.id, error)
    yield from map(_row, corpus.documents())
    yield from (_problem(one.path, one.reason) for one in corpus.problems)


def _lines(file: _File) -> Iterator[dict[str, Any]]:
    """Read a file of a document a line; an id is ``_id`` or ``id``, and need not be there."""
    try:
        with file.open() as opened:
            for number, raw in enumerate(opened, 1):
                if raw.strip():
                    yield _of_line(raw, number, f"{file.place}, line {number}")
    except OSError as error:
        yield _problem(file.source.id, error.strerror or error)


def _ids(file: _File) -> Iterator[dict[str, Any]]:
    """Return the ids of the lines of a file that are documents."""
    yield from ({**row, LINE: b""} for row in _lines(file) if not row[PROBLEM])


def _of_line(raw: bytes, number: int, place: str) -> dict[str, Any]:
    doc_id = place
    try:
        fields = parse_object(raw, place)
        doc_id = str(fields.get("id", fields.get("_id", place)))
        return _row(as_document(fields, number))
    except InvalidInputError as error:
        return _problem(doc_id, str(error).removeprefix(f"{place}: "))
