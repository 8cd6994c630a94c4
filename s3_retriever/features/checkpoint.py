"""What an interrupted run leaves, so that the same command goes on where it stopped.

One safetensors file: arrays, and in its metadata, as JSON, the settings of the run and the rest of its
state. It appears complete or not at all. A run goes on only with the settings and data it began with.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_tensors

from s3_retriever.errors import CheckpointError

FORMAT_VERSION = 1

Arrays = dict[str, npt.NDArray[Any]]


def write_checkpoint(
    path: Path, settings: Mapping[str, Any], arrays: Arrays, state: Mapping[str, Any]
) -> None:
    """Write a checkpoint in place of an older one.

    Args:
        path: The file; its folder exists.
        settings: What the run depends on, JSON-able; :func:`fingerprint` stands for data.
        arrays: State that is arrays.
        state: The rest of it, JSON-able.

    Raises:
        OSError: It cannot be written.
    """
    metadata = {"version": FORMAT_VERSION, "settings": settings, "state": state}
    text = {name: json.dumps(value, allow_nan=False) for name, value in metadata.items()}
    write_whole(path, save_tensors(arrays, text))


def read_checkpoint(path: Path, settings: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]] | None:
    """Return arrays and state of a checkpoint, or None if there is none.

    Raises:
        CheckpointError: It is damaged, of another version, or of a run with other settings or data.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        version, found, state = (metadata[name] for name in ("version", "settings", "state"))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise damaged(path, error) from error
    require_same(path, {"version": version, **found}, {"version": FORMAT_VERSION, **settings})
    return arrays, state


def require_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that began otherwise.

    Raises:
        CheckpointError: Names the settings that differ, with both values.
    """
    wanted = json.loads(json.dumps(wanted))
    different = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if different:
        listed = ", ".join(f"{name} was {found.get(name)!r}, now {wanted.get(name)!r}" for name in different)
        msg = f"{path} is of a run that began otherwise ({listed}): use the same again, or delete {path.name}"
        raise CheckpointError(msg)


def damaged(path: Path, error: Exception) -> CheckpointError:
    """Return the error to raise for a file that cannot be read."""
    return CheckpointError(f"{path} is damaged ({type(error).__name__}: {error}); delete it to start again")


def fingerprint(array: npt.NDArray[Any]) -> str:
    """Return 16 hexadecimal digits for an array's type, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that survives a crash either as it was or as it shall be.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
