"""Top-k sparse autoencoder: turns a key vector into a few feature ids with weights, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.pursuit import pursue

Floats = npt.NDArray[np.float32]
Features = npt.NDArray[np.uint16]

# 1,024 rows x 2,048 features are 8 MB of pre-activations: they stay in the cache between product and top-k.
_BLOCK_ROWS = 1024
# Features looked at together by the top-k kernel: one AVX-512 register of float32.
_LANES = 16
# Columns of a product computed at a time: four rows of results stay in the first-level cache.
_COLUMNS = 512
# Strongest activations among which the features that are stored are pursued; more cost time, and gain little.
_CANDIDATES = 32


class Codes(NamedTuple):
    """Sparse codes of n vectors; slots are sorted by descending weight, unused ones have weight 0.

    Attributes:
        features: uint16 (n, k).
        weights: float32 (n, k), >= 0.
    """

    features: Features
    weights: Floats


@dataclass(frozen=True)
class Quality:
    """How well an SAE represents a set of vectors.

    Attributes:
        fvu: Fraction of variance unexplained, sum |x - x_hat|^2 / sum |x - mean(x)|^2.
        l0: Mean number of active features per vector.
        dead_fraction: Share of the features that no vector activates.
    """

    fvu: float
    l0: float
    dead_fraction: float


@dataclass(frozen=True, eq=False)
class TopKSAE:
    """z = the k largest of ReLU((x - b_dec) W_enc + b_enc); x_hat = z W_dec + b_dec.

    The Top-k autoencoder of arXiv 2406.04093, used on keys as in arXiv 2512.10547; names and shapes of the
    arrays are those of SAELens.

    Attributes:
        W_enc: float32 (d, m).
        b_enc: float32 (m,).
        W_dec: float32 (m, d), rows of unit norm.
        b_dec: float32 (d,).
        k: Features kept per vector.

    Raises:
        InvalidInputError: Shapes do not fit together, an array is not finite, or k is not in 1..m.
    """

    W_enc: Floats
    b_enc: Floats
    W_dec: Floats
    b_dec: Floats
    k: int

    def __post_init__(self) -> None:
        m, d = self.W_dec.shape
        for name, shape in {"W_enc": (d, m), "b_enc": (m,), "W_dec": (m, d), "b_dec": (d,)}.items():
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if array.shape != shape:
                msg = f"SAE array {name} must have shape {shape}, not {array.shape}"
                raise InvalidInputError(msg)
            if not np.isfinite(array).all():
                msg = f"SAE array {name} holds values that are not finite; train the SAE again"
                raise InvalidInputError(msg)
            object.__setattr__(self, name, array)
        if m > 1 << 16:
            msg = f"an SAE has at most 65536 features (ids are uint16), not {m}"
            raise InvalidInputError(msg)
        if not 1 <= self.k <= m:
            msg = f"k must lie between 1 and the number of features, {m}, not {self.k}"
            raise InvalidInputError(msg)

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
        return self._strongest(self._rows(x), self.k)

    def _strongest(self, x: Floats, k: int) -> Codes:
        """Return the k largest positive activations of each row."""
        weight, bias = self._padded_encoder
        codes = Codes(np.zeros((len(x), k), np.uint16), np.zeros((len(x), k), np.float32))
        scratch = np.empty((min(_BLOCK_ROWS, len(x)), bias.size), np.float32)
        for start in range(0, len(x), _BLOCK_ROWS):
            block = x[start : start + _BLOCK_ROWS]
            activations = scratch[: len(block)]
            _multiply(block, weight, activations)
            _keep_top_k(
                activations.reshape(len(block), *bias.shape),
                bias,
                codes.features[start : start + len(block)],
                codes.weights[start : start + len(block)],
            )
        return codes

    def encode_unit(self, x: npt.ArrayLike) -> Codes:
        """Encode vectors as closely as k features can, with unit reconstructions: what an index stores.

        The features come from the strongest activations by orthogonal matching pursuit
        (:mod:`s3_retriever.features.pursuit`), which leaves half the error of the k strongest themselves.

        Args:
            x: (n, d), as :func:`center_and_normalize` returns them.

        Raises:
            InvalidInputError: ``x`` is not (n, d).
        """
        x = self._rows(x)
        candidates = self._strongest(x, min(max(_CANDIDATES, self.k), self.n_features))
        codes = Codes(np.zeros((len(x), self.k), np.uint16), np.zeros((len(x), self.k), np.float32))
        counts = np.count_nonzero(candidates.weights, axis=1).astype(np.uint16)
        pursue(x - self.b_dec, candidates.features, counts, self.W_dec, codes.features, codes.weights)
        return Codes(codes.features, self.normalized_weights(codes))

    def normalized_weights(self, codes: Codes) -> Floats:
        """Scale weights so that sum_f w_f d_f has unit norm; rows without active features stay zero.

        Args:
            codes: Codes of n vectors.

        Returns:
            float32 (n, k).
        """
        norms = np.linalg.norm(self._combine(codes), axis=1, keepdims=True)
        weights = np.zeros_like(codes.weights)
        np.divide(codes.weights, norms, out=weights, where=norms > 0)
        return weights

    def decode(self, codes: Codes) -> Floats:
        """Reconstruct vectors, float32 (n, d)."""
        return self._combine(codes) + self.b_dec

    def measure(self, x: npt.ArrayLike) -> Quality:
        """Measure the reconstruction of ``x`` (n, d); of vectors that are all equal, the fvu is 0."""
        x = self._rows(x)
        codes = self.encode(x)
        error = float(np.square(x - self.decode(codes)).sum(dtype=np.float64))
        variance = float(np.square(x - x.mean(axis=0, dtype=np.float64)).sum(dtype=np.float64))
        active = codes.weights > 0
        return Quality(
            fvu=error / variance if variance else 0.0,
            l0=float(active.sum() / max(len(x), 1)),
            dead_fraction=1 - np.unique(codes.features[active]).size / self.n_features,
        )

    @cached_property
    def _padded_encoder(self) -> tuple[Floats, Floats]:
        """W_enc (d, m') and bias (m' / lanes, lanes): b_dec folded in, m padded to whole lanes."""
        padding = -self.n_features % _LANES
        bias = self.b_enc - self.b_dec @ self.W_enc
        return (
            np.pad(self.W_enc, ((0, 0), (0, padding))),
            np.pad(bias, (0, padding), constant_values=-np.inf).reshape(-1, _LANES),
        )

    def _combine(self, codes: Codes) -> Floats:
        out = np.zeros((len(codes.features), self.dim), np.float32)
        _add_rows(codes.features, codes.weights, self.W_dec, out)
        return out

    def _rows(self, x: npt.ArrayLike) -> Floats:
        x = np.ascontiguousarray(x, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.dim:
            msg = f"expected vectors of shape (n, {self.dim}), not {x.shape}"
            raise InvalidInputError(msg)
        return x


def center_and_normalize(x: npt.ArrayLike, mean: npt.ArrayLike) -> Floats:
    """Subtract a mean and scale each vector to unit norm; a vector equal to the mean becomes zero.

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


