"""Trains :class:`~s3_retriever.features.sae.TopKSAE`: the schedule, measurements, early stop, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.checkpoint import damaged, fingerprint, read_checkpoint, write_checkpoint
from s3_retriever.features.epochs import Epoch, Examination, stalled
from s3_retriever.features.metric import in_metric, metric_root
from s3_retriever.features.optimize import Training
from s3_retriever.features.sae import Floats, Quality, TopKSAE

# Rows on which the quality after training is measured: seconds less, and the fvu is stable to 0.001.
_MEASURED_ROWS = 65_536
_HELD_OUT_FRACTION = 0.05
_AT_LEAST = {
    "n_features": 1,
    "k": 1,
    "steps": 1,
    "batch_size": 1,
    "warmup": 0,
    "k_aux": 0,
    "aux_weight": 0,
    "dead_after": 1,
    "epoch_steps": 1,
    "patience": 1,
    "min_gain": 0,
    "seed": 0,
}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Attributes:
        n_features: Size of the dictionary, m.
        k: Active features per vector.
        steps: Optimiser steps, at most.
        batch_size: Vectors per step, drawn with replacement.
        learning_rate: Peak rate of Adam.
        warmup: Steps over which the rate rises linearly to its peak.
        cool_down: Share of ``steps`` over which, at the end, the rate falls linearly to zero.
        k_aux: Dead features that reconstruct the residual of each vector; 0 switches AuxK off.
        aux_weight: Weight of the AuxK loss (1/32 in arXiv 2406.04093).
        dead_after: A feature is dead when it was not picked for this many vectors.
        epoch_steps: Steps of an epoch, after which the run is measured and its checkpoint written.
        patience: The cool-down begins early when so many epochs together ...
        min_gain: ... lowered the held-out loss by less than this share of it; 0 switches that off.
        pursue: Whether the decoder learns for the features that matching pursuit picks, which an index
            stores; otherwise for the k largest activations, as in arXiv 2406.04093.
        query_metric: Whether errors count by how much they change scores: in the metric of the queries.
        seed: Fixes the split, the initial weights and the order of the vectors.

    Raises:
        InvalidInputError: A value is out of range.
    """

    n_features: int = 2048
    k: int = 7
    steps: int = 1500
    batch_size: int = 512
    learning_rate: float = 8e-3
    warmup: int = 100
    cool_down: float = 0.3
    k_aux: int = 8
    aux_weight: float = 1 / 32
    dead_after: int = 200_000
    epoch_steps: int = 100
    patience: int = 3
    min_gain: float = 0.005
    pursue: bool = True
    query_metric: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:
                msg = f"TrainConfig.{name} must be at least {least}, not {getattr(self, name)}"
                raise InvalidInputError(msg)
        if not self.learning_rate > 0:
            msg = f"TrainConfig.learning_rate must be positive, not {self.learning_rate}"
            raise InvalidInputError(msg)
        if not 0 <= self.cool_down <= 1:
            msg = f"TrainConfig.cool_down must lie between 0 and 1, not {self.cool_down}"
            raise InvalidInputError(msg)
        if self.n_features > 1 << 16 or self.k > self.n_features:
            msg = f"TrainConfig needs k <= n_features <= 65536, not k={self.k}, n_features={self.n_features}"
            raise InvalidInputError(msg)


@dataclass(frozen=True)
class TrainReport:
    """What a training run reached.

    Attributes:
        train: Quality on (at most 65,536 of) the vectors trained on.
        held_out: Quality on the 5 % of the vectors kept out (at most 65,536).
        epochs: The way there; the last one tells the steps taken and the seconds they took.
    """

    train: Quality
    held_out: Quality
    epochs: tuple[Epoch, ...]

    @property
    def steps(self) -> int:
        """Optimiser steps taken."""
        return self.epochs[-1].step

    @property
    def seconds(self) -> float:
        """Wall-clock time, interruptions left out."""
        return self.epochs[-1].seconds


