"""Trains a :class:`~s3_retriever.encode.sae.TopKSAE`: the schedule, measurements, early stop, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from s3_retriever.checks import check_settings, number, whole
from s3_retriever.disk import hash_values
from s3_retriever.encode.sae import Floats, Quality, TopKSAE, unexplained
from s3_retriever.errors import InvalidInputError
from s3_retriever.training.optimize import SAETrainer, in_metric, metric_root, second_moment
from s3_retriever.training.resume import damaged, read_checkpoint, write_checkpoint

# Rows on which the quality after training is measured: it takes seconds less, and the fvu is stable to 0.001.
_MEASURED_ROWS = 65_536
_HELD_OUT_FRACTION = 0.05
# Keys and queries that an epoch is measured on; that takes a third of a second.
_KEYS = 4096
_QUERIES = 256
# Best keys of a query that are compared, at most, and as a share of all keys.
_HITS = 64
_HIT_SHARE = 1 / 16


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
        epoch_steps: Steps of an epoch. After each the run is measured and its checkpoint written.
        patience: Epochs without gain after which the cool-down begins early.
        min_gain: Share by which these epochs together must lower the held-out loss; 0 never stops early.
        pursue: Whether the decoder learns for the features that matching pursuit picks, which an index
            stores; otherwise for the k largest activations, as in arXiv 2406.04093.
        query_metric: Whether errors count by how much they change scores, in the metric of the queries.
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
        check_settings(self, n_features=whole(1, 1 << 16))
        check_settings(
            self,
            k=whole(1, self.n_features),
            steps=whole(1),
            batch_size=whole(1),
            learning_rate=number(above=0),
            warmup=whole(),
            cool_down=number(0, 1),
            k_aux=whole(),
            aux_weight=number(0),
            dead_after=whole(1),
            epoch_steps=whole(1),
            patience=whole(1),
            min_gain=number(0),
            seed=whole(),
        )


@dataclass(frozen=True)
class Epoch:
    """State of a run after an epoch, measured on at most 4,096 held-out keys, as an index stores them.

    Attributes:
        step: Optimiser steps taken.
        fvu: Fraction of variance unexplained.
        fvu_metric: The same in the metric of the queries; None without queries.
        l0: Mean number of active features per key.
        dead_fraction: Share of the features picked for none of the last ``dead_after`` vectors trained on.
        recall_kept: Share of the 64 keys (or a sixteenth of all) with the largest q·x that are also among the
            64 with the largest q·x_hat; mean over at most 256 queries. None without queries.
        seconds: Spent on the run so far, without interruptions.
    """

    step: int
    fvu: float
    fvu_metric: float | None
    l0: float
    dead_fraction: float
    recall_kept: float | None
    seconds: float

    @property
    def loss(self) -> float:
        """The fvu in the metric of the queries, or without queries the plain one."""
        return self.fvu if self.fvu_metric is None else self.fvu_metric


@dataclass(frozen=True)
class TrainReport:
    """What a training run reached.

    Attributes:
        quality: On the 5 % of the keys that were held out (at most 65,536).
        epochs: In order. The last one has the steps taken and the seconds they took.
    """

    quality: Quality
    epochs: tuple[Epoch, ...]


def train_sae(
    keys: npt.NDArray[np.floating[Any]],
    config: TrainConfig | None = None,
    *,
    queries: npt.ArrayLike | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    show_progress: bool = False,
) -> tuple[TopKSAE, TrainReport]:
    """Train an SAE; the same arguments give the same SAE on the same machine, interrupted or not.

    The loss is the mean of |(x - x_hat) R|^2. For the decoder, x_hat is made of the features that are stored
    (:mod:`s3_retriever.encode.pursuit`); for the encoder, of its k largest activations. R is the identity, or
    :func:`~s3_retriever.training.optimize.metric_root`. AuxK (arXiv 2406.04093, section 2.2) is added: dead
    features reconstruct the residual and so come back to life.

    Args:
        keys: float16 or float32 (n, d), centred and normalised.
        config: Settings; the defaults if None.
        queries: (n', d), as they meet these keys: centred and mapped. For measuring, and for the metric.
        checkpoint: File in which the run keeps its state after each epoch, and from which it goes on if the
            file exists. It stays when the run is complete, and then gives the result at once. The caller
            deletes it.
        on_epoch: Called after each epoch, when its checkpoint is written.
        show_progress: Show a progress bar.

    Raises:
        InvalidInputError: ``keys`` or ``queries`` have a wrong shape or values that are not finite, or the
            metric of the queries is asked for and there are none.
        CheckpointError: The checkpoint is damaged, or of a run with other settings, keys or queries.
    """
    config = config or TrainConfig()
    queries = _checked(keys, config, queries)
    order = np.random.default_rng([config.seed, 0]).permutation(len(keys))
    n_held_out = max(1, round(_HELD_OUT_FRACTION * len(keys)))
    held_out_rows, rows = order[:n_held_out], order[n_held_out:]
    root = metric_root(queries) if config.query_metric and queries is not None else None
    trainer = SAETrainer(config, keys if root is None else keys.astype(np.float32) @ root, rows)

    def trained() -> TopKSAE:
        return trainer.sae() if root is None else in_metric(trainer.sae(), root)

    examination = _Examination(keys[held_out_rows], queries)
    epochs: list[Epoch] = []
    end = config.steps
    settings: dict[str, Any] = {}
    if checkpoint:
        settings = {**asdict(config), "keys": hash_values(keys)[:16]}
        settings["queries"] = None if queries is None else hash_values(queries)[:16]
        epochs, end = _resume(checkpoint, settings, trainer) or (epochs, end)

    began = time.perf_counter() - (epochs[-1].seconds if epochs else 0)
    with tqdm(total=end, initial=trainer.steps, desc="SAE", unit="step", disable=not show_progress) as bar:
        while trainer.steps < end:
            trainer.step(_rate(config, trainer.steps, end))
            bar.update()
            if trainer.steps % config.epoch_steps and trainer.steps < end:
                continue
            seconds = time.perf_counter() - began
            dead = float(trainer.dead.mean())
            epochs.append(examination.measure(trained(), trainer.steps, dead, seconds))
            end = bar.total = _end(config, epochs, end)
            bar.set_postfix(fvu=f"{epochs[-1].fvu:.4f}")
            if checkpoint:
                state = {"epochs": [asdict(epoch) for epoch in epochs], "end": end}
                write_checkpoint(checkpoint, settings, trainer.arrays(), state)
            if on_epoch:
                on_epoch(epochs[-1])
    sae = trained()
    return sae, TrainReport(sae.measure(keys[held_out_rows[:_MEASURED_ROWS]]), tuple(epochs))


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
    rows = np.ascontiguousarray(queries, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != keys.shape[1]:
        msg = f"queries for keys of shape {keys.shape} must have shape (n, {keys.shape[1]}), not {rows.shape}"
        raise InvalidInputError(msg)
    return rows


class _Examination:
    """Keys, and the queries that look for them, on which a run is measured after each epoch.

    Args:
        keys: Held out of training, float16 or float32 (n, d), n >= 1.
        queries: Centred and mapped, float32 (n', d), n' >= 1.
    """

    def __init__(self, keys: npt.NDArray[np.floating], queries: Floats | None = None) -> None:
        self._keys: Floats = keys[:_KEYS].astype(np.float32)
        self._queries = self._metric = self._hits = None
        if queries is not None:
            self._metric = second_moment(queries)
            self._queries = queries[:: -(-len(queries) // _QUERIES)]
            self._hits = self._find(self._keys)

    def measure(self, sae: TopKSAE, step: int, dead_fraction: float, seconds: float) -> Epoch:
        """Measure an SAE; the other arguments are those of its training."""
        codes = sae.encode_unit(self._keys)
        x_hat = sae.reconstruct(codes)
        metric, recall = None, None
        if self._hits is not None:
            metric = unexplained(self._keys, x_hat, self._metric)
            recall = float((self._hits & self._find(x_hat)).sum() / self._hits.sum())
        l0 = float(np.count_nonzero(codes.weights) / len(self._keys))
        fvu = unexplained(self._keys, x_hat)
        return Epoch(step, fvu, metric, l0, dead_fraction, recall, seconds)

    def _find(self, keys: Floats) -> npt.NDArray[np.bool_]:
        """Mark the hits of each query, bool (queries, n); of equal scores, earlier keys win."""
        assert self._queries is not None  # noqa: S101
        n = max(1, min(_HITS, int(_HIT_SHARE * len(keys))))
        best = np.argsort(-(self._queries @ keys.T), axis=1, kind="stable")[:, :n]
        hits = np.zeros((len(best), len(keys)), np.bool_)
        np.put_along_axis(hits, best, True, axis=1)
        return hits


def _resume(path: Path, settings: dict[str, Any], trainer: SAETrainer) -> tuple[list[Epoch], int] | None:
    """Bring a run to where its checkpoint stopped; returns its epochs and its last step."""
    found = read_checkpoint(path, settings)
    if found is None:
        return None
    arrays, state = found
    try:
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        trainer.restore(arrays, epochs[-1].step)
        return epochs, int(state["end"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


def _rate(config: TrainConfig, step: int, end: int) -> float:
    """Return the rate after ``step`` steps: up linearly, level, and down linearly to zero at ``end``."""
    fall = max(1.0, config.cool_down * config.steps)
    return config.learning_rate * min((step + 1) / (config.warmup + 1), 1.0, (end - step) / fall)


def _end(config: TrainConfig, epochs: list[Epoch], end: int) -> int:
    """Return the last step; it moves to the end of a cool-down from here if the run stalls."""
    if not config.min_gain:
        return end
    early = epochs[-1].step + round(config.cool_down * config.steps)
    losses = [epoch.loss if config.query_metric else epoch.fvu for epoch in epochs]
    return early if early < end and stalled(losses, config.patience, config.min_gain) else end


def stalled(losses: Sequence[float], patience: int, min_gain: float) -> bool:
    """Return whether ``patience`` epochs in a row lowered the loss by less than its share ``min_gain``."""
    if len(losses) <= patience:
        return False
    return min(losses[-patience:]) > (1 - min_gain) * min(losses[:-patience])
