"""Calibration: learns from question/evidence pairs how the heads' queries should meet the keys.

What is learned is small and linear: one map per query head, a weight per head and scale, and a saturation
per scale. The loss is that of choosing the evidence: cross-entropy of a softmax over cells whose logits are
the very density that search computes in mode "s3". BM25 takes no part: beside it S3 would learn only what the
words of these questions do not say already, and find little by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.bank import Bank, Example
from s3_retriever.features.heads import CELLS, View
from s3_retriever.features.sae import Floats
from s3_retriever.features.segments import draw_segments
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import Scale
from s3_retriever.search.scoring import FUSED_RARITY, FUSED_WIDTHS, Scoring

_TRUNCATE = 3.0


@dataclass(frozen=True)
class CalibrateConfig:
    """Settings of one calibration.

    Attributes:
        sigmas: Widths at which the text is looked at, in cells; ``inf`` means the document.
        epochs: Times every pair is seen.
        batch_size: Pairs per optimiser step.
        map_rate: Learning rate of the maps.
        constant_rate: Learning rate of everything else.
        temperature: Initial factor of the maps, the inverse temperature of the softmax.
        segment_cells: Cells of one piece of text that a pair is compared with ...
        segments: ... and how many pieces, those with evidence among them.
        seed: Fixes the order of the pairs and the pieces.
        held_out: Share of the pairs, by document, that are not learned from but measured.

    Raises:
        InvalidInputError: A value is out of range.
    """

    sigmas: tuple[float, ...] = (1.0, 4.0, 12.0, math.inf)
    epochs: int = 3
    batch_size: int = 8
    map_rate: float = 1e-3
    constant_rate: float = 1e-2
    temperature: float = 3.0
    segment_cells: int = 128
    segments: int = 8
    seed: int = 0
    held_out: float = 0.1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "map_rate", "constant_rate", "temperature", "segment_cells"):
            if not getattr(self, name) > 0:
                msg = f"CalibrateConfig.{name} must be positive, not {getattr(self, name)}"
                raise InvalidInputError(msg)
        if not 0 <= self.held_out < 1:
            msg = f"CalibrateConfig.held_out must lie in [0, 1), not {self.held_out}"
            raise InvalidInputError(msg)
        if self.segments < 2:
            msg = f"CalibrateConfig.segments must be at least 2, not {self.segments}"
            raise InvalidInputError(msg)
        for sigma in self.sigmas:
            if not sigma > 0:
                msg = f"CalibrateConfig.sigmas must be positive, not {sigma}"
                raise InvalidInputError(msg)


class Measured(NamedTuple):
    """Means over examples, each compared with pieces of text that are the same every time.

    Attributes:
        loss: In nats.
        recall: Share of the evidence in the cells that are densest by S3 alone, as heads are chosen by.
    """

    loss: float
    recall: float


@dataclass(frozen=True, eq=False)
class Learned:
    """What calibration learned.

    Attributes:
        maps: float32 (H, d, d): ``centred query @ map`` meets the unit keys.
        scoring: Weights and constants of the density.
        losses: Mean loss of each epoch, in nats.
        held_out: Of the examples held out, before and after learning; None without any.
    """

    maps: Floats
    scoring: Scoring
    losses: tuple[float, ...]
    held_out: tuple[Measured, Measured] | None = None


def calibrate(
    bank: Bank,
    examples: Sequence[Example],
    config: CalibrateConfig | None = None,
    *,
    held_out: Sequence[Example] = (),
    progress: bool = False,
) -> Learned:
    """Learn maps and constants.

    Args:
        bank: Keys and means.
        examples: The bank's examples to learn from.
        config: Settings.
        held_out: Examples that only tell how well what was learned carries over.
        progress: Show a progress bar.

    Raises:
        InvalidInputError: There is no example, or the loss is not finite any more.
    """
    if not examples:
        msg = "calibration needs examples to learn from, and got none"
        raise InvalidInputError(msg)
    config = config or CalibrateConfig()
    rng = np.random.default_rng(config.seed)
    model = _Density(bank, config)
    constants = [p for name, p in model.named_parameters() if name != "maps"]
    optimizer = torch.optim.Adam(
        [{"params": [model.maps], "lr": config.map_rate}, {"params": constants, "lr": config.constant_rate}],
        betas=(0.9, 0.98),
    )
    steps = config.epochs * math.ceil(len(examples) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, 10 * (step + 1) / steps) * (1 - step / steps)
    )
    losses = []
    before = _measure(model, bank, held_out, config)
    with tqdm(total=steps, desc="calibrate", disable=not progress, unit="step") as bar:
        for _ in range(config.epochs):
            order = rng.permutation(len(examples))
            total = 0.0
            for first in range(0, len(order), config.batch_size):
                batch = [examples[i] for i in order[first : first + config.batch_size]]
                for example in batch:
                    loss = model.loss(example, _segments(bank, example, config, rng))
                    (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
                    total += float(loss.detach())
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                bar.update()
            if not math.isfinite(total):
                msg = f"the loss became {total}; calibrate with rates below {config.map_rate} (map_rate) and "
                msg += f"{config.constant_rate} (constant_rate), or a temperature below {config.temperature}"
                raise InvalidInputError(msg)
            losses.append(total / len(examples))
            bar.set_postfix(loss=f"{losses[-1]:.3f}")
    after = _measure(model, bank, held_out, config)
    measured = None if before is None or after is None else (before, after)
    return Learned(model.maps.detach().numpy().copy(), model.scoring(), tuple(losses), measured)


def _measure(
    model: _Density, bank: Bank, examples: Sequence[Example], config: CalibrateConfig
) -> Measured | None:
    """Return the means over examples; None without examples."""
    if not examples:
        return None
    rng = np.random.default_rng(config.seed)
    losses, recalls = [], []
    with torch.no_grad():
        for example in examples:
            cells = _segments(bank, example, config, rng)
            losses.append(float(model.loss(example, cells)))
            seen = View.of(
                bank, example, cells[cells >= 0], model.density(example, cells).numpy()[None, cells >= 0]
            )
            recalls.append(seen.recall([0], CELLS))
    return Measured(math.fsum(losses) / len(losses), math.fsum(recalls) / len(recalls))


def _segments(
    bank: Bank, example: Example, config: CalibrateConfig, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    return draw_segments(bank, example, config.segment_cells, config.segments, rng)


class _Density(nn.Module):
    """The density of :mod:`s3_retriever.search`, differentiable, on drawn pieces of the corpus."""

    def __init__(self, bank: Bank, config: CalibrateConfig) -> None:
        super().__init__()
        n_heads, dim = bank.query_means.shape
        n_scales = len(config.sigmas)
        self._bank = bank
        self._config = config
        self.maps = nn.Parameter(config.temperature * torch.eye(dim).repeat(n_heads, 1, 1))
        self.log_weights = nn.Parameter(torch.full((n_heads, n_scales), math.log(0.1)))
        self.log_saturations = nn.Parameter(torch.full((n_scales,), math.log(10.0)))

    def loss(self, example: Example, cells: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the cross-entropy of the evidence's cells among all cells drawn."""
        known = torch.from_numpy(cells >= 0)
        evidence = np.zeros(self._bank.document_cells[-1], np.float32)
        evidence[example.cells] = example.weights
        target = torch.from_numpy(evidence[np.maximum(cells, 0)]) * known
        logits = self.density(example, cells).masked_fill(~known, -torch.inf)
        log_shares = logits.view(-1).log_softmax(0).view(logits.shape)
        return -(target * log_shares.masked_fill(~known, 0)).sum() / target.sum()

    def density(self, example: Example, cells: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the density of the cells drawn, as if they were the corpus; (S, segment_cells)."""
        known = torch.from_numpy(cells >= 0)
        ratios = self._ratios(example, np.maximum(cells, 0).reshape(-1), known)
        density = torch.zeros(cells.shape)
        tokens = torch.from_numpy(example.token_weights)
        weights, saturations = self.log_weights.exp(), self.log_saturations.exp()
        for scale, sigma in enumerate(self._config.sigmas):
            rows = torch.log1p(_average(ratios, known, sigma) / saturations[scale])
            density = density + torch.einsum("h,n,hnsc->sc", weights[:, scale], tokens, rows)
        return density

    def scoring(self) -> Scoring:
        """Return the learned constants."""
        saturations = self.log_saturations.exp().tolist()
        return Scoring(
            scales=tuple(Scale(*pair) for pair in zip(self._config.sigmas, saturations, strict=True)),
            head_weights=tuple(tuple(weights) for weights in self.log_weights.exp().tolist()),
            bm25_widths=FUSED_WIDTHS,
            bm25_rarity=FUSED_RARITY,
        )

    def _ratios(self, example: Example, flat: npt.NDArray[np.int64], known: torch.Tensor) -> torch.Tensor:
        """Return each cell's share of attention over its uniform share, (H, n, S, segment_cells)."""
        queries = torch.from_numpy(example.queries).transpose(0, 1) @ self.maps
        tokens = torch.from_numpy(self._bank.tokens[flat])
        absent = CELL - tokens  # their keys are zero, so each adds exp(0) to a cell
        seen = known.view(-1)
        masses: list[torch.Tensor] = [torch.empty(0)] * len(self._bank.heads)
        for tap in range(len(self._bank.taps)):
            asking = [h for h, number in enumerate(self._bank.head_taps) if number == tap]
            keys = torch.from_numpy(self._bank.keys[tap][flat]).float().flatten(0, 1)
            scores = queries[asking] @ keys.T
            mass = (scores.exp().view(*scores.shape[:2], -1, CELL).sum(-1) - absent) * seen
            for row, head in enumerate(asking):
                masses[head] = mass[row]
        mass = torch.stack(masses)
        ratios = mass * ((tokens * seen).sum() / CELL) / mass.sum(dim=-1, keepdim=True)
        return ratios.view(*mass.shape[:2], *known.shape)


def _average(values: torch.Tensor, known: torch.Tensor, sigma: float) -> torch.Tensor:
    """Average (..., S, cells) along the cells that are known, as search does along a document."""
    mask = known.float()
    if math.isinf(sigma):
        return (values.sum(-1) / mask.sum(-1)).unsqueeze(-1).expand_as(values)
    radius = max(1, int(_TRUNCATE * sigma + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2).view(1, 1, -1)
    cells = values.shape[-1]
    sums = F.conv1d(values.reshape(-1, 1, cells), kernel, padding=radius).view(values.shape)
    norms = F.conv1d(mask.view(-1, 1, cells), kernel, padding=radius).view(mask.shape)
    return sums / norms.clamp(min=1e-6)
