"""Trains :class:`~s3_retriever.features.sae.TopKSAE`: Adam, unit-norm decoder, AuxK for dead features."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F  # noqa: N812
from tqdm import trange

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.sae import Quality, TopKSAE

# Rows on which the quality after training is measured: seconds less, and the fvu is stable to 0.001.
_MEASURED_ROWS = 65_536
_HELD_OUT_FRACTION = 0.05


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Attributes:
        n_features: Size of the dictionary, m.
        k: Active features per vector.
        steps: Optimiser steps.
        batch_size: Vectors per step, drawn with replacement.
        learning_rate: Peak rate of Adam.
        warmup: Steps over which the rate rises linearly; it then falls linearly to zero.
        k_aux: Dead features that reconstruct the residual of each vector; 0 switches AuxK off.
        aux_weight: Weight of the AuxK loss (1/32 in arXiv 2406.04093).
        dead_after: A feature is dead when it has not fired for this many vectors.
        seed: Fixes the split, the initial weights and the order of the vectors.

    Raises:
        InvalidInputError: A value is out of range.
    """

    n_features: int = 2048
    k: int = 7
    steps: int = 1500
    batch_size: int = 4096
    learning_rate: float = 2e-3
    warmup: int = 100
    k_aux: int = 8
    aux_weight: float = 1 / 32
    dead_after: int = 200_000
    seed: int = 0

    def __post_init__(self) -> None:
        smallest = {"n_features": 1, "k": 1, "steps": 1, "batch_size": 1, "warmup": 0, "k_aux": 0}
        for name, least in {**smallest, "dead_after": 1, "aux_weight": 0}.items():
            if not getattr(self, name) >= least:
                msg = f"TrainConfig.{name} must be at least {least}, not {getattr(self, name)}"
                raise InvalidInputError(msg)
        if not self.learning_rate > 0:
            msg = f"TrainConfig.learning_rate must be positive, not {self.learning_rate}"
            raise InvalidInputError(msg)
        if self.n_features > 1 << 16 or self.k > self.n_features:
            msg = f"TrainConfig needs k <= n_features <= 65536, not k={self.k}, n_features={self.n_features}"
            raise InvalidInputError(msg)


@dataclass(frozen=True)
class TrainReport:
    """What a training run reached.

    Attributes:
        train: Quality on (at most 65,536 of) the vectors trained on.
        held_out: Quality on the 5 % of the vectors kept out.
        steps: Optimiser steps taken.
        seconds: Wall-clock time.
    """

    train: Quality
    held_out: Quality
    steps: int
    seconds: float


def train_sae(
    keys: npt.NDArray[np.floating],
    config: TrainConfig | None = None,
    *,
    progress: bool = False,
    metric: npt.ArrayLike | None = None,
) -> tuple[TopKSAE, TrainReport]:
    """Train an SAE; the same arguments give the same SAE on the same machine and number of threads.

    The loss is the mean over vectors of (x - x_hat)^T M (x - x_hat), plus AuxK (arXiv 2406.04093, section
    2.2): dead features reconstruct what the live ones left over and so come back to life. Unlike there, their
    activations pass no ReLU: a feature that is negative on all vectors would get no gradient through one.

    Args:
        keys: float16 or float32 (n, d), centred and normalised.
        config: Settings; the defaults if None.
        progress: Show a progress bar.
        metric: Positive semi-definite M (d, d), scaled here to trace d; the identity if None. The covariance
            of centred queries weighs directions by how much they matter to q·k.

    Raises:
        InvalidInputError: ``keys`` or ``metric`` has a wrong shape or values that are not finite.
    """
    config = config or TrainConfig()
    if keys.ndim != 2 or len(keys) < 2:
        msg = f"training needs keys of shape (n, d) with n >= 2, not {keys.shape}"
        raise InvalidInputError(msg)
    if not np.isfinite(keys).all():
        msg = "keys to train on hold values that are not finite; centre and normalise them in float32"
        raise InvalidInputError(msg)
    began = time.perf_counter()
    random = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(keys), generator=random).numpy()
    n_held_out = max(1, round(_HELD_OUT_FRACTION * len(keys)))
    held_out, kept = keys[order[:n_held_out]], keys[order[n_held_out:]]

    training = _Training(config, torch.from_numpy(kept), _metric_root(metric, keys.shape[1]), random)
    for step in trange(config.steps, desc="SAE", unit="step", disable=not progress):
        training.step(step)
    sae = training.sae()
    report = TrainReport(
        sae.measure(kept[:_MEASURED_ROWS]),
        sae.measure(held_out[:_MEASURED_ROWS]),
        config.steps,
        time.perf_counter() - began,
    )
    return sae, report


