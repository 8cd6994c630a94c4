"""Saved indexes as an attacker would write them: some value is another, and every hash is right."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

DEEP = "[" * 200_000
TEXTS = ["x", "../..", "\ud800", "a\nb"]
VALUES = [None, True, 0, -1, 2**63, 10**30, float("inf"), float("nan"), [], {}, [[[]]], *TEXTS]
TYPES = ["<f4", "<f8", "<i8", "|u1", "<i4", "<u2", "|b1", "<u8"]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a value of JSON, and to itself."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def changed_json(chance: random.Random, value: Any) -> Any:
    """Return a value with something in it replaced or left out."""
    *way, last = chance.choice([place for place in places(value) if place] or [("whole",)])
    if last == "whole" or chance.random() < 0.1:
        return chance.choice(VALUES)
    inner = value
    for key in way:
        inner = inner[key]
    if chance.random() < 0.1:
        del inner[last]
    else:
        inner[last] = chance.choice(VALUES)
    return value


def changed_array(chance: random.Random, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array with other values, of another type, or of another shape."""
    array = np.array(array)
    how = chance.choice(["value"] * 5 + ["type", "flat", "short", "long", "empty", "single"])
    if how == "value" and array.size:
        whole = array.dtype.kind in "iu"
        extremes = [np.iinfo(array.dtype).max, np.iinfo(array.dtype).min] if whole else [np.nan, np.inf]
        for _ in range(chance.choice([1, 1, 4])):
            array.ravel()[chance.randrange(array.size)] = chance.choice([*extremes, 0, 1, 2, 100])
    elif how == "type":
        array = array.astype(chance.choice(TYPES))
    elif how == "flat":
        array = array.reshape(1, -1)
    elif how == "short":
        array = array[:-1]
    elif how == "long":
        array = np.concatenate([array, array[-1:]])
    elif how == "empty":
        array = array[:0]
    elif how == "single" and array.size:
        array = array.ravel()[:1].reshape(())
    return array


def read_arrays(segment: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a segment."""
    return dict(load_tensors((segment / "arrays.safetensors").read_bytes()))


def write_arrays(segment: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write the arrays of a segment."""
    data = save_tensors({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    (segment / "arrays.safetensors").write_bytes(data)


def sign(index: Path, content: Any) -> None:
    """Write a manifest over the files as they are now, with their hashes and its own."""
    for entry in content["segments"] if isinstance(content, dict) else ():
        folder = index / "segments" / entry["name"]
        for name in entry["files"]:
            data = (folder / name).read_bytes()
            entry["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_manifest(index, content)


def write_manifest(index: Path, content: Any) -> None:
    path = index / "manifest.json"
    sha256 = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "content": content, "sha256": sha256}), encoding="utf-8")


def forge(chance: random.Random, saved: Path) -> str:
    """Change one thing in a saved index and sign it again; return what was changed."""
    index, artifact = saved / "index", saved / "artifact"
    content = json.loads((index / "manifest.json").read_text(encoding="utf-8"))["content"]
    segment = index / "segments" / chance.choice(content["segments"])["name"]
    kinds = ["array"] * 6 + ["manifest"] * 2 + ["header", "ids", "line", "columns", "artifact", "tensor"]
    kind = chance.choice(kinds)
    if kind == "manifest":
        write_manifest(index, changed_json(chance, content))
        return kind
    if kind == "header":
        path = segment / "arrays.safetensors"
        data = bytearray(path.read_bytes())
        data[chance.randrange(int.from_bytes(data[:8], "little") + 8)] = chance.randrange(256)
        path.write_bytes(data)
    elif kind in ("array", "ids", "line", "columns"):
        arrays = read_arrays(segment)
        if kind == "array":
            kind = chance.choice(sorted(arrays))
            arrays[kind] = changed_array(chance, arrays[kind])
        elif kind == "ids":
            ids = changed_json(chance, json.loads(arrays["ids"].tobytes()))
            arrays["ids"] = as_bytes(chance.choice([json.dumps(ids), DEEP, "nul"]).encode())
        elif kind == "line":
            old = (segment / "documents.jsonl").read_bytes()
            new, arrays["document_offsets"] = changed_line(chance, old, arrays["document_offsets"])
            (segment / "documents.jsonl").write_bytes(new)
        else:
            old = arrays["metadata_json"].tobytes()
            new, arrays["metadata_lines"] = changed_line(chance, old, arrays["metadata_lines"])
            arrays["metadata_json"] = as_bytes(new)
        write_arrays(segment, arrays)
    else:
        forge_artifact(chance, artifact, kind)
        return kind
    sign(index, content)
    return kind


def changed_line(
    chance: random.Random, data: bytes, pointers: np.ndarray[Any, Any]
) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Return lines of JSON of which one is another, and where each begins and ends."""
    lines = [data[begin:end] for begin, end in itertools.pairwise(pointers)]
    number = chance.randrange(len(lines))
    new = json.dumps(changed_json(chance, json.loads(lines[number]))).encode()
    lines[number] = chance.choice([new, new, DEEP.encode(), b"\xff\xfe"]) + b"\n"
    return b"".join(lines), np.cumsum([0, *map(len, lines)], dtype=np.int64)


def as_bytes(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, np.uint8)


def forge_artifact(chance: random.Random, artifact: Path, kind: str) -> None:
    path, tensors_path = artifact / "artifact.json", artifact / "artifact.safetensors"
    header = json.loads(path.read_text(encoding="utf-8"))
    if kind == "artifact":
        text = chance.choice([json.dumps(changed_json(chance, header))] * 4 + [DEEP])
    else:
        tensors = load_tensors(tensors_path.read_bytes())
        name = chance.choice(sorted(tensors))
        array = changed_array(chance, tensors[name])
        if array.dtype.kind in "iuf" and array.dtype.isnative:  # what safetensors can write
            tensors[name] = np.ascontiguousarray(array)
        data = save_tensors(tensors)
        tensors_path.write_bytes(data)
        text = json.dumps({**header, "tensors_sha256": hashlib.sha256(data).hexdigest()})
    path.write_text(text, encoding="utf-8")
