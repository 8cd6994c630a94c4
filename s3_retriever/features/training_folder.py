"""The folder of a training run: keys that the host gave, and how far the SAE of each tap has come.

An interrupted run finds its keys here and need not run the host again; taps that are trained are not trained
again, and the one that was under way goes on from its last epoch. One run at a time may use a folder.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import CheckpointError
from s3_retriever.features.checkpoint import damaged, require_same, write_whole
from s3_retriever.features.epochs import Epoch
from s3_retriever.features.sae import Floats, TopKSAE, center_and_normalize
from s3_retriever.features.train import TrainConfig, TrainReport, train_sae
from s3_retriever.host.scan import ScannedPiece
from s3_retriever.host.taps import Tap

FORMAT_VERSION = 1

_MANIFEST = "keys.json"
_DTYPE = np.dtype("<f2")


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
        scanned: Iterable[ScannedPiece],
        taps: Sequence[Tap],
        max_tokens: int,
        settings: Mapping[str, Any],
    ) -> TrainingFolder:
        """Open a folder; if it has no keys yet, write those of the first ``max_tokens`` tokens to it.

        Keys go to disk as they come, so that memory holds a piece at a time. A scan that is interrupted
        leaves keys that do not count; the next run begins it anew.

        Args:
            path: The folder; made if it is not there.
            scanned: What the scan yields; not touched if the keys are there.
            taps: Its taps.
            max_tokens: Tokens to read.
            settings: What else the keys depend on, JSON-able: the host, the text, how it is cut.

        Raises:
            CheckpointError: The folder's keys are of other taps, tokens or settings, or are damaged.
            OSError: They cannot be written.
        """
        wanted = {**settings, "taps": [str(tap) for tap in taps], "max_tokens": max_tokens}
        found = cls._open(path, tuple(taps), wanted)
        if found:
            return found
        path.mkdir(parents=True, exist_ok=True)
        n, dim = 0, 0
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(_keys_file(path, tap).open("wb")) for tap in taps]
            for piece in scanned:
                keys = piece.keys[: max_tokens - n].astype(_DTYPE)
                n, dim = n + len(keys), keys.shape[-1]
                for t, file in enumerate(files):
                    file.write(keys[:, t].tobytes())
                if n >= max_tokens:
                    break
        manifest = {"version": FORMAT_VERSION, "settings": wanted, "n_keys": n, "dim": dim}
        write_whole(path / _MANIFEST, json.dumps(manifest, indent=1).encode())
        return cls(path, tuple(taps), n, dim)

    @classmethod
    def _open(cls, path: Path, taps: tuple[Tap, ...], wanted: Mapping[str, Any]) -> TrainingFolder | None:
        file = path / _MANIFEST
        if not file.exists():
            return None
        try:
            manifest = json.loads(file.read_bytes())
            version, settings = manifest["version"], manifest["settings"]
            n, dim = int(manifest["n_keys"]), int(manifest["dim"])
            require_same(file, {"version": version, **settings}, {"version": FORMAT_VERSION, **wanted})
        except CheckpointError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise damaged(file, error) from error
        return cls(path, taps, n, dim)

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


class TrainedTap(NamedTuple):
    """One tap's result.

    Attributes:
        tap: The tap.
        mean: By which its keys were centred, float32 (d,).
        sae: Trained on the centred, normalised keys.
        report: How that went.
    """

    tap: Tap
    mean: Floats
    sae: TopKSAE
    report: TrainReport


def train_taps(
    folder: TrainingFolder,
    config: TrainConfig | None = None,
    *,
    means: Mapping[Tap, Floats] | None = None,
    queries: Mapping[Tap, Floats] | None = None,
    on_epoch: Callable[[Tap, Epoch], None] | None = None,
    progress: bool = False,
) -> list[TrainedTap]:
    """Train an SAE for each tap, one after the other; memory holds one tap's keys at a time.

    The folder stays as it is: :meth:`TrainingFolder.remove` it when the result is saved.

    Args:
        folder: Keys, and where the runs keep their checkpoints.
        config: Settings of every SAE; the defaults if None.
        means: By which to centre keys, float32 (d,); a tap without one is centred by the mean of its keys.
        queries: Centred and mapped queries of each tap, float32 (n, d); see :func:`train_sae`.
        on_epoch: Called with the tap after each epoch.
        progress: Show a progress bar for each tap.

    Raises:
        InvalidInputError: As :func:`train_sae`.
        CheckpointError: Likewise; or a file of keys is damaged.
    """
    trained = []
    for tap in folder.taps:
        keys, mean = folder.keys(tap), (means or {}).get(tap)
        if mean is None:
            mean = keys.mean(axis=0, dtype=np.float64).astype(np.float32)

        def report_epoch(epoch: Epoch, tap: Tap = tap) -> None:
            if on_epoch:
                on_epoch(tap, epoch)

        sae, report = train_sae(
            center_and_normalize(keys, mean),
            config,
            queries=(queries or {}).get(tap),
            checkpoint=folder.checkpoint(tap),
            on_epoch=report_epoch,
            progress=progress,
        )
        trained.append(TrainedTap(tap, mean, sae, report))
    return trained


def _keys_file(path: Path, tap: Tap) -> Path:
    return path / f"keys-{tap}.f16"
