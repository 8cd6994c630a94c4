"""Named arrays in one file that can be mapped: safetensors, without the library's copy in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.durable import create
from s3_retriever.errors import IndexFormatError
from s3_retriever.index.documents import INDEX_AGAIN
from s3_retriever.json_form import parse_json

Array = npt.NDArray[Any]

_TYPES = {"U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "I32": "<i4", "I64": "<i8"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
_ALIGNMENT = 8


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays of whole numbers to a new file.

    Args:
        path: The file, which does not exist; its folder is one that ``disk.new_folder`` gave.
        arrays: By name. Those of large items come first, so that all are aligned.

    Raises:
        DiskFullError: There is no room.
        OSError: It cannot be written.
    """
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
    entries, begin = {}, 0
    for name, values in ordered:
        end = begin + values.nbytes
        entries[name] = {
            "dtype": _NAMES[values.dtype],
            "shape": list(values.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    with create(path, wanted=8 + len(header) + begin) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for _, values in ordered:
            file.write(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)


def map_arrays(path: Path, names: Collection[str]) -> dict[str, Array]:
    """Map the arrays of a file, read-only.

    Args:
        path: What :func:`write_arrays` wrote.
        names: Of its arrays.

    Raises:
        IndexFormatError: It holds something else; names the file.
        OSError: It cannot be read.
    """
    try:
        data = np.asarray(np.memmap(path, np.uint8, "r"))
        first = 8 + int.from_bytes(data[:8].tobytes(), "little")
        header = parse_json(data[8:first].tobytes())
        if set(header) != set(names):
            msg = f"it holds {', '.join(sorted(header))}"
            raise ValueError(msg)
        arrays = {name: _view(data[first:], entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        msg = f"{path} does not hold the arrays of a segment ({error}); {INDEX_AGAIN}"
        raise IndexFormatError(msg) from error
    return arrays


def read_array(read: Callable[[int, int], bytes], path: Path, name: str) -> Array:
    """Read one array of a file and no others.

    Args:
        read: Returns the file's bytes from one place to another.
        path: The file, for messages.
        name: Of the array.

    Raises:
        IndexFormatError: It holds no such array.
    """
    try:
        first = 8 + int.from_bytes(read(0, 8), "little")
        entry = parse_json(read(8, first))[name]
        begin, end = entry["data_offsets"]
        data = np.frombuffer(read(first + begin, first + end), np.uint8)
        return _view(data, {**entry, "data_offsets": [0, end - begin]})
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        msg = f"{path} has no array {name!r} that can be read ({error}); {INDEX_AGAIN}"
        raise IndexFormatError(msg) from error


def _view(data: Array, entry: Mapping[str, Any]) -> Array:
    begin, end = entry["data_offsets"]
    dtype, shape = np.dtype(_TYPES[entry["dtype"]]), tuple(entry["shape"])
    sizes = (begin, end, *shape)
    if not all(isinstance(size, int) and size >= 0 for size in sizes) or begin % dtype.itemsize:
        msg = f"an array of shape {shape} at {begin} to {end}"
        raise ValueError(msg)
    if end > len(data) or end - begin != math.prod(shape) * dtype.itemsize:
        msg = f"an array of shape {shape} at {begin} to {end} of {len(data)} bytes"
        raise ValueError(msg)
    values: Array = data[begin:end].view(dtype).reshape(shape)
    return values
