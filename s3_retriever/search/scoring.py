"""From rows of masses and from BM25 to one density over cells: constants and fusion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError
from s3_retriever.search.density import Float32, Int64, Scale, average, coactivation, mass_ratios

BM25_WIDTHS: Mapping[float, float] = {0.5: 1.0, 2.0: 1.0, 6.0: 1.0}
"""Widths in cells at which plain BM25 is averaged, with their weights: a passage also profits from the
words around it."""

FUSED_WIDTHS: Mapping[float, float] = {0.5: 1.0}
"""Widths beside S3's density, which looks around by itself; what calibration adds to it, fixed."""

FUSED_RARITY = 2.0
"""How much more rare words count there."""


@dataclass(frozen=True)
class Scoring:
    """Constants of the attention-like scoring and of its fusion with BM25, learned by calibration.

    Attributes:
        scales: Widths at which the text is looked at.
        head_weights: (H, S): weight of each query head at each scale.
        bm25_widths: Weight of BM25 beside S3's density, averaged at each width (sigma in cells; ``inf``
            means the document).
        bm25_rarity: How much more rare words count in that BM25 than they do anyway; the power of
            :class:`s3_retriever.search.bm25.Emphasis`.
        n_features: Features kept per question token and query head.

    Raises:
        InvalidInputError: The shapes do not fit.
    """

    scales: tuple[Scale, ...]
    head_weights: tuple[tuple[float, ...], ...]
    bm25_widths: Mapping[float, float]
    n_features: int = 96
    bm25_rarity: float = 0.0

    def __post_init__(self) -> None:
        if any(len(weights) != len(self.scales) for weights in self.head_weights):
            msg = f"every query head needs {len(self.scales)} weights, one per scale"
            raise InvalidInputError(msg)
        if self.n_features < 1:
            msg = f"n_features must be at least 1, not {self.n_features}"
            raise InvalidInputError(msg)
        if not 0 <= self.bm25_rarity < math.inf:
            msg = f"bm25_rarity must be 0 or more, not {self.bm25_rarity}"
            raise InvalidInputError(msg)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping; an infinite width becomes "document"."""
        return {
            "scales": [{"sigma": _sigma_to_json(s.sigma), "saturation": s.saturation} for s in self.scales],
            "head_weights": [list(weights) for weights in self.head_weights],
            "bm25_widths": [[_sigma_to_json(sigma), weight] for sigma, weight in self.bm25_widths.items()],
            "n_features": self.n_features,
            "bm25_rarity": self.bm25_rarity,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Scoring:
        """Read what :meth:`to_json` wrote.

        Raises:
            InvalidInputError: A field is missing or has a value that cannot be used.
        """
        try:
            return cls(
                scales=tuple(
                    Scale(_sigma_from_json(s["sigma"]), float(s["saturation"])) for s in values["scales"]
                ),
                head_weights=tuple(tuple(map(float, weights)) for weights in values["head_weights"]),
                bm25_widths={_sigma_from_json(s): float(weight) for s, weight in values["bm25_widths"]},
                n_features=int(values["n_features"]),
                bm25_rarity=float(values.get("bm25_rarity", 0.0)),  # artifacts made before there was one
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"the artifact's scoring constants cannot be read: {type(error).__name__}: {error}"
            raise InvalidInputError(msg) from error


def s3_density(
    masses: Iterable[Float32],
    weights: Float32,
    cell_tokens: npt.NDArray[np.int32],
    document_cells: Int64,
    scoring: Scoring,
) -> Float32:
    """Sum the coactivations of all query heads at all scales, float32 (C,).

    Args:
        masses: One float32 (n, C) of extra masses per query head, in the order of ``head_weights``;
            consumed one at a time.
        weights: float32 (n,), of the question's tokens.
        cell_tokens: int32 (C,).
        document_cells: int64 (D + 1,).
        scoring: Constants.
    """
    density = np.zeros(len(cell_tokens), np.float32)
    for extra, of_scales in zip(masses, scoring.head_weights, strict=True):
        ratios = mass_ratios(extra, cell_tokens)
        for scale, weight in zip(scoring.scales, of_scales, strict=True):
            if weight:
                density += coactivation(ratios, np.float32(weight) * weights, document_cells, scale)
    return density


def bm25_density(
    scores: npt.NDArray[np.float64], document_cells: Int64, widths: Mapping[float, float]
) -> Float32:
    """Average BM25 scores per cell at several widths and sum them, float32 (C,).

    Args:
        scores: float64 (C,).
        document_cells: int64 (D + 1,).
        widths: Weight of each width (sigma in cells).
    """
    density = np.zeros(len(scores), np.float32)
    for sigma, weight in widths.items():
        if weight:
            density += np.float32(weight) * average(scores, document_cells, sigma)
    return density


def paper_density(counts: Float32, document_cells: Int64) -> Float32:
    """Smooth counts of shared features over about 64 tokens, as the published method does."""
    return average(counts, document_cells, 1.0)


def _sigma_to_json(sigma: float) -> float | str:
    return "document" if math.isinf(sigma) else sigma


def _sigma_from_json(value: object) -> float:
    return math.inf if value == "document" else float(value)  # type: ignore[arg-type]
