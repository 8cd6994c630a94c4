"""Embedding models by name: MiniLM and E5 from PyPI wheels, others through sentence-transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_library, pip_install
from s3_retriever.errors import HostNotFoundError
from s3_retriever.evaluation.rivals.e5 import E5
from s3_retriever.evaluation.rivals.minilm import MiniLM
from s3_retriever.host.untrusted import refuse_code

MINILM = "minilm"
"""Name of all-MiniLM-L6-v2."""

E5_SMALL = "e5-small"
"""Name of multilingual-e5-small."""

_ALIASES: Mapping[str, str] = {
    "bge-small": "BAAI/bge-small-en-v1.5",
    "bge-base": "BAAI/bge-base-en-v1.5",
    "bge-large": "BAAI/bge-large-en-v1.5",
}
_BGE_QUERY = "Represent this sentence for searching relevant passages: "  # their configurations lack it
_PLAIN = {"normalize_embeddings": True, "show_progress_bar": False, "convert_to_numpy": True}


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the vectors of passages, float32 (n, d)."""

    def embed_question(self, text: str) -> npt.NDArray[np.float32]:
        """Return the vector of a question, float32 (d,)."""


class SentenceModel:
    """A model of sentence-transformers, with the prompts that it was trained with.

    Args:
        name: Folder or hub name, or "bge-small", "bge-base" or "bge-large" for BGE v1.5 in English.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
        HostNotFoundError: The model cannot be loaded.
        UnsupportedHostError: It brings code, or pickled weights.
    """

    def __init__(self, name: str) -> None:
        taken = f"embedding models, for which {name!r} is taken,"
        check_library(taken, "sentence-transformers", "sentence_transformers", pip_install("embeddings"))
        from sentence_transformers import SentenceTransformer

        known = _ALIASES.get(name, name)
        if Path(known).is_dir():
            refuse_code(Path(known))  # sentence-transformers runs the code of a folder unasked
        try:
            self._model: Any = SentenceTransformer(
                known, device="cpu", trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            msg = f"the embedding model {known!r} cannot be loaded: {reason}; give the folder that holds it"
            raise HostNotFoundError(msg) from error
        self._query = {"prompt": _BGE_QUERY} if known in _ALIASES.values() else {}

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the vectors of passages, float32 (n, d)."""
        return np.asarray(self._model.encode_document(list(texts), **_PLAIN), np.float32)

    def embed_question(self, text: str) -> npt.NDArray[np.float32]:
        """Return the vector of a question, float32 (d,)."""
        return np.asarray(self._model.encode_query(text, **self._query, **_PLAIN), np.float32)


def load_embedder(name: str) -> Embedder:
    """Load "minilm", "e5-small" or a model of sentence-transformers.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
        HostNotFoundError: The model cannot be loaded.
    """
    if name == MINILM:
        return MiniLM.load()
    return E5.load() if name == E5_SMALL else SentenceModel(name)