class _Training:
    """Parameters and optimiser of one run."""

    def __init__(
        self, config: TrainConfig, data: torch.Tensor, root: torch.Tensor | None, random: torch.Generator
    ) -> None:
        self.config, self.data, self.root, self.random = config, data, root, random
        # Features start as data points, so that none starts far from all data; the noise parts duplicates.
        start = data[torch.randint(len(data), (config.n_features,), generator=random)].float()
        noise = torch.randn(start.shape, generator=random) / start.shape[1] ** 0.5
        decoder = F.normalize(start + 0.1 * noise, dim=1)
        # The encoder is kept transposed, (m, d), so that the features of a vector are gathered as rows.
        self.encoder = decoder.clone().requires_grad_()
        self.bias = torch.zeros(config.n_features, requires_grad=True)
        self.decoder = decoder.requires_grad_()
        self.idle = torch.zeros(config.n_features, dtype=torch.int64)  # vectors since a feature last fired
        self.optimizer = torch.optim.Adam([self.encoder, self.bias, self.decoder], config.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def _rate(self, step: int) -> float:
        """Linear warm-up, then linear decay to zero."""
        warmup, steps = self.config.warmup, self.config.steps
        return min((step + 1) / (warmup + 1), (steps - step) / max(steps - warmup, 1))

    def step(self, step: int) -> None:
        """Take one optimiser step."""
        rows = torch.randint(len(self.data), (self.config.batch_size,), generator=self.random)
        x = self.data[rows].float()
        # Selection needs all activations but no gradient; the k kept ones are computed again with it. That
        # is twice as fast as differentiating through the dense product.
        with torch.no_grad():
            activations = torch.addmm(self.bias, x, self.encoder.T)
            chosen = activations.topk(self.config.k, sorted=False).indices
        weights = F.relu(self._activations(x, chosen))
        error = x - self._combine(chosen, weights)
        loss = self._squared(error)

        self.idle += len(x)
        self.idle[chosen[weights > 0]] = 0
        dead = (self.idle >= self.config.dead_after).nonzero()[:, 0]
        k_aux = min(self.config.k_aux, len(dead))
        if k_aux:
            revived = dead[activations[:, dead].topk(k_aux, sorted=False).indices]
            aux_error = error.detach() - self._combine(revived, self._activations(x, revived))
            loss = loss + self.config.aux_weight * self._squared(aux_error)

        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            gradient = self.decoder.grad
            assert gradient is not None  # noqa: S101
            # Rows stay on the unit sphere: the part of the gradient along a row would only change its norm.
            gradient -= (gradient * self.decoder).sum(1, keepdim=True) * self.decoder
            self.optimizer.step()
            self.schedule.step()
            self.decoder /= self.decoder.norm(dim=1, keepdim=True)

    def _activations(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Activations, before ReLU, of the features ``chosen`` (n, k) for x (n, d)."""
        return torch.bmm(F.embedding(chosen, self.encoder), x[:, :, None])[:, :, 0] + self.bias[chosen]

    def _combine(self, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Sum of the decoder rows ``chosen`` (n, k) by ``weights`` (n, k): (n, d)."""
        return F.embedding_bag(chosen, self.decoder, per_sample_weights=weights, mode="sum")

    def _squared(self, error: torch.Tensor) -> torch.Tensor:
        if self.root is not None:
            error = error @ self.root
        return error.square().sum(1).mean()

    def sae(self) -> TopKSAE:
        """Return the parameters as they stand."""
        encoder, bias, decoder = (p.detach().numpy().copy() for p in (self.encoder, self.bias, self.decoder))
        return TopKSAE(encoder.T, bias, decoder, np.zeros(decoder.shape[1], np.float32), self.config.k)


def _metric_root(metric: npt.ArrayLike | None, dim: int) -> torch.Tensor | None:
    """Return R with R R^T = M, M scaled to trace d, so that losses with and without M are comparable."""
    if metric is None:
        return None
    matrix = np.asarray(metric, dtype=np.float64)
    if matrix.shape != (dim, dim) or not np.isfinite(matrix).all() or not np.trace(matrix) > 0:
        msg = f"metric must be a finite positive semi-definite matrix ({dim}, {dim}), not {matrix.shape}"
        raise InvalidInputError(msg)
    values, vectors = np.linalg.eigh(matrix * (dim / np.trace(matrix)))
    if values.min() < -1e-6 * values.max():
        msg = f"metric must be positive semi-definite; its smallest eigenvalue is {values.min():.3g}"
        raise InvalidInputError(msg)
    return torch.from_numpy((vectors * np.sqrt(values.clip(0))).astype(np.float32))
