"""The fast half of an SAE: the strongest activations of many vectors, and what is pursued among them."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

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


class Encoder:
    """The encoder's half of an SAE, laid out for the kernels: ReLU(x W + b), of which only the top is kept.

    Args:
        weight: float32 (d, m).
        bias: float32 (m,).
    """

    def __init__(self, weight: Floats, bias: Floats) -> None:
        padding = -len(bias) % _LANES
        self._size = len(bias)
        self._weight = np.pad(weight, ((0, 0), (0, padding)))
        self._bias = np.pad(bias, (0, padding), constant_values=-np.inf).reshape(-1, _LANES)

    def candidates(self, x: Floats, k: int) -> Codes:
        """Return the activations among which the k features of each row are pursued."""
        return self.strongest(x, min(max(_CANDIDATES, k), self._size))

    def strongest(self, x: Floats, k: int) -> Codes:
        """Return the k largest positive activations of each row of x (n, d), largest first."""
        codes = Codes(np.zeros((len(x), k), np.uint16), np.zeros((len(x), k), np.float32))
        scratch = np.empty((min(_BLOCK_ROWS, len(x)), self._bias.size), np.float32)
        for start in range(0, len(x), _BLOCK_ROWS):
            block = x[start : start + _BLOCK_ROWS]
            activations = scratch[: len(block)]
            multiply(block, self._weight, activations)
            _keep_top_k(
                activations.reshape(len(block), *self._bias.shape),
                self._bias,
                codes.features[start : start + len(block)],
                codes.weights[start : start + len(block)],
            )
        return codes


def pursued(x: Floats, candidates: Codes, dictionary: Floats, k: int) -> Codes:
    """Choose k of each row's candidates by matching pursuit; the weights are the least-squares ones.

    Args:
        x: float32 (n, d).
        candidates: What :meth:`Encoder.candidates` gave for x.
        dictionary: float32 (m, d), rows of unit norm.
        k: Features per row.
    """
    codes = Codes(np.zeros((len(x), k), np.uint16), np.zeros((len(x), k), np.float32))
    counts = np.count_nonzero(candidates.weights, axis=1).astype(np.uint16)
    pursue(x, candidates.features, counts, dictionary, codes.features, codes.weights)
    return codes


# Not NumPy's product: the threads of its BLAS spin for a while after each one, and where taps are encoded in
# threads of their own that halves the speed of all.
@numba.njit(cache=True, nogil=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def multiply(x: Floats, matrix: Floats, out: Floats) -> None:
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