# Not NumPy's product: the threads of its BLAS spin for a while after each one, and where taps are encoded in
# threads of their own that halves the speed of all.
@numba.njit(cache=True, nogil=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def _multiply(x: Floats, matrix: Floats, out: Floats) -> None:
    """Write ``x @ matrix``, four rows by two terms at a time, which spares loads and stores."""
    n, dim = x.shape
    size = matrix.shape[1]
    rows, terms = n - n % 4, dim - dim % 2
    for first in range(0, size, _COLUMNS):
        last = min(size, first + _COLUMNS)
        out[:, first:last] = 0
        for i in range(0, rows, 4):
            a, b = out[i, first:last], out[i + 1, first:last]
            c, d = out[i + 2, first:last], out[i + 3, first:last]
            for j in range(0, terms, 2):
                one, two = matrix[j, first:last], matrix[j + 1, first:last]
                a1, b1, c1, d1 = x[i, j], x[i + 1, j], x[i + 2, j], x[i + 3, j]
                a2, b2, c2, d2 = x[i, j + 1], x[i + 1, j + 1], x[i + 2, j + 1], x[i + 3, j + 1]
                for f in range(last - first):
                    u, v = one[f], two[f]
                    a[f] += a1 * u + a2 * v
                    b[f] += b1 * u + b2 * v
                    c[f] += c1 * u + c2 * v
                    d[f] += d1 * u + d2 * v
        for i in range(n):
            for j in range(0 if i >= rows else terms, dim):
                for f in range(first, last):
                    out[i, f] += x[i, j] * matrix[j, f]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _keep_top_k(activations: Floats, bias: Floats, features: Features, weights: Floats) -> None:
    """Write the k largest positive ``activations + bias`` of each row, largest first.

    Most groups of lanes hold nothing above the k-th largest value so far; the first loop, which compiles to
    one vector comparison, skips them. ``features`` and ``weights`` must be zero on entry.
    """
    n, groups, lanes = activations.shape
    k = features.shape[1]
    for i in range(n):
        threshold = np.float32(0)
        for group in range(groups):
            hit = False
            for lane in range(lanes):
                hit |= activations[i, group, lane] + bias[group, lane] > threshold
            if not hit:
                continue
            for lane in range(lanes):
                value = activations[i, group, lane] + bias[group, lane]
                if value > threshold:
                    slot = k - 1
                    while slot > 0 and weights[i, slot - 1] < value:
                        weights[i, slot] = weights[i, slot - 1]
                        features[i, slot] = features[i, slot - 1]
                        slot -= 1
                    weights[i, slot] = value
                    features[i, slot] = group * lanes + lane
                    threshold = weights[i, k - 1]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_rows(features: Features, weights: Floats, rows: Floats, out: Floats) -> None:
    """Add sum_f w_f rows[f] to each row of ``out``."""
    for i in range(features.shape[0]):
        for slot in range(features.shape[1]):
            weight = weights[i, slot]
            if weight != 0:
                feature = features[i, slot]
                for j in range(rows.shape[1]):
                    out[i, j] += weight * rows[feature, j]
