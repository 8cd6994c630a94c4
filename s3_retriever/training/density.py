"""Densities of dense keys over cells: of single heads, and the one that calibration learns.

Both are what :mod:`s3_retriever.search.density` computes for an index. :func:`head_density` calls it, with
fixed constants; :class:`LearnedDensity` repeats it in torch, so that its constants have gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from s3_retriever.encode.sae import Floats
from s3_retriever.index.layout import CELL
from s3_retriever.search.coactivation import coactivation, grouped
from s3_retriever.search.density import TRUNCATE, Scale
from s3_retriever.search.scoring import FUSED_RARITY, FUSED_WIDTHS, Scoring
from s3_retriever.training.corpus import DenseCorpus, Example

CELLS = (4, 8, 16)
"""Recall is the mean of those in so many of the densest cells: 128, 256 and 512 tokens."""

TEMPERATURE = 3.0
"""Factor of centred queries before anything is learned: the inverse temperature of the softmax."""

SCALES = (Scale(1.0), Scale(4.0), Scale(12.0))
"""Widths at which text is looked at before anything is learned."""

_MAX_SCORE = 20.0


def head_density(
    queries: Floats,
    keys: npt.NDArray[np.floating],
    tokens: npt.NDArray[np.int32],
    token_weights: Floats,
    document_cells: npt.NDArray[np.int64],
) -> Floats:
    """Return the density of one head alone, before anything is learned, float32 (C,).

    Args:
        queries: Centred queries of the head at a question's tokens, float32 (n, d).
        keys: Unit keys of its tap, float16 or float32 (C, CELL, d).
        tokens: Tokens in each cell, int32 (C,).
        token_weights: How much each of the question's tokens counts, float32 (n,).
        document_cells: First cell of each document, and the number of cells, int64 (D + 1,).
    """
    real = torch.from_numpy(np.arange(CELL) < tokens[:, None])
    scores = (TEMPERATURE * torch.from_numpy(queries)) @ torch.from_numpy(keys).float().view(
        -1, keys.shape[-1]
    ).T
    extra = (torch.expm1(scores.clamp_(max=_MAX_SCORE)).view(len(scores), -1, CELL) * real).sum(-1)
    weights = np.repeat(token_weights[:, None], len(SCALES), axis=1)
    return coactivation(grouped(extra.numpy()), weights, tokens, document_cells, SCALES)


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Densities of some cells for one question.

    Attributes:
        densities: Of each head alone, float32 (H, c).
        evidence: Each cell's share of the evidence, float32 (c,).
    """

    densities: Floats
    evidence: Floats

    @classmethod
    def of(
        cls, corpus: DenseCorpus, example: Example, passages: npt.NDArray[np.int64] | None = None
    ) -> HeadScores:
        """Compute the density of each head alone.

        Args:
            corpus: Keys of the heads' taps.
            example: A question of the corpus.
            passages: Cells to look at as if they were the corpus, int64 (S, size), -1 for none; all if None.
        """
        if passages is None:
            cells, pointers = np.arange(len(corpus.tokens)), corpus.document_cells
        else:
            cells = passages[passages >= 0]
            pointers = np.append(0, np.cumsum((passages >= 0).sum(axis=1))).astype(np.int64)
        tokens = corpus.tokens[cells]
        densities = np.zeros((len(corpus.heads), len(cells)), np.float32)
        for tap, keys in enumerate(corpus.keys):
            own = keys[cells].astype(np.float32)
            for head in (h for h, number in enumerate(corpus.head_taps) if number == tap):
                queries = example.queries[:, head]
                densities[head] = head_density(queries, own, tokens, example.token_weights, pointers)
        return cls(densities, example.evidence(len(corpus.tokens))[cells])

    def recall(self, heads: Sequence[int], cells: Sequence[int]) -> float:
        """Return the share of the evidence that some heads find together.

        Args:
            heads: Their densities are added.
            cells: How many of the densest cells are taken; the mean over several numbers is less noisy.
        """
        order = np.argsort(-self.densities[list(heads)].sum(axis=0), kind="stable")
        found = np.cumsum(self.evidence[order[: max(cells)]])
        return float(np.mean([found[min(n, len(found)) - 1] for n in cells]))


