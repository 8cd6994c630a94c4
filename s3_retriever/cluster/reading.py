"""Files and folders to a dataset of documents, read by Ray Data: Parquet, JSON lines, and plain text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import ray.data
from ray.data import Dataset

from s3_retriever.errors import InvalidInputError
from s3_retriever.names import DATASET_FORMATS
from s3_retriever.sources.jsonl import parse_object


def read_sources(sources: Sequence[str], kind: str = "") -> Dataset:
    """Return the documents of files and folders, on disks that all machines see or at URLs.

    Args:
        sources: Paths or URLs.
        kind: What is in them, one of ``DATASET_FORMATS``; empty: what their endings say, ``.parquet``,
            ``.jsonl``, else text.

    Raises:
        InvalidInputError: There is no such format, or no source.
        OSError: A source is not there.
    """
    if kind not in ("", *DATASET_FORMATS) or not sources:
        msg = (
            f"format must be one of {', '.join(DATASET_FORMATS)}, and a source is needed; "
            f"not {kind!r}, {sources!r}"
        )
        raise InvalidInputError(msg)
    parts = [_READERS[kind or _kind_of(source)](source) for source in sources]
    return reduce(lambda one, other: one.union(other), parts)


def _kind_of(source: str) -> str:
    ending = source.rstrip("/").rpartition(".")[2]
    return ending if ending in ("parquet", "jsonl") else "text"


def _parquet(source: str) -> Dataset:
    return ray.data.read_parquet(source)


def _jsonl(source: str) -> Dataset:
    # Not read_json: it would give each row's metadata the keys of all rows.
    return ray.data.read_text(source, include_paths=True).map(_of_line, num_cpus=_READING)


def _text(source: str) -> Dataset:
    return ray.data.read_binary_files(source, include_paths=True).map(_of_file, num_cpus=_READING)


_READING = 0.2
_READERS: dict[str, Callable[[str], Dataset]] = {"parquet": _parquet, "jsonl": _jsonl, "text": _text}


def _of_line(row: dict[str, Any]) -> dict[str, Any]:
    fields = parse_object(row["text"].encode("utf-8", "surrogatepass"), str(row["path"]))
    doc_id = fields.pop("_id", None) or fields.pop("id", None)
    text, title, metadata = (fields.pop(name, None) for name in ("text", "title", "metadata"))
    if not isinstance(text, str) or not isinstance(title or "", str):
        text = title = None  # a column has one type; the row is refused by its id
    if metadata is None or isinstance(metadata, dict):
        metadata = {**fields, **(metadata or {})}
    return {
        "id": None if doc_id is None else str(doc_id),
        "text": text,
        "title": title or "",
        "metadata": json.dumps(metadata),
    }


def _of_file(row: dict[str, Any]) -> dict[str, Any]:
    path = str(row["path"])
    try:
        text = bytes(row["bytes"]).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 (byte {error.start + 1}); convert the file"
        raise InvalidInputError(msg) from error
    return {"id": path, "text": text, "title": path.rpartition("/")[2], "metadata": "{}"}
