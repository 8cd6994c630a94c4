"""An SAE for vectors as they are: centred and scaled by one number, not each to unit length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.features.sae import Floats, TopKSAE
from s3_retriever.features.train import TrainConfig, train_sae
from s3_retriever.host.projections import Edit


@dataclass(frozen=True, eq=False)
class Codec:
    """x_hat = mean + scale * SAE((x - mean) / scale), the SAE's code being its k largest activations.

    Attributes:
        mean: float32 (d,).
        scale: Root of the mean squared distance to the mean, so that the SAE sees vectors of length about 1.
            It is one number for all, since attention needs the lengths too.
        sae: Plain Top-k, as in arXiv 2512.10547.
    """

    mean: Floats
    scale: float
    sae: TopKSAE

    @classmethod
    def train(cls, vectors: npt.NDArray[np.float16], config: TrainConfig) -> Codec:
        """Train an SAE on raw keys or values (n, d).

        Raises:
            InvalidInputError: The vectors hold values that are not finite.
        """
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = vectors - mean
        scale = float(np.sqrt(np.square(centred).sum(axis=1, dtype=np.float64).mean())) or 1.0
        sae, _ = train_sae(centred / np.float32(scale), config)
        return cls(mean, scale, sae)

    def reconstruct(self, x: npt.NDArray[np.floating]) -> Floats:
        """Return the reconstruction of vectors (n, d), float32."""
        scale = np.float32(self.scale)
        return self.sae.decode(self.sae.encode((x - self.mean) / scale)) * scale + self.mean

    def fvu(self, x: npt.NDArray[np.floating]) -> float:
        """Return the fraction of variance unexplained, sum |x - x_hat|^2 / sum |x - mean(x)|^2, of (n, d)."""
        x = x.astype(np.float32)
        error = np.square(x - self.reconstruct(x)).sum(dtype=np.float64)
        variance = np.square(x - x.mean(axis=0, dtype=np.float64)).sum(dtype=np.float64)
        return float(error / variance) if variance else 0.0


def edit_by(codecs: Sequence[Codec]) -> Edit:
    """Return the edit that replaces heads (rows, n, K, d) by their reconstructions, a codec a head."""

    def edit(heads: torch.Tensor) -> torch.Tensor:
        flat = heads.flatten(0, 1).float().cpu().numpy()
        new = np.stack([codec.reconstruct(flat[:, h]) for h, codec in enumerate(codecs)], axis=1)
        return torch.from_numpy(new).reshape(heads.shape).to(heads.device)

    return edit
