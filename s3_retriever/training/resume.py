"""What an interrupted run leaves on disk, so that the same command goes on where it stopped.

A checkpoint is one safetensors file of arrays; its metadata holds the settings of the run and the rest of its
state as JSON. A training folder holds the keys that the host gave, and a checkpoint per tap. One run at a
time may use it, and goes on only with the settings and data that it began with.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from s3_retriever.disk import write_file, write_json
from s3_retriever.durable import create, remove, sync_tree
from s3_retriever.encode.folder_format import pack_tensors
from s3_retriever.errors import CheckpointError
from s3_retriever.host.scan import Keys, ScannedPiece
from s3_retriever.host.taps import Tap
from s3_retriever.json_form import parse_json

FORMAT_VERSION = 1

_MANIFEST = "keys.json"
_DTYPE = np.dtype("<f2")

Arrays = dict[str, npt.NDArray[Any]]


def write_checkpoint(
    path: Path, settings: Mapping[str, Any], arrays: Arrays, state: Mapping[str, Any]
) -> None:
    """Write a checkpoint in place of an older one.

    Args:
        path: The file; its folder exists.
        settings: What the run depends on, JSON-able; of data, a hash.
        arrays: State that is arrays.
        state: Other state, JSON-able.

    Raises:
        OSError: It cannot be written.
    """
    metadata = {"version": FORMAT_VERSION, "settings": settings, "state": state}
    text = {name: json.dumps(value, allow_nan=False) for name, value in metadata.items()}
    write_file(path, pack_tensors(arrays, text))


def read_checkpoint(path: Path, settings: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]] | None:
    """Return arrays and state of a checkpoint, or None if there is none.

    Raises:
        CheckpointError: It is damaged, of another version, or of a run with other settings or data.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = {name: parse_json(value) for name, value in (file.metadata() or {}).items()}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        version, found, state = (metadata[name] for name in ("version", "settings", "state"))
        found = dict(found)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
    require_same(path, {"version": version, **found}, {"version": FORMAT_VERSION, **settings})
    return arrays, state


def require_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that began with other settings.

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


@dataclass(frozen=True)
class TrainingFolder:
    """Raw keys of a scan, a file per tap, and beside them a checkpoint per tap.

    Attributes:
        path: The folder.
        taps: The taps.
        n_keys: Keys of each tap.
        dim: Dimension of a key, d; 0 if there are no keys.
    """

    path: Path
    taps: tuple[Tap, ...]
    n_keys: int
    dim: int

    @classmethod
    def collect(
        cls,
        path: Path,
        scanned: Iterable[ScannedPiece[Keys]],
        taps: Sequence[Tap],
        max_tokens: int,
        settings: Mapping[str, Any],
    ) -> TrainingFolder:
        """Open a folder; if it has no keys yet, write those of the first ``max_tokens`` tokens to it.

        Memory holds one piece of the scan at a time. Keys of an interrupted scan do not count; the next run
        scans again.

        Args:
            path: The folder; made if it is missing.
            scanned: What the scan yields; not touched if the keys are there.
            taps: Taps of the scan.
            max_tokens: Tokens to read.
            settings: Other settings that the keys depend on, JSON-able: the host, the text, how it is cut.

        Raises:
            CheckpointError: The folder's keys are of other taps, tokens or settings, or are damaged.
            OSError: They cannot be written.
        """
        wanted = {**settings, "taps": [str(tap) for tap in taps], "max_tokens": max_tokens}
        manifest = path / _MANIFEST
        if manifest.exists():
            n, dim = _read_manifest(manifest, wanted)
            return cls(path, tuple(taps), n, dim)
        path.mkdir(parents=True, exist_ok=True)
        n, dim = 0, 0
        with contextlib.ExitStack() as stack:
            for tap in taps:
                remove(_keys_file(path, tap))  # of a scan that was interrupted
            files = [stack.enter_context(create(_keys_file(path, tap))) for tap in taps]
            for piece in scanned:
                keys = piece.keys[: max_tokens - n].astype(_DTYPE)
                n, dim = n + len(keys), keys.shape[-1]
                for t, file in enumerate(files):
                    file.write(keys[:, t].tobytes())
                if n >= max_tokens:
                    break
        sync_tree(path)  # before the manifest says that they are there
        write_json(manifest, {"version": FORMAT_VERSION, "settings": wanted, "n_keys": n, "dim": dim})
        return cls(path, tuple(taps), n, dim)

    def keys(self, tap: Tap) -> npt.NDArray[np.float16]:
        """Read the raw keys of a tap, float16 (n, d).

        Raises:
            CheckpointError: The file is missing or of another length.
        """
        file = _keys_file(self.path, tap)
        try:
            return np.fromfile(file, _DTYPE).reshape(self.n_keys, self.dim)
        except (OSError, ValueError) as error:
            msg = f"{file} is damaged ({error}); delete {self.path / _MANIFEST} to scan again"
            raise CheckpointError(msg) from error

    def checkpoint(self, tap: Tap) -> Path:
        """Where the training of a tap keeps its state."""
        return self.path / f"sae-{tap}.safetensors"

    def remove(self) -> None:
        """Delete what a run left here, and the folder unless something else is in it.

        Raises:
            OSError: A file cannot be deleted.
        """
        (self.path / _MANIFEST).unlink(missing_ok=True)  # first: what remains no longer counts
        for tap in self.taps:
            _keys_file(self.path, tap).unlink(missing_ok=True)
            self.checkpoint(tap).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _keys_file(path: Path, tap: Tap) -> Path:
    return path / f"keys-{tap}.f16"


def _read_manifest(path: Path, settings: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of keys and their dimension, if they are of a scan with these settings."""
    try:
        found = parse_json(path.read_bytes())
        version, n, dim = found["version"], int(found["n_keys"]), int(found["dim"])
        made_with = {"version": version, **found["settings"]}
    except (OSError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(path, error) from error
    require_same(path, made_with, {"version": FORMAT_VERSION, **settings})
    return n, dim
