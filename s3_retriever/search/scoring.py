"""Constants of scoring: widths and weights of S3 and of BM25 beside it, and BM25's density by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_settings, each, instance, number, whole
from s3_retriever.errors import ArtifactFormatError, InvalidInputError
from s3_retriever.search.density import Float32, Scale, bm25_density
from s3_retriever.search.rarity import RarityBoost
from s3_retriever.search.stretches import Stretches

BM25_WIDTHS: Mapping[float, float] = {0.5: 1.0, 2.0: 1.0, 6.0: 1.0}
"""Widths in cells at which plain BM25 is averaged, with their weights. Wide ones count the words around a
passage."""

FUSED_WIDTHS: Mapping[float, float] = {0.5: 1.0}
"""Widths of BM25 beside S3. One narrow width is enough, because S3's density has wide ones. Calibration does
not learn it."""

CODE_WIDTHS = BM25_WIDTHS
"""Widths of BM25 beside S3 in source code, with weights for each 1 that it has elsewhere. S3 tells less
there, so BM25 counts more and looks wider. Prose beside code keeps its place (``docs/research/tried.md``)."""

CODE_RARITY = 0.5
"""Part of the power of the boost of rare words that counts in source code, where most words are rare."""

ROWS_RARITY = 0.5
"""Part of it that counts in rows of large tables, where each word is common and all of a row's are rare."""

FUSED_RARITY = 2.0
"""Power of the :class:`~s3_retriever.search.lexical.RarityBoost` of BM25 beside S3."""


@dataclass(frozen=True)
class Scoring:
    """Constants of the attention-like scoring and of its fusion with BM25, learned by calibration.

    Attributes:
        scales: Widths at which the text is looked at.
        head_weights: (H, S): weight of each query head at each scale.
        bm25_widths: Weight of BM25 beside S3's density, averaged at each width (sigma in cells; ``inf``
            means the document). In source code their sum counts, at :data:`CODE_WIDTHS`.
        bm25_rarity: How much more rare words count in that BM25 than they do anyway; the power of
            :class:`s3_retriever.search.rarity.RarityBoost`. In source code, times :data:`CODE_RARITY`; in
            rows of large tables, times :data:`ROWS_RARITY`.
        n_features: Features kept per question token and query head.

    Raises:
        InvalidInputError: A value is of another type, or the shapes do not fit.
    """

    scales: tuple[Scale, ...]
    head_weights: tuple[tuple[float, ...], ...]
    bm25_widths: Mapping[float, float]
    n_features: int = 96
    bm25_rarity: float = 0.0

    def __post_init__(self) -> None:
        check_settings(
            self,
            scales=each(instance(Scale, "a Scale")),
            head_weights=each(each(number()), least=0),
            bm25_widths=instance(Mapping, "a mapping of widths to weights"),
            n_features=whole(1),
            bm25_rarity=number(0),
        )
        if any(len(weights) != len(self.scales) for weights in self.head_weights):
            msg = f"every query head needs {len(self.scales)} weights, one per scale"
            raise InvalidInputError(msg)

    @property
    def all_bm25_widths(self) -> set[float]:
        """Widths at which BM25 is averaged in any mode and kind of text."""
        return {*BM25_WIDTHS, *self.bm25_widths, *CODE_WIDTHS}

    def row_weights(self, token_weights: Float32) -> Float32:
        """Return the weight of each row at each scale, float32 (H * n, S), the rows head by head.

        Args:
            token_weights: float32 (n,), of the question's tokens.
        """
        head_weights = np.array(self.head_weights, np.float32).reshape(-1, 1, len(self.scales))
        return (head_weights * token_weights[:, None]).reshape(-1, len(self.scales))

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
            ArtifactFormatError: A field is missing or has a value that cannot be used.
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
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            msg = f"the artifact's scoring constants cannot be read: {type(error).__name__}: {error}"
            raise ArtifactFormatError(msg) from error


def lexical_density(
    scoring: Scoring,
    stretches: Stretches,
    scored: Callable[[RarityBoost | None], npt.NDArray[np.float64]],
    surprise: Callable[[str], float],
    *,
    alone: bool,
) -> Float32:
    """Return the density of BM25 of the cells of some stretches, float32 (C,).

    Args:
        scoring: Constants.
        stretches: What is averaged.
        scored: Returns BM25 of all cells of the snapshot, float64, with a boost of rare words, or plain.
        surprise: How rare a word is in its language, in [0, 1].
        alone: Whether no other side is added: plain BM25 then, averaged at :data:`BM25_WIDTHS`.
    """
    cells, borders, wider, are_code, are_rows = stretches
    if alone:
        return bm25_density(scored(None)[cells], borders, BM25_WIDTHS, wider)
    density = np.zeros(borders[-1], np.float32)
    total = math.fsum(scoring.bm25_widths.values())
    in_code = {sigma: total * weight for sigma, weight in CODE_WIDTHS.items()}
    for are_kind, widths, power in (
        (~are_code, scoring.bm25_widths, scoring.bm25_rarity),
        (are_code, in_code, CODE_RARITY * scoring.bm25_rarity),
    ):
        if are_kind.any():
            scores = scored(RarityBoost(power, surprise))[cells]
            density += bm25_density(scores, borders, widths, wider, are_kind)
    are_rows = are_rows & ~np.repeat(are_code, np.diff(borders))
    if are_rows.any():
        scores = scored(RarityBoost(ROWS_RARITY * scoring.bm25_rarity, surprise))[cells]
        in_rows = bm25_density(scores, borders, scoring.bm25_widths, wider, ~are_code)
        density[are_rows] = in_rows[are_rows]
    return density


def _sigma_to_json(sigma: float) -> float | str:
    return "document" if math.isinf(sigma) else sigma


def _sigma_from_json(value: object) -> float:
    return math.inf if value == "document" else float(value)  # type: ignore[arg-type]
