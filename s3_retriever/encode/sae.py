"""Top-k sparse autoencoder (SAE): turns a key vector into a few feature ids with weights, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check, whole
from s3_retriever.compiled import njit
from s3_retriever.encode.encoder import Codes, Encoder, multiply
from s3_retriever.encode.pursuit import Features, Floats, pursue
from s3_retriever.errors import InvalidInputError
from s3_retriever.locks import cached_property

__all__ = [
    "Codes",
    "Features",
    "Floats",
    "Quality",
    "TopKSAE",
    "center_and_normalize",
    "unexplained",
]


def pursued(x: Floats, candidates: Codes, dictionary: Floats, k: int) -> Codes:
    """Choose k of each row's candidates by matching pursuit, with least-squares weights.

    Args:
        x: float32 (n, d).
        candidates: What :meth:`Encoder.candidates` gave for x.
        dictionary: float32 (m, d), rows of unit norm.
        k: Features per row.

    Returns:
        Codes of n rows and k slots.
    """
    codes = Codes(np.zeros((len(x), k), np.uint16), np.zeros((len(x), k), np.float32))
    counts = np.count_nonzero(candidates.weights, axis=1).astype(np.uint16)
    pursue(x, candidates.features, counts, dictionary, codes.features, codes.weights)
    return codes


@dataclass(frozen=True)
class Quality:
    """How well the codes that an index stores represent a set of unit vectors.

    Attributes:
        fvu: Fraction of variance unexplained, sum |x - x_hat|^2 / sum |x - mean(x)|^2, x_hat of unit norm.
        l0: Mean number of active features per vector.
        dead_fraction: Share of the features that no vector activates.
    """

    fvu: float
    l0: float
    dead_fraction: float


@dataclass(frozen=True, eq=False)
class TopKSAE:
    """z = the k largest of ReLU((x - b_dec) W_enc + b_enc); x_hat = z W_dec + b_dec.

    This is the Top-k autoencoder of arXiv 2406.04093, used on keys as in arXiv 2512.10547. Names and shapes
    of the arrays are those of SAELens.

    Attributes:
        W_enc: float32 (d, m).
        b_enc: float32 (m,).
        W_dec: float32 (m, d), rows of unit norm.
        b_dec: float32 (d,).
        k: Features kept per vector.
        root: Symmetric positive definite R, float32 (d, d); the identity if None. Matching pursuit makes
            the norm of (x - x_hat) R small.

    Raises:
        InvalidInputError: Shapes do not fit together, an array is not finite, or k is not in 1..m.
    """

    W_enc: Floats
    b_enc: Floats
    W_dec: Floats
    b_dec: Floats
    k: int
    root: Floats | None = None

    def __post_init__(self) -> None:
        m, d = self.W_dec.shape
        shapes = {"W_enc": (d, m), "b_enc": (m,), "W_dec": (m, d), "b_dec": (d,)}
        if self.root is not None:
            shapes["root"] = (d, d)
        for name, shape in shapes.items():
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if array.shape != shape:
                msg = f"SAE array {name} must have shape {shape}, not {array.shape}"
                raise InvalidInputError(msg)
            if not np.isfinite(array).all():
                msg = f"SAE array {name} holds values that are not finite; train the SAE again"
                raise InvalidInputError(msg)
            object.__setattr__(self, name, array)
        check("the number of features", m, whole(1, 1 << 16))  # ids are uint16
        check("k", self.k, whole(1, m))

    @property
    def n_features(self) -> int:
        """Number of features, m."""
        return len(self.W_dec)

    @property
    def dim(self) -> int:
        """Dimension of the vectors, d."""
        return len(self.b_dec)

    def encode(self, x: npt.ArrayLike) -> Codes:
        """Encode vectors; of equal activations the lower feature id comes first.

        Args:
            x: (n, d), as :func:`center_and_normalize` returns them.

        Raises:
            InvalidInputError: ``x`` is not (n, d).
        """
        return self._encoder.strongest(self._rows(x), self.k)

    def encode_unit(self, x: npt.ArrayLike) -> Codes:
        """Encode vectors as closely as k features can, with unit reconstructions: what an index stores.

        Orthogonal matching pursuit (:mod:`s3_retriever.encode.pursuit`) chooses among the strongest
        activations. Its error is half that of the k strongest.

        Args:
            x: (n, d), as :func:`center_and_normalize` returns them.

        Raises:
            InvalidInputError: ``x`` is not (n, d).
        """
        x = self._rows(x)
        codes = self._pursued(x - self.b_dec, self._encoder.candidates(x, self.k))
        return Codes(codes.features, self.normalized_weights(codes))

    def _pursued(self, x: Floats, candidates: Codes) -> Codes:
        """Choose features for x; with a root R, choose for x R among the rows of W_dec R."""
        if self.root is None:
            return pursued(x, candidates, self.W_dec, self.k)
        rows, norms = self._seen_decoder
        seen = np.empty_like(x)
        multiply(x, self.root, seen)
        codes = pursued(seen, candidates, rows, self.k)
        weights = codes.weights / norms[codes.features]
        order = np.argsort(-weights, axis=1, kind="stable")
        return Codes(
            np.take_along_axis(codes.features, order, axis=1), np.take_along_axis(weights, order, axis=1)
        )

    def normalized_weights(self, codes: Codes) -> Floats:
        """Scale weights so that sum_f w_f d_f has unit norm, float32 (n, k); rows without features stay 0."""
        norms = np.linalg.norm(self.reconstruct(codes), axis=1, keepdims=True)
        weights = np.zeros_like(codes.weights)
        np.divide(codes.weights, norms, out=weights, where=norms > 0)
        return weights

    def decode(self, codes: Codes) -> Floats:
        """Reconstruct vectors, float32 (n, d)."""
        return self.reconstruct(codes) + self.b_dec

    def reconstruct(self, codes: Codes) -> Floats:
        """Return sum_f w_f d_f for each row of codes, float32 (n, d), without b_dec."""
        out = np.zeros((len(codes.features), self.dim), np.float32)
        _add_rows(codes.features, codes.weights, self.W_dec, out)
        return out

    def measure(self, x: npt.ArrayLike) -> Quality:
        """Measure the codes of :meth:`encode_unit` for unit vectors (n, d); the fvu is 0 if all are equal."""
        x = self._rows(x)
        codes = self.encode_unit(x)
        active = codes.weights > 0
        return Quality(
            fvu=unexplained(x, self.reconstruct(codes)),
            l0=float(active.sum() / max(len(x), 1)),
            dead_fraction=1 - np.unique(codes.features[active]).size / self.n_features,
        )

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self.W_enc, self.b_enc - _product(self.b_dec, self.W_enc))

    @cached_property
    def _seen_decoder(self) -> tuple[Floats, Floats]:
        """Rows of W_dec R, float32 (m, d), scaled to unit norm, and the norms they had (m,)."""
        rows = self.W_dec if self.root is None else _product(self.W_dec, self.root)
        return center_and_normalize(rows, 0), np.linalg.norm(rows, axis=1)

    def _rows(self, x: npt.ArrayLike) -> Floats:
        x = np.ascontiguousarray(x, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.dim:
            msg = f"expected vectors of shape (n, {self.dim}), not {x.shape}"
            raise InvalidInputError(msg)
        return x


def _product(a: Floats, b: Floats) -> Floats:
    """Return a b, summed in float64 and in order.

    BLAS rounds otherwise where it has another number of threads, and so would every index made there.
    """
    product: Floats = np.einsum("...i,ij->...j", a, b, dtype=np.float64).astype(np.float32)
    return product


def unexplained(x: Floats, x_hat: Floats, metric: Floats | None = None) -> float:
    """Return sum (x - x_hat)^T M (x - x_hat) / sum (x - mean)^T M (x - mean); 0 if all x are equal.

    With the identity as M this is the fraction of variance unexplained.

    Args:
        x: float32 (n, d).
        x_hat: Reconstructions, float32 (n, d).
        metric: M, float32 (d, d); the identity if None.
    """
    error, spread = (
        float(np.sum(part * (part if metric is None else part @ metric), dtype=np.float64))
        for part in (x - x_hat, x - x.mean(axis=0, dtype=np.float64).astype(np.float32))
    )
    return error / spread if spread else 0.0


def center_and_normalize(x: npt.ArrayLike, mean: npt.ArrayLike) -> Floats:
    """Subtract a mean and scale each vector to unit norm; a vector equal to the mean becomes 0.

    Args:
        x: Vectors (..., d) of any float type.
        mean: (d,) or broadcastable.

    Returns:
        float32 (..., d).
    """
    centred = np.subtract(x, mean, dtype=np.float32)
    norms = np.linalg.norm(centred, axis=-1, keepdims=True)
    np.divide(centred, norms, out=centred, where=norms > 0)
    return centred


@njit(cache=True, nogil=True)
def _add_rows(features: Features, weights: Floats, rows: Floats, out: Floats) -> None:
    """Add sum_f w_f rows[f] to each row of ``out``."""
    for i in range(features.shape[0]):
        for slot in range(features.shape[1]):
            weight = weights[i, slot]
            if weight != 0:
                feature = features[i, slot]
                for j in range(rows.shape[1]):
                    out[i, j] += weight * rows[feature, j]
