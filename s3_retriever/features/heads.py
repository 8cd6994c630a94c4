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

TEMPERATURE = 3.0
"""Factor of centred queries before anything is learned: the inverse temperature of the softmax."""

_SCALES = (Scale(1.0), Scale(4.0), Scale(12.0))
_MAX_SCORE = 20.0


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
    bank: Bank, examples: Sequence[Example], *, n_taps: int, n_heads: int, cells: int = 16
) -> HeadChoice:
    """Add heads greedily, each time the one that raises evidence recall most, while any does.

    Args:
        bank: Dense keys of the candidates' taps.
        examples: What decides.
        n_taps: Taps at most: each costs space in the index.
        n_heads: Query heads at most: each costs time per question.
        cells: Recall is measured at this many of the densest cells.

    Raises:
        InvalidInputError: No head finds anything, there is no example, or a limit is below 1.
    """
    least = {"n_taps": n_taps, "n_heads": n_heads, "cells": cells, "examples": len(examples)}
    for name, value in least.items():
        if value < 1:
            msg = f"choosing heads needs {name} of at least 1, not {value}"
            raise InvalidInputError(msg)
    densities = np.stack([_densities(bank, example) for example in examples])
    single = np.array([_recall(densities[:, h], examples, cells) for h in range(len(bank.heads))])
    chosen: list[int] = []
    recalls: list[float] = []
    total = np.zeros_like(densities[:, 0])
    while len(chosen) < n_heads:
        taps = {bank.head_taps[h] for h in chosen}
        allowed = [
            h
            for h in np.argsort(-single, kind="stable").tolist()
            if h not in chosen and (len(taps) < n_taps or bank.head_taps[h] in taps)
        ][: 4 * n_heads]
        gains = [_recall(total + densities[:, h], examples, cells) for h in allowed]
        if not gains or max(gains) <= (recalls[-1] if recalls else 0.0):
            break
        best = allowed[int(np.argmax(gains))]
        chosen.append(best)
        recalls.append(max(gains))
        total += densities[:, best]
    if not chosen:
        msg = f"none of the {len(bank.heads)} candidate heads finds any evidence: the host has no useful one"
        raise InvalidInputError(msg)
    alone = {head: float(recall) for head, recall in zip(bank.heads, single, strict=True)}
    return HeadChoice(tuple(bank.heads[h] for h in chosen), tuple(recalls), alone)


def _densities(bank: Bank, example: Example) -> Floats:
    """Return the density of each head alone, float32 (H, C)."""
    real = torch.from_numpy(np.arange(CELL) < bank.tokens[:, None])
    queries = torch.from_numpy(example.queries).transpose(0, 1) * TEMPERATURE
    out = np.zeros((len(bank.heads), len(bank.tokens)), np.float32)
    for tap, keys in enumerate(bank.keys):
        asking = [h for h, number in enumerate(bank.head_taps) if number == tap]
        flat = torch.from_numpy(keys).float().view(-1, keys.shape[-1])
        for head in asking:
            scores = (queries[head] @ flat.T).clamp_(max=_MAX_SCORE)
            extra = (torch.expm1(scores).view(len(scores), -1, CELL) * real).sum(-1).numpy()
            ratios = mass_ratios(extra, bank.tokens)
            for scale in _SCALES:
                out[head] += coactivation(ratios, bank.document_cells, scale)
    return out


def _recall(densities: npt.NDArray[np.float32], examples: Sequence[Example], cells: int) -> float:
    """Return the mean share of evidence in the densest cells, (examples, C) densities."""
    cells = min(cells, densities.shape[1])
    found = 0.0
    for density, example in zip(densities, examples, strict=True):
        best = np.argpartition(-density, cells - 1)[:cells]
        found += float(example.weights[np.isin(example.cells, best)].sum())
    return found / len(examples)