def train_sae(
    keys: npt.NDArray[np.floating[Any]],
    config: TrainConfig | None = None,
    *,
    queries: npt.ArrayLike | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    progress: bool = False,
) -> tuple[TopKSAE, TrainReport]:
    """Train an SAE; the same arguments give the same SAE on the same machine, interrupted or not.

    The decoder minimises the mean of |(x - x_hat) R|^2 with x_hat of the features that are stored
    (:mod:`s3_retriever.features.pursuit`), the encoder with x_hat of its k largest activations; R is the
    identity, or :func:`~s3_retriever.features.metric.metric_root`. To that is added AuxK (arXiv 2406.04093,
    section 2.2): dead features reconstruct what the picked ones left over and so come back to life.

    Args:
        keys: float16 or float32 (n, d), centred and normalised.
        config: Settings; the defaults if None.
        queries: (n', d), as they meet these keys: centred and mapped. To measure with, and for the metric.
        checkpoint: File in which the run keeps its state after each epoch, and from which it goes on if the
            file is there. It stays when the run is complete, and then gives the result at once; who no longer
            needs it deletes it.
        on_epoch: Called after each epoch, when its checkpoint is written.
        progress: Show a progress bar.

    Raises:
        InvalidInputError: ``keys`` or ``queries`` have a wrong shape or values that are not finite, or the
            metric of the queries is asked for and there are none.
        CheckpointError: The checkpoint is damaged, or of a run with other settings, keys or queries.
    """
    config = config or TrainConfig()
    asked = _checked(keys, config, queries)
    order = np.random.default_rng([config.seed, 0]).permutation(len(keys))
    n_held_out = max(1, round(_HELD_OUT_FRACTION * len(keys)))
    held_out, rows = order[:n_held_out], order[n_held_out:]
    root = metric_root(asked) if config.query_metric and asked is not None else None
    training = Training(config, keys if root is None else keys.astype(np.float32) @ root, rows)

    def trained() -> TopKSAE:
        return training.sae() if root is None else in_metric(training.sae(), root)

    examination = Examination(keys[held_out], asked)
    epochs: list[Epoch] = []
    end = config.steps
    settings: dict[str, Any] = {}
    if checkpoint:
        settings = {**asdict(config), "keys": fingerprint(keys)}
        settings["queries"] = None if asked is None else fingerprint(asked)
        epochs, end = _resume(checkpoint, settings, training) or (epochs, end)

    began = time.perf_counter() - (epochs[-1].seconds if epochs else 0)
    with tqdm(total=end, initial=training.steps, desc="SAE", unit="step", disable=not progress) as bar:
        while training.steps < end:
            training.step(_rate(config, training.steps, end))
            bar.update()
            if training.steps % config.epoch_steps and training.steps < end:
                continue
            seconds = time.perf_counter() - began
            dead = float(training.dead.mean())
            epochs.append(examination.measure(trained(), training.steps, dead, seconds))
            end = bar.total = _end(config, epochs, end)
            bar.set_postfix(fvu=f"{epochs[-1].fvu:.4f}")
            if checkpoint:
                state = {"epochs": [asdict(epoch) for epoch in epochs], "end": end}
                write_checkpoint(checkpoint, settings, training.arrays(), state)
            if on_epoch:
                on_epoch(epochs[-1])
    sae = trained()
    train, rest = (sae.measure(keys[part[:_MEASURED_ROWS]]) for part in (rows, held_out))
    return sae, TrainReport(train, rest, tuple(epochs))


def _checked(
    keys: npt.NDArray[np.floating[Any]], config: TrainConfig, queries: npt.ArrayLike | None
) -> Floats | None:
    """Refuse keys and queries that cannot be used; return the queries as an array."""
    if keys.ndim != 2 or len(keys) < 2:
        msg = f"training needs keys of shape (n, d) with n >= 2, not {keys.shape}"
        raise InvalidInputError(msg)
    if not np.isfinite(keys).all():
        msg = "keys to train on hold values that are not finite; centre and normalise them in float32"
        raise InvalidInputError(msg)
    if queries is None:
        if config.query_metric:
            msg = "TrainConfig.query_metric needs queries: pass some, or train without the metric"
            raise InvalidInputError(msg)
        return None
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    if asked.ndim != 2 or asked.shape[1] != keys.shape[1]:
        msg = (
            f"queries for keys of shape {keys.shape} must have shape (n, {keys.shape[1]}), not {asked.shape}"
        )
        raise InvalidInputError(msg)
    return asked


def _resume(path: Path, settings: dict[str, Any], training: Training) -> tuple[list[Epoch], int] | None:
    """Bring a run to where its checkpoint stopped; returns its epochs and its last step."""
    found = read_checkpoint(path, settings)
    if found is None:
        return None
    arrays, state = found
    try:
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        training.restore(arrays, epochs[-1].step)
        return epochs, int(state["end"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


def _rate(config: TrainConfig, step: int, end: int) -> float:
    """Return the rate after ``step`` steps: up linearly, level, and down linearly to zero at ``end``."""
    fall = max(1.0, config.cool_down * config.steps)
    return config.learning_rate * min((step + 1) / (config.warmup + 1), 1.0, (end - step) / fall)


def _end(config: TrainConfig, epochs: list[Epoch], end: int) -> int:
    """Return the last step: moved to the end of a cool-down from here, if the run stalls before its own."""
    if not config.min_gain:
        return end
    early = epochs[-1].step + round(config.cool_down * config.steps)
    losses = [epoch.loss if config.query_metric else epoch.fvu for epoch in epochs]
    return early if early < end and stalled(losses, config.patience, config.min_gain) else end
