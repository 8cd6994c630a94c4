"""Which query heads to use: each alone, then the set that finds most evidence together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.bank import Bank, Example
from s3_retriever.features.sae import Floats
from s3_retriever.host.taps import QueryHead
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import Scale, coactivation, mass_ratios

CELLS = (4, 8, 16)
"""Recall is the mean of those in so many of the densest cells: 128, 256 and 512 tokens."""

TEMPERATURE = 3.0
"""Factor of centred queries before anything is learned: the inverse temperature of the softmax."""

_SCALES = (Scale(1.0), Scale(4.0), Scale(12.0))
_MAX_SCORE = 20.0
_SHARP = 0.5


@dataclass(frozen=True, eq=False)
class View:
    """What every head sees of some cells for one question.

    Attributes:
        densities: Of each head alone, float32 (H, c).
        evidence: Each cell's share of the evidence, float32 (c,).
    """

    densities: Floats
    evidence: Floats

    @classmethod
    def of(cls, bank: Bank, example: Example, cells: npt.NDArray[np.int64], densities: Floats) -> View:
        """Return the view of some cells of a bank, int64 (c,), given the densities."""
        shares = np.zeros(len(bank.tokens), np.float32)
        shares[example.cells] = example.weights
        return cls(densities, shares[cells])

    def recall(self, heads: Sequence[int], cells: Sequence[int]) -> float:
        """Return the share of the evidence that some heads together find.

        Args:
            heads: Their densities are added.
            cells: How many of the densest cells are taken; the mean over several numbers is less noisy.
        """
        order = np.argsort(-self.densities[list(heads)].sum(axis=0), kind="stable")
        found = np.cumsum(self.evidence[order[: max(cells)]])
        return float(np.mean([found[min(n, len(found)) - 1] for n in cells]))


def view(bank: Bank, example: Example, segments: npt.NDArray[np.int64] | None = None) -> View:
    """Compute the density of each head alone.

    Args:
        bank: Keys of the heads' taps.
        example: A question of the bank.
        segments: Cells to look at, as if they were the corpus, int64 (S, size), -1 for none; all if None.
    """
    if segments is None:
        cells, pointers = np.arange(len(bank.tokens)), bank.document_cells
    else:
        cells = segments[segments >= 0]
        pointers = np.append(0, np.cumsum((segments >= 0).sum(axis=1))).astype(np.int64)
    tokens = bank.tokens[cells]
    real = torch.from_numpy(np.arange(CELL) < tokens[:, None])
    queries = torch.from_numpy(example.queries).transpose(0, 1) * TEMPERATURE
    out = np.zeros((len(bank.heads), len(cells)), np.float32)
    for tap, keys in enumerate(bank.keys):
        flat = torch.from_numpy(keys[cells]).float().view(-1, keys.shape[-1])
        for head in (h for h, number in enumerate(bank.head_taps) if number == tap):
            scores = (queries[head] @ flat.T).clamp_(max=_MAX_SCORE)
            extra = (torch.expm1(scores).view(len(scores), -1, CELL) * real).sum(-1).numpy()
            ratios = mass_ratios(extra, tokens)
            for scale in _SCALES:
                out[head] += coactivation(ratios, example.token_weights, pointers, scale)
    return View.of(bank, example, cells, out)


@dataclass(frozen=True)
class HeadChoice:
    """The heads chosen, and why.

    Attributes:
        heads: Chosen query heads, in the order in which they were added.
        recalls: Evidence recall after each was added.
        alone: Evidence recall of every candidate by itself.
    """

    heads: tuple[QueryHead, ...]
    recalls: tuple[float, ...]
    alone: dict[QueryHead, float]


def choose_heads(
    bank: Bank, views: Sequence[View], *, n_taps: int, n_heads: int, cells: Sequence[int] = CELLS
) -> HeadChoice:
    """Add heads greedily, each time the one that raises evidence recall most, while any does.

    Only sharp heads are candidates, those at least half as good alone as the best one: what the others
    would add is noise of the few questions. In the end, sharp heads of the taps chosen are added in any
    case: they cost the index nothing, and calibration weighs them.

    Args:
        bank: Holds the candidates.
        views: What decides.
        n_taps: Taps at most: each costs space in the index.
        n_heads: Query heads at most: each costs time per question.
        cells: Recall is measured at these numbers of the densest cells, and averaged.

    Raises:
        InvalidInputError: No head finds anything, there is no view, or a limit is below 1.
    """
    least = {"n_taps": n_taps, "n_heads": n_heads, "cells": min(cells), "examples": len(views)}
    for name, value in least.items():
        if value < 1:
            msg = f"choosing heads needs {name} of at least 1, not {value}"
            raise InvalidInputError(msg)
    single = np.array([mean_recall(views, [h], cells) for h in range(len(bank.heads))])
    if not single.max() > 0:
        msg = f"none of the {len(bank.heads)} candidate heads finds any evidence: the host has no useful one"
        raise InvalidInputError(msg)
    sharp = np.flatnonzero(single >= _SHARP * single.max())
    left = sharp[np.argsort(-single[sharp], kind="stable")].tolist()
    chosen: list[int] = []
    recalls: list[float] = []
    while len(chosen) < n_heads:
        taps = {bank.head_taps[h] for h in chosen}
        known = [h for h in left if bank.head_taps[h] in taps]
        allowed = left if len(taps) < n_taps else known
        together = [mean_recall(views, [*chosen, h], cells) for h in allowed]
        if recalls and max(together, default=0.0) <= recalls[-1]:
            allowed = known
            together = [mean_recall(views, [*chosen, h], cells) for h in known]
        if not allowed:
            break
        best = int(np.argmax(together))
        chosen.append(allowed[best])
        recalls.append(together[best])
        left.remove(allowed[best])
    alone = {head: float(recall) for head, recall in zip(bank.heads, single, strict=True)}
    return HeadChoice(tuple(bank.heads[h] for h in chosen), tuple(recalls), alone)


def mean_recall(views: Sequence[View], heads: Sequence[int], cells: Sequence[int] = CELLS) -> float:
    """Return the mean over questions of the evidence that some heads find together."""
    return sum(view.recall(heads, cells) for view in views) / len(views)
