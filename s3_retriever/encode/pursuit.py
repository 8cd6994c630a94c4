"""Non-negative orthogonal matching pursuit: picks the features of a vector one after the other.

The k largest activations of an encoder overlap: each is chosen as if it were alone. Matching pursuit picks
the feature that explains most of the residual, and refits all weights after each pick (Pati et al. 1993;
non-negative as in Bruckstein et al. 2008). With the same dictionary and k this halves the error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit

Floats = npt.NDArray[np.float32]
Features = npt.NDArray[np.uint16]

# Rounds of coordinate descent after each pick, which changes the weights little, and at the end.
_SWEEPS = 3
_LAST_SWEEPS = 12


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def pursue(
    x: Floats, candidates: Features, counts: Features, dictionary: Floats, features: Features, weights: Floats
) -> None:
    """Write the features of each row of ``x`` with their weights, largest first; unused slots stay 0.

    Args:
        x: float32 (n, d).
        candidates: uint16 (n, M), the features to choose from, distinct in a row.
        counts: uint16 (n,), the number of candidates in each row.
        dictionary: float32 (m, d), rows of unit norm.
        features: uint16 (n, k), written; 0 on entry.
        weights: float32 (n, k), written; 0 on entry.
    """
    n, dim = x.shape
    k = features.shape[1]
    atoms = np.empty((candidates.shape[1], dim), np.float32)
    gram = np.empty((k, k), np.float32)
    goal = np.empty(k, np.float32)
    fit = np.empty(k, np.float32)
    chosen = np.empty(k, np.int64)
    free = np.empty(candidates.shape[1], np.bool_)
    rest = np.empty(dim, np.float32)
    for i in range(n):
        available = np.int64(counts[i])
        for c in range(available):
            atoms[c] = dictionary[candidates[i, c]]
            free[c] = True
        rest[:] = x[i]
        used = 0
        while used < k:
            best = -1
            highest = np.float32(1e-6)
            for c in range(available):
                gain = np.float32(0)
                for j in range(dim):
                    gain += atoms[c, j] * rest[j]
                if free[c] and gain > highest:
                    best = c
                    highest = gain
            if best < 0:
                break
            free[best] = False
            chosen[used] = best
            goal[used] = _dot(atoms[best], x[i])
            for q in range(used + 1):
                gram[used, q] = gram[q, used] = _dot(atoms[best], atoms[chosen[q]])
            fit[used] = 0
            used += 1
            _descend(gram, goal, fit, used, _SWEEPS)
            rest[:] = x[i]
            for q in range(used):
                atom, weight = atoms[chosen[q]], fit[q]
                for j in range(dim):
                    rest[j] -= weight * atom[j]
        _descend(gram, goal, fit, used, _LAST_SWEEPS)
        for q in range(used):
            slot = q
            while slot > 0 and weights[i, slot - 1] < fit[q]:
                weights[i, slot] = weights[i, slot - 1]
                features[i, slot] = features[i, slot - 1]
                slot -= 1
            weights[i, slot] = fit[q]
            features[i, slot] = candidates[i, chosen[q]] if fit[q] > 0 else 0


@njit(cache=True, nogil=True)
def _descend(gram: Floats, goal: Floats, fit: Floats, used: int, sweeps: int) -> None:
    """Improve the non-negative least-squares weights ``fit`` by coordinate descent."""
    for _ in range(sweeps):
        for q in range(used - 1, -1, -1):
            slope = goal[q]
            for p in range(used):
                slope -= gram[q, p] * fit[p]
            fit[q] = max(np.float32(0), fit[q] + slope / gram[q, q])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(a: Floats, b: Floats) -> np.float32:
    total = np.float32(0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


# FIX
