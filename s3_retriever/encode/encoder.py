"""The encoder of a sparse autoencoder: which features of a vector are strongest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import aligned, aligned_in_kernel, njit
from s3_retriever.encode.pursuit import Features, Floats

# Rows encoded at a time: with 2,048 features they give 8 MB of pre-activations, which stay in the cache.
_BLOCK_ROWS = 1024
# Features that the top-k kernel compares at once: one AVX-512 register of float32.
_LANES = 16
# Columns of a product computed at a time: four rows of results fit the first-level cache.
_COLUMNS = 512
# Values of which the k-th largest is found by comparing all with all, which beats sorting of few.
_FEW = 128
# Strongest activations that matching pursuit chooses from; more of them cost time and gain little.
_CANDIDATES = 32

Ints = npt.NDArray[np.int64]


class Codes(NamedTuple):
    """Sparse codes of n vectors, sorted by descending weight; unused slots have weight 0.

    Attributes:
        features: uint16 (n, k).
        weights: float32 (n, k), >= 0.
    """

    features: Features
    weights: Floats


class Encoder:
    """The encoder of an SAE, laid out for the kernels: the largest values of ReLU(x W + b).

    Args:
        weight: float32 (d, m).
        bias: float32 (m,).
    """

    def __init__(self, weight: Floats, bias: Floats) -> None:
        self._size = len(bias)
        padded = len(bias) + -len(bias) % _LANES
        self._weight = aligned(len(weight) * padded).reshape(len(weight), padded)
        self._weight[:, : len(bias)], self._weight[:, len(bias) :] = weight, 0
        self._bias = aligned(padded).reshape(-1, _LANES)
        self._bias.flat[: len(bias)], self._bias.flat[len(bias) :] = bias, -np.inf

    def candidates(self, x: Floats, k: int) -> Codes:
        """Return the activations that :func:`pursued` chooses the k features of each row from."""
        return self.strongest(x, min(max(_CANDIDATES, k), self._size))

    def strongest(self, x: Floats, k: int) -> Codes:
        """Return the k largest positive activations of each row of x (n, d), largest first."""
        codes = Codes(np.zeros((len(x), k), np.uint16), np.zeros((len(x), k), np.float32))
        rows = min(_BLOCK_ROWS, len(x))
        scratch = aligned(rows * self._bias.size).reshape(rows, self._bias.size)
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


# NumPy's product is not used: the threads of its BLAS spin for a while after each call. Taps are encoded in
# threads of their own, and the spinning halves the speed of all.
@njit(cache=True, nogil=True, fastmath={"contract"})
def multiply(x: Floats, matrix: Floats, out: Floats) -> None:
    """Write ``x @ matrix`` to ``out``, four rows by four terms at a time, which saves loads and stores."""
    n, dim = x.shape
    size = matrix.shape[1]
    rows, terms = n - n % 4, dim - dim % 4
    for first in range(0, size, _COLUMNS):
        last = min(size, first + _COLUMNS)
        out[:, first:last] = 0
        for i in range(0, rows, 4):
            a, b = out[i, first:last], out[i + 1, first:last]
            c, d = out[i + 2, first:last], out[i + 3, first:last]
            for j in range(0, terms, 4):
                m1, m2 = matrix[j, first:last], matrix[j + 1, first:last]
                m3, m4 = matrix[j + 2, first:last], matrix[j + 3, first:last]
                a1, a2, a3, a4 = x[i, j], x[i, j + 1], x[i, j + 2], x[i, j + 3]
                b1, b2, b3, b4 = x[i + 1, j], x[i + 1, j + 1], x[i + 1, j + 2], x[i + 1, j + 3]
                c1, c2, c3, c4 = x[i + 2, j], x[i + 2, j + 1], x[i + 2, j + 2], x[i + 2, j + 3]
                d1, d2, d3, d4 = x[i + 3, j], x[i + 3, j + 1], x[i + 3, j + 2], x[i + 3, j + 3]
                for f in range(last - first):
                    s, t, u, v = m1[f], m2[f], m3[f], m4[f]
                    a[f] += a1 * s + a2 * t + a3 * u + a4 * v
                    b[f] += b1 * s + b2 * t + b3 * u + b4 * v
                    c[f] += c1 * s + c2 * t + c3 * u + c4 * v
                    d[f] += d1 * s + d2 * t + d3 * u + d4 * v
        for i in range(n):
            for j in range(0 if i >= rows else terms, dim):
                for f in range(first, last):
                    out[i, f] += x[i, j] * matrix[j, f]


@njit(cache=True, nogil=True)
def _keep_top_k(activations: Floats, bias: Floats, features: Features, weights: Floats) -> None:
    """Write the k largest positive ``activations + bias`` of each row, largest first.

    At least k values of a row are no less than its floor, and few more are. Those alone are sorted.
    ``features`` and ``weights`` must be 0 on entry.
    """
    n, groups, lanes = activations.shape
    k = features.shape[1]
    values = aligned_in_kernel(groups * lanes).reshape(groups, lanes)
    parts = min(-(-2 * k // lanes), groups)
    greatest = aligned_in_kernel(parts * lanes)
    counts = np.empty(parts * lanes, np.int32)
    hits, places = np.empty(groups + 1, np.int64), np.empty(groups * lanes + 1, np.int64)
    for i in range(n):
        _add_bias(activations[i], bias, values, greatest)
        used = 0
        for feature in places[: _find(values, _floor(greatest, k, counts), hits, places)]:
            value = values[feature // lanes, feature % lanes]
            if value <= 0 or (used >= k and value <= weights[i, k - 1]):
                continue
            slot = min(used, k - 1)
            used += 1
            while slot > 0 and weights[i, slot - 1] < value:
                weights[i, slot] = weights[i, slot - 1]
                features[i, slot] = features[i, slot - 1]
                slot -= 1
            weights[i, slot] = value
            features[i, slot] = feature


@njit(cache=True, nogil=True)
def _add_bias(activations: Floats, bias: Floats, values: Floats, greatest: Floats) -> None:
    """Write sums to ``values`` (groups, lanes), the greatest of each lane in some parts to ``greatest``."""
    groups, lanes = values.shape
    size = groups * lanes // len(greatest)  # groups of a part; the last one has the rest too
    for first in range(0, len(greatest), lanes):
        own = greatest[first : first + lanes]
        own[:] = 0
        begin = first // lanes * size
        for group in range(begin, groups if first + lanes == len(greatest) else begin + size):
            a, b, out = activations[group], bias[group], values[group]
            for lane in range(lanes):
                total = a[lane] + b[lane]
                out[lane] = total
                own[lane] = total if total > own[lane] else own[lane]


@njit(cache=True, nogil=True)
def _floor(greatest: Floats, k: int, counts: npt.NDArray[np.int32]) -> np.float32:
    """Return the k-th largest of some values, 0 where they are fewer; ``counts`` (n,) is written over."""
    floor = np.float32(0)
    if len(greatest) < k:
        return floor
    if len(greatest) > _FEW:
        return np.float32(np.sort(greatest)[len(greatest) - k])
    counts[:] = 0
    for other in greatest:
        for i in range(len(greatest)):
            counts[i] += np.int32(other >= greatest[i])
    for i in range(len(greatest)):
        least = greatest[i] if counts[i] >= k else np.float32(0)
        floor = least if least > floor else floor
    return floor


@njit(cache=True, nogil=True)
def _find(values: Floats, floor: np.float32, hits: Ints, places: Ints) -> int:
    """Write the places of values (groups, lanes) that are no less than a floor; return how many they are.

    Args:
        values: float32 (groups, lanes).
        floor: The least that counts.
        hits: int64 (groups + 1,), written over.
        places: int64 (groups * lanes + 1,), written; in ascending order.
    """
    groups, lanes = values.shape
    n_hits = n = 0
    for group in range(groups):  # without branches, which a processor would foresee badly
        row, hit = values[group], np.int32(0)
        for lane in range(lanes):
            hit |= np.int32(row[lane] >= floor)
        hits[n_hits] = group
        n_hits += int(hit)
    for group in hits[:n_hits]:
        for lane in range(lanes):
            places[n] = group * lanes + lane
            n += values[group, lane] >= floor
    return n
