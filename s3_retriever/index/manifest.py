"""The manifest of an index: which segments make it up, sealed by its own hash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_retriever.disk import hash_json
from s3_retriever.errors import IndexFormatError, InvalidInputError
from s3_retriever.index.layout import Layout
from s3_retriever.json_form import parse_json

FORMAT = "s3-retriever index"
VERSION = 8
MANIFEST = "manifest.json"


def manifest_content(
    header: Mapping[str, Any], layout: Layout, segments: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what a manifest holds, given what it says of each segment."""
    sizes = {field: list(getattr(layout, field)) for field in Layout.__dataclass_fields__}
    return {"header": dict(header), "layout": sizes, "segments": list(segments)}


def sealed_manifest(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest as it is written, with the hash of its content.

    Raises:
        InvalidInputError: Something in the content is not JSON.
    """
    try:
        content = json.loads(json.dumps(content, allow_nan=False))
    except (TypeError, ValueError) as error:
        msg = f"the header of an index must hold JSON values only ({error})"
        raise InvalidInputError(msg) from error
    return {"format": FORMAT, "version": VERSION, "sha256": hash_json(content), "content": content}


def parse_manifest(data: bytes, file: Path | str) -> dict[str, Any]:
    """Return a manifest's content, checked to be ours, of this version, and unaltered.

    Args:
        data: The manifest.
        file: Where it was read, for messages.

    Raises:
        IndexFormatError: It is not.
    """
    try:
        manifest = parse_json(data)
    except ValueError as error:
        msg = f"{file} is truncated or altered ({error}); build the index again"
        raise IndexFormatError(msg) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        msg = f"{file} is not the manifest of an index of this package"
        raise IndexFormatError(msg)
    if manifest.get("version") != VERSION:
        found = f"{file} has format version {manifest.get('version')!r}"
        msg = f"{found}, this release reads {VERSION}; index the documents again"
        raise IndexFormatError(msg)
    content = manifest.get("content")
    if not isinstance(content, dict) or manifest.get("sha256") != hash_json(content):
        msg = f"{file} was altered (its SHA-256 differs); restore it or build the index again"
        raise IndexFormatError(msg)
    try:
        json.dumps(content, allow_nan=False)
    except ValueError as error:
        msg = f"{file} holds a number that is not finite, which no save writes; build the index again"
        raise IndexFormatError(msg) from error
    return content
