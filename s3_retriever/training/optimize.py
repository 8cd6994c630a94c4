"""One training run of an SAE, step by step: gradients by hand, Adam, AuxK for dead features, the metric.

The decoder learns to reconstruct keys from the features that matching pursuit picks, since an index stores
those. The encoder learns to reconstruct them from its k largest activations with the same decoder. That
teaches it to rank the features that pursuit chooses from. All gradients come from sparse codes, so a step
costs little more than finding the k largest activations.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.encode.encoder import Codes, Encoder, multiply
from s3_retriever.encode.sae import Features, Floats, TopKSAE, center_and_normalize, pursued
from s3_retriever.errors import InvalidInputError
from s3_retriever.training.resume import Arrays

if TYPE_CHECKING:
    from s3_retriever.training.sae_training import TrainConfig

# Rows that one thread encodes at a time. It must not depend on the machine, since sums depend on it.
_BLOCK_ROWS = 512
_BETAS = (np.float32(0.9), np.float32(0.999))
_EPSILON = np.float32(1e-8)
# Added to the eigenvalues of the queries' second moment, whose mean is 1: no direction gets weight 0.
_FLOOR = 0.1
# Power of the moment that gives R. The full metric has 1/2. Reconstructions are scaled to unit norm, which
# weighs all directions alike, so half of that keeps more of both the scores and the ranks.
_POWER = 0.25


def second_moment(queries: npt.ArrayLike) -> Floats:
    """Return M, the mean of q q^T. The mean square error of scores q.x is (x - x_hat)^T M (x - x_hat).

    Args:
        queries: (n, d), centred and mapped, as they meet keys.

    Returns:
        float32 (d, d), scaled to trace d.

    Raises:
        InvalidInputError: The queries have another shape, are not finite, or all zero.
    """
    rows = np.asarray(queries, dtype=np.float64)
    moment = rows.T @ rows if rows.ndim == 2 else np.zeros((1, 1))
    if not np.isfinite(moment).all() or not np.trace(moment) > 0:
        msg = f"the metric needs finite queries of shape (n, d) that are not all zero, not {rows.shape}"
        raise InvalidInputError(msg)
    return np.asarray(moment * (len(moment) / np.trace(moment)), dtype=np.float32)


def metric_root(queries: npt.ArrayLike) -> Floats:
    """Return R = (M + 0.1)^(1/4), float32 (d, d), with M the :func:`second_moment` of the queries.

    An SAE in the metric of the queries makes (x - x_hat) R small.

    Raises:
        InvalidInputError: As :func:`second_moment`.
    """
    values, vectors = np.linalg.eigh(second_moment(queries).astype(np.float64))
    return np.asarray((vectors * (values.clip(0) + _FLOOR) ** _POWER) @ vectors.T, dtype=np.float32)


def in_metric(sae: TopKSAE, root: Floats) -> TopKSAE:
    """Turn an SAE that was trained on keys x R into one for keys x, with R as its root."""
    decoder = np.linalg.solve(root.astype(np.float64), sae.W_dec.T.astype(np.float64)).T
    norms = np.linalg.norm(decoder, axis=1)
    return TopKSAE(
        (root @ sae.W_enc) * norms, sae.b_enc * norms, decoder / norms[:, None], sae.b_dec, sae.k, root
    )


class SAETrainer:
    """Parameters and optimiser of a run. The state after a step depends on the state before it only.

    Args:
        config: Settings.
        keys: float16 or float32 (n, d), as the loss compares them with their reconstructions.
        rows: The keys to train on, int64 (n',).
    """

    def __init__(
        self,
        config: TrainConfig,
        keys: npt.NDArray[np.floating[Any]],
        rows: npt.NDArray[np.int64],
    ) -> None:
        self.config, self.keys, self.rows = config, keys, rows
        self.steps = 0
        # Features start as keys, so that none starts far from all of them; the noise separates duplicates.
        random = self._random()
        start = self._draw(random, config.n_features)
        noise = random.standard_normal(start.shape, dtype=np.float32) / np.float32(start.shape[1] ** 0.5)
        self.decoder = center_and_normalize(start + np.float32(0.1) * noise, np.float32(0))
        # The encoder is kept transposed, (m, d), so that the features of a vector are gathered as rows.
        self.encoder = self.decoder.copy()
        self.bias = np.zeros(config.n_features, np.float32)
        self.idle = np.zeros(config.n_features, np.int64)  # vectors since a feature was last picked
        self._moments = [(np.zeros_like(part), np.zeros_like(part)) for part in self._parameters]

    @property
    def _parameters(self) -> tuple[Floats, Floats, Floats]:
        return self.encoder, self.bias, self.decoder

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Which features were picked for none of the last ``dead_after`` vectors."""
        return self.idle >= self.config.dead_after

    def sae(self) -> TopKSAE:
        """Return the parameters as they stand."""
        zero = np.zeros(self.decoder.shape[1], np.float32)
        return TopKSAE(self.encoder.T.copy(), self.bias.copy(), self.decoder.copy(), zero, self.config.k)

    def arrays(self) -> Arrays:
        """Return all state but the number of steps; the arrays are not copied."""
        named: Arrays = {"encoder": self.encoder, "bias": self.bias, "decoder": self.decoder}
        for name, (first, second) in zip(tuple(named), self._moments, strict=True):
            named |= {f"{name}_first": first, f"{name}_second": second}
        return {**named, "idle": self.idle}

    def restore(self, arrays: Arrays, steps: int) -> None:
        """Take over what :meth:`arrays` gave after ``steps`` steps.

        Raises:
            KeyError: An array is missing.
            ValueError: An array has another shape.
        """
        for name, own in self.arrays().items():
            own[...] = arrays[name]
        self.steps = steps

    def step(self, rate: float) -> None:
        """Take one optimiser step at this learning rate."""
        self.steps += 1
        config = self.config
        x = self._draw(self._random(), config.batch_size)
        strongest, picked = self._codes(x)
        self.idle += len(x)
        self.idle[picked.features[picked.weights > 0]] = 0

        gradients = [np.zeros_like(part) for part in self._parameters]
        scale = np.float32(-2 / len(x))
        error = _residual(x, strongest, self.decoder)
        _add_encoder_gradient(x, error, *strongest, self.decoder, scale, *gradients[:2])
        error = _residual(x, picked, self.decoder)
        _add_decoder_gradient(error, *picked, scale, gradients[2])
        revived = self._revived(x)
        if revived:
            error = _residual(error, revived, self.decoder)
            scale *= np.float32(config.aux_weight)
            _add_encoder_gradient(x, error, *revived, self.decoder, scale, *gradients[:2])
            _add_decoder_gradient(error, *revived, scale, gradients[2])

        # Rows keep unit norm, so the part of the gradient along a row is taken off.
        gradients[2] -= (gradients[2] * self.decoder).sum(axis=1, keepdims=True) * self.decoder
        for parameter, gradient, moments in zip(self._parameters, gradients, self._moments, strict=True):
            _adam(*(part.reshape(-1) for part in (parameter, gradient, *moments)), rate, self.steps)
        self.decoder /= np.linalg.norm(self.decoder, axis=1, keepdims=True)

    def _random(self) -> np.random.Generator:
        """Return the random numbers of this step, whatever was drawn before."""
        return np.random.default_rng([self.config.seed, 1 + self.steps])

    def _draw(self, random: np.random.Generator, n: int) -> Floats:
        """Return n of the keys, drawn with replacement."""
        drawn = self.rows[random.integers(len(self.rows), size=n)]
        return self.keys[drawn].astype(np.float32, copy=False)

    def _codes(self, x: Floats) -> tuple[Codes, Codes]:
        """Return the k strongest activations of each row, and the k features that the decoder learns for."""
        encoder, k = Encoder(np.ascontiguousarray(self.encoder.T), self.bias), self.config.k

        def encode(start: int) -> tuple[Codes, Codes]:
            block = x[start : start + _BLOCK_ROWS]
            if not self.config.pursue:
                plain = encoder.strongest(block, k)
                return plain, plain
            candidates = encoder.candidates(block, k)
            strongest = Codes(candidates.features[:, :k], candidates.weights[:, :k])
            return strongest, pursued(block, candidates, self.decoder, k)

        starts = range(0, len(x), _BLOCK_ROWS)
        with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
            strongest, picked = zip(*pool.map(encode, starts), strict=True)
        return _joined(strongest), _joined(picked)

    def _revived(self, x: Floats) -> Codes | None:
        """Return the strongest dead features of each row (AuxK), or None if all live.

        Their activations skip the ReLU, or a feature that is negative on all vectors would get no gradient.
        """
        dead = np.flatnonzero(self.dead)
        k = min(self.config.k_aux, len(dead))
        if not k:
            return None
        activations = np.empty((len(x), len(dead)), np.float32)
        multiply(x, np.ascontiguousarray(self.encoder[dead].T), activations)
        activations += self.bias[dead]
        top = np.argpartition(-activations, k - 1, axis=1)[:, :k]
        return Codes(dead[top].astype(np.uint16), np.take_along_axis(activations, top, axis=1))


def _joined(parts: Sequence[Codes]) -> Codes:
    return Codes(np.concatenate([p.features for p in parts]), np.concatenate([p.weights for p in parts]))


def _residual(x: Floats, codes: Codes, decoder: Floats) -> Floats:
    """Return x less its reconstruction."""
    rest = x.copy()
    _subtract(rest, *codes, decoder)
    return rest


@njit(cache=True, nogil=True, fastmath={"contract"})
def _subtract(rest: Floats, features: Features, weights: Floats, decoder: Floats) -> None:
    for i in range(features.shape[0]):
        for slot in range(features.shape[1]):
            weight = weights[i, slot]
            if weight != 0:
                feature = features[i, slot]
                for j in range(rest.shape[1]):
                    rest[i, j] -= weight * decoder[feature, j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _add_encoder_gradient(
    x: Floats,
    error: Floats,
    features: Features,
    weights: Floats,
    decoder: Floats,
    scale: np.float32,
    weight_gradient: Floats,
    bias_gradient: Floats,
) -> None:
    """Add scale * (error . d_f), the gradient at an activation, to its bias, and times x to its row."""
    for i in range(features.shape[0]):
        for slot in range(features.shape[1]):
            if weights[i, slot] != 0:
                feature = features[i, slot]
                slope = np.float32(0)
                for j in range(x.shape[1]):
                    slope += error[i, j] * decoder[feature, j]
                slope *= scale
                bias_gradient[feature] += slope
                for j in range(x.shape[1]):
                    weight_gradient[feature, j] += slope * x[i, j]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_decoder_gradient(
    error: Floats, features: Features, weights: Floats, scale: np.float32, gradient: Floats
) -> None:
    """Add scale * weight * error to the row of each feature."""
    for i in range(features.shape[0]):
        for slot in range(features.shape[1]):
            weight = scale * weights[i, slot]
            if weight != 0:
                feature = features[i, slot]
                for j in range(error.shape[1]):
                    gradient[feature, j] += weight * error[i, j]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _adam(parameter: Floats, gradient: Floats, first: Floats, second: Floats, rate: float, step: int) -> None:
    """Take a step of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1), in place."""
    beta1, beta2 = _BETAS
    unbias1 = np.float32(1) / np.float32(1 - float(beta1) ** step)
    unbias2 = np.float32(1) / np.float32(1 - float(beta2) ** step)
    rate32 = np.float32(rate)
    for i in range(len(parameter)):
        first[i] = beta1 * first[i] + (np.float32(1) - beta1) * gradient[i]
        second[i] = beta2 * second[i] + (np.float32(1) - beta2) * gradient[i] * gradient[i]
        parameter[i] -= rate32 * unbias1 * first[i] / (np.sqrt(unbias2 * second[i]) + _EPSILON)