class LearnedDensity(nn.Module):
    """The density of search in mode "s3", differentiable, on passages drawn from a corpus.

    Args:
        corpus: Keys and questions.
        sigmas: Widths at which text is looked at, in cells; ``inf`` means the document.
        temperature: Initial factor of the maps.
    """

    def __init__(self, corpus: DenseCorpus, sigmas: Sequence[float], temperature: float) -> None:
        super().__init__()
        n_heads, dim = corpus.query_means.shape
        self._corpus = corpus
        self._sigmas = sigmas
        self.maps = nn.Parameter(temperature * torch.eye(dim).repeat(n_heads, 1, 1))
        self.log_weights = nn.Parameter(torch.full((n_heads, len(sigmas)), math.log(0.1)))
        self.log_saturations = nn.Parameter(torch.full((len(sigmas),), math.log(10.0)))

    def loss(self, example: Example, cells: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the cross-entropy of the evidence's cells among all cells drawn."""
        known = torch.from_numpy(cells >= 0)
        evidence = example.evidence(len(self._corpus.tokens))
        target = torch.from_numpy(evidence[np.maximum(cells, 0)]) * known
        logits = self.density(example, cells).masked_fill(~known, -torch.inf)
        log_shares = logits.view(-1).log_softmax(0).view(logits.shape)
        return -(target * log_shares.masked_fill(~known, 0)).sum() / target.sum()

    def density(self, example: Example, cells: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the density of the cells drawn, as if they were the corpus.

        Args:
            example: The question.
            cells: Numbers of cells, int64 (S, size), -1 for none.

        Returns:
            float32 (S, size).
        """
        known = torch.from_numpy(cells >= 0)
        ratios = self._ratios(example, np.maximum(cells, 0).reshape(-1), known)
        density = torch.zeros(cells.shape)
        tokens = torch.from_numpy(example.token_weights)
        weights, saturations = self.log_weights.exp(), self.log_saturations.exp()
        for scale, sigma in enumerate(self._sigmas):
            rows = torch.log1p(_average(ratios, known, sigma) / saturations[scale])
            density = density + torch.einsum("h,n,hnsc->sc", weights[:, scale], tokens, rows)
        return density

    def scoring(self) -> Scoring:
        """Return the learned constants."""
        saturations = self.log_saturations.exp().tolist()
        return Scoring(
            scales=tuple(Scale(*pair) for pair in zip(self._sigmas, saturations, strict=True)),
            head_weights=tuple(tuple(weights) for weights in self.log_weights.exp().tolist()),
            bm25_widths=FUSED_WIDTHS,
            bm25_rarity=FUSED_RARITY,
        )

    def _ratios(self, example: Example, flat: npt.NDArray[np.int64], known: torch.Tensor) -> torch.Tensor:
        """Return each cell's share of attention over its uniform share, (H, n, S, size)."""
        corpus = self._corpus
        queries = torch.from_numpy(example.queries).transpose(0, 1) @ self.maps
        tokens = torch.from_numpy(corpus.tokens[flat])
        absent = CELL - tokens  # their keys are zero, so each adds exp(0) to a cell
        seen = known.view(-1)
        masses: list[torch.Tensor] = [torch.empty(0)] * len(corpus.heads)
        for tap in range(len(corpus.taps)):
            asking = [h for h, number in enumerate(corpus.head_taps) if number == tap]
            keys = torch.from_numpy(corpus.keys[tap][flat]).float().flatten(0, 1)
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
    radius = max(1, int(TRUNCATE * sigma + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2).view(1, 1, -1)
    cells = values.shape[-1]
    sums = F.conv1d(values.reshape(-1, 1, cells), kernel, padding=radius).view(values.shape)
    norms = F.conv1d(mask.view(-1, 1, cells), kernel, padding=radius).view(mask.shape)
    return sums / norms.clamp(min=1e-6)
