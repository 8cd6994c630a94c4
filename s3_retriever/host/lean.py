"""Hosts of the plainest family, read without ``transformers``, which takes seconds to import.

What is read is the same: of rows of up to 64 tokens to the bit, of longer ones as near to exact numbers. Only
what is known to mean what it means here is taken: any setting that stands in neither list below leaves a host
to ``transformers``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import safetensors
import tokenizers
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from s3_retriever.host.batches import Joined
from s3_retriever.host.between import fits, normed, turn
from s3_retriever.host.products import Product, has_amx
from s3_retriever.host.readings import Heads, LayerHeads, Part, Places
from s3_retriever.json_form import parse_json

# Settings that must have one of these values, where they are given.
_MEANING: Mapping[str, tuple[Any, ...]] = {
    "architectures": (["LlamaForCausalLM"],),
    "attention_bias": (False,),
    "hidden_act": ("silu",),
    "is_llama_config": (True,),
    "mlp_bias": (False,),
    "model_type": ("llama",),
    "pretraining_tp": (1,),
    "rope_interleaved": (False,),
    "rope_scaling": (None,),
}
# Settings that are used here, and settings that do not change what is read.
_SIZES = (
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "vocab_size",
)
_OTHER = {
    "_model_name_or_path",
    "_name_or_path",
    "attention_dropout",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "initializer_range",
    "pad_token_id",
    "rms_norm_eps",
    "rope_parameters",
    "rope_theta",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "unk_token_id",
    "use_cache",
}
_ROWS = 64
"""Tokens whose attention is computed at a time in a longer row; of these the norms have kernels, too."""

_TOKENIZER_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")  # what tokenizer.json says, as it is
_OF_TOKENIZER = {
    "backend",
    "bos_token",
    "chat_template",
    "clean_up_tokenization_spaces",
    "eos_token",
    "is_local",
    "local_files_only",
    "model_max_length",
    "pad_token",
    "tokenizer_class",
    "unk_token",
}


@dataclass(frozen=True, eq=False)
class Lean:
    """A host's decoder and tokenizer without ``transformers``.

    Attributes:
        decoder: Takes ``input_ids``; its modules have the paths that they have in ``transformers``.
        config: Its settings.
        backend: Its tokenizer.
    """

    decoder: LeanDecoder
    config: SimpleNamespace
    backend: tokenizers.Tokenizer

    def places(self) -> Places:
        """Return where queries, keys and values are."""
        config = self.config
        queries, keys = (
            np.arange(n * config.head_dim).reshape(n, config.head_dim)
            for n in (config.num_attention_heads, config.num_key_value_heads)
        )
        asks = tuple(np.repeat(range(len(keys)), len(queries) // len(keys)).tolist())
        layers = tuple(f"layers.{i}" for i in range(config.num_hidden_layers))
        found = {}
        for i, layer in enumerate(layers):
            at = f"{layer}.self_attn"
            of_queries, of_keys, of_values = (
                Heads((Part(f"{at}.{name}_proj", 0, channels),))
                for name, channels in (("q", queries), ("k", keys), ("v", keys))
            )
            found[i] = LayerHeads(at, of_queries, of_keys, of_values, asks)
        return Places(layers, found, {}, "declared")


def read_lean(folder: Path, dtype: torch.dtype) -> Lean | None:
    """Read a host; None where that takes ``transformers``, which also says what is wrong with its files.

    Args:
        folder: Of the host; refused before if it holds code.
        dtype: To compute in.
    """
    try:
        settings, words = (
            parse_json((folder / name).read_bytes()) for name in ("config.json", "tokenizer_config.json")
        )
        config = _plain(settings)
        if config is None or not _is_plain_tokenizer(words) or (folder / "tokenizer.model").exists():
            return None
        decoder = _read_decoder(folder / "model.safetensors", config, dtype)
        backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # files of others; and tokenizers raises nothing more special
        return None
    return Lean(decoder, config, backend)


def _plain(settings: Mapping[str, Any]) -> SimpleNamespace | None:
    """Return the settings of a decoder that is known, and None for any other."""
    rope = settings.get("rope_parameters") or {"rope_theta": settings.get("rope_theta", 10_000.0)}
    known = settings.keys() <= {*_MEANING, *_SIZES, *_OTHER} and rope.keys() <= {"rope_theta", "rope_type"}
    meant = all(settings[key] in values for key, values in _MEANING.items() if key in settings)
    if not (known and meant and "model_type" in settings and rope.get("rope_type", "default") == "default"):
        return None
    sizes: dict[str, Any] = {name: settings.get(name) for name in _SIZES}
    sizes["num_key_value_heads"] = sizes["num_key_value_heads"] or sizes["num_attention_heads"]
    sizes["head_dim"] = sizes["head_dim"] or sizes["hidden_size"] // sizes["num_attention_heads"]
    return SimpleNamespace(
        **sizes,
        model_type="llama",
        rms_norm_eps=float(settings["rms_norm_eps"]),
        rope_theta=float(rope["rope_theta"]),
    )


def _is_plain_tokenizer(settings: Mapping[str, Any]) -> bool:
    return settings.keys() <= _OF_TOKENIZER and settings.get("tokenizer_class") in _TOKENIZER_CLASSES


Weights = Callable[[str], torch.Tensor]
"""Gives a weight by its path."""


def _read_decoder(path: Path, config: SimpleNamespace, dtype: torch.dtype) -> LeanDecoder:
    """Read the weights; those of the language-model head and of the last norm are not needed."""
    with safetensors.safe_open(str(path), "pt") as file:
        return LeanDecoder(config, dtype, lambda name: file.get_tensor(f"model.{name}")).eval()


def _below(weights: Weights, path: str) -> Weights:
    return lambda name: weights(f"{path}.{name}")


class _Weighted(nn.Module):
    """A module with one weight, which is there from the beginning: to make one up would take seconds.

    It is brought to the type of what comes in when it is first used; layers behind the last one that is read
    never are.
    """

    def __init__(self, weights: Weights, path: str, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weights(f"{path}.weight"), requires_grad=False)
        if self.weight.shape != shape or not self.weight.is_floating_point():
            msg = f"{path} has shape {tuple(self.weight.shape)}, not {shape}"
            raise ValueError(msg)

    def weight_for(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the weight in the type of what comes in."""
        if self.weight.dtype != hidden.dtype:
            self.weight = nn.Parameter(self.weight.to(hidden.dtype), requires_grad=False)
        return self.weight


class _Linear(_Weighted):
    def __init__(self, weights: Weights, path: str, *shape: int) -> None:
        super().__init__(weights, path, *shape)
        self._product = Product()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._product(hidden, self.weight_for(hidden))


class _Norm(_Weighted):
    def __init__(self, weights: Weights, path: str, config: SimpleNamespace) -> None:
        super().__init__(weights, path, config.hidden_size)
        self._least = config.rms_norm_eps

    def forward(self, hidden: torch.Tensor, joined: Joined) -> torch.Tensor:
        is_long = [n > _ROWS and fits(hidden) for n, _ in joined]
        weight = self.weight_for(hidden)
        if all(is_long):
            return normed(hidden, weight, self._least)
        wide = hidden.to(torch.float, copy=True)
        wide *= wide.square().mean(-1, keepdim=True).add_(self._least).rsqrt_()
        out = wide.to(hidden.dtype) * weight
        first = 0
        for (n, _), own in zip(joined, is_long, strict=True):
            if own:  # as without the shorter rows that share its pass
                row = slice(first, first + n)
                out[:, row] = normed(hidden[:, row], weight, self._least)
            first += n
        return out


class LeanDecoder(nn.Module):
    """A Llama decoder up to its last layer: the operations of ``transformers``, in their order.

    Only attention of long rows is computed otherwise, see :func:`_in_blocks`.

    Args:
        config: As of :class:`Lean`.
        dtype: To compute in.
        weights: Of the decoder.
    """

    def __init__(self, config: SimpleNamespace, dtype: torch.dtype, weights: Weights) -> None:
        super().__init__()
        self.embed_tokens = _Weighted(weights, "embed_tokens", config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            _Layer(config, _below(weights, f"layers.{i}")) for i in range(config.num_hidden_layers)
        )
        self._dtype, self._head_dim, self._theta = dtype, config.head_dim, config.rope_theta
        self._rotation = functools.lru_cache(maxsize=16)(self._rotation_of)

    @property
    def rows_apart(self) -> bool:
        """Whether what a row gives depends on the rows that share its batch; see ``mixes_rows``."""
        return self._dtype == torch.bfloat16 and has_amx()

    def get_input_embeddings(self) -> nn.Module:
        """Return what takes the tokens."""
        return self.embed_tokens

    def forward(self, input_ids: torch.Tensor, joined: Joined) -> torch.Tensor:
        """Return what comes out of the last layer, (1, n, hidden size).

        Args:
            input_ids: int64 (1, n), rows that are joined to one.
            joined: Their numbers of tokens, and to how many each is padded in attention.
        """
        hidden = F.embedding(input_ids, self.embed_tokens.weight).to(self._dtype)
        whole = self._rotation(max(padded for _, padded in joined), hidden.dtype)
        cos, sin = (_repeated(one, joined, input_ids.shape[1]) for one in whole)
        for layer in self.layers:
            hidden = layer(hidden, cos, sin, joined)
        return hidden

    def _rotation_of(self, n: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosines and sines of the rotary embedding, (n, d)."""
        steps = torch.arange(0, self._head_dim, 2, dtype=torch.float) / self._head_dim
        angles = torch.arange(n)[:, None].float() * (1.0 / self._theta**steps)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(dtype), angles.sin().to(dtype)


class _Layer(nn.Module):
    def __init__(self, config: SimpleNamespace, weights: Weights) -> None:
        super().__init__()
        self.self_attn = _Attention(config, _below(weights, "self_attn"))
        self.mlp = _Feed(config, _below(weights, "mlp"))
        self.input_layernorm = _Norm(weights, "input_layernorm", config)
        self.post_attention_layernorm = _Norm(weights, "post_attention_layernorm", config)

    def forward(
        self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, joined: Joined
    ) -> torch.Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden, joined), cos, sin, joined)
        hidden += self.mlp(self.post_attention_layernorm(hidden, joined))
        return hidden


class _Attention(nn.Module):
    def __init__(self, config: SimpleNamespace, weights: Weights) -> None:
        super().__init__()
        self._head_dim, self._n_keys = config.head_dim, config.num_key_value_heads
        width, queries, keys = (
            config.hidden_size,
            config.num_attention_heads * config.head_dim,
            config.num_key_value_heads * config.head_dim,
        )
        self.q_proj = _Linear(weights, "q_proj", queries, width)
        self.k_proj = _Linear(weights, "k_proj", keys, width)
        self.v_proj = _Linear(weights, "v_proj", keys, width)
        self.o_proj = _Linear(weights, "o_proj", width, queries)

    def forward(
        self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, joined: Joined
    ) -> torch.Tensor:
        heads = torch.cat([project(hidden) for project in (self.q_proj, self.k_proj, self.v_proj)], -1)
        heads = heads.view(hidden.shape[1], -1, self._head_dim)
        first, last = -2 * self._n_keys, -self._n_keys
        turn(heads, heads.shape[1] + last, cos, sin)
        mixed = _attended(heads[:, :first], heads[:, first:last], heads[:, last:], joined)
        out: torch.Tensor = self.o_proj(mixed.flatten(1)[None])
        return out


def _attended(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, joined: Joined
) -> torch.Tensor:
    """Let each joined row attend by itself, as it would when padded; (n, heads, d) each."""
    out = torch.zeros_like(queries, memory_format=torch.contiguous_format)
    first = 0
    for n, padded in joined:
        own = slice(first, first + n)
        one = [heads[own].transpose(0, 1)[None] for heads in (queries, keys, values)]
        if n > _ROWS and _blocks_are_faster(queries):
            attended = _in_blocks(*one)
        else:
            q, k, v = (F.pad(heads, (0, 0, 0, padded - n)) if n < padded else heads for heads in one)
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        out[own] = attended[0, :, :n].transpose(0, 1)
        first += n
    return out


def _blocks_are_faster(heads: torch.Tensor) -> bool:
    """Whether a CPU takes longer for torch's attention: for bfloat16 without AMX, more than twice as long."""
    return heads.dtype == torch.bfloat16 and not has_amx()


def _in_blocks(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Let a row attend, :data:`_ROWS` tokens at a time to those up to them; (1, heads, n, d) each.

    Scores and the softmax are float32, as in torch's own kernel, whose numbers these are up to rounding.
    """
    _, n_heads, n, width = queries.shape
    n_keys = keys.shape[1]
    together = n_heads // n_keys  # query heads that ask the same keys
    asking = (queries[0].float() * width**-0.5).view(n_keys, together, n, width)
    asked, given = keys[0].float().transpose(1, 2), values[0]
    out = torch.empty_like(queries).view(n_keys, together, n, width)
    later = torch.full((_ROWS, _ROWS), -math.inf).triu(1)
    for first in range(0, n, _ROWS):
        end = min(first + _ROWS, n)
        size = end - first
        scores = torch.bmm(asking[:, :, first:end].reshape(n_keys, -1, width), asked[:, :, :end])
        scores.view(n_keys, together, size, end)[..., first:] += later[:size, :size]
        shares = torch.softmax(scores, -1).to(values.dtype)
        out[:, :, first:end] = torch.bmm(shares, given[:, :end]).view(n_keys, together, size, width)
    return out.view_as(queries)


def _repeated(table: torch.Tensor, joined: Joined, n: int) -> torch.Tensor:
    """Lay the beginnings of a table, (m, d), as joined rows lie, with zeros behind them; (n, d)."""
    rows = torch.cat([table[:own] for own, _ in joined])
    return F.pad(rows, (0, 0, 0, n - len(rows)))


class _Feed(nn.Module):
    def __init__(self, config: SimpleNamespace, weights: Weights) -> None:
        super().__init__()
        width, wide = config.hidden_size, config.intermediate_size
        self.gate_proj = _Linear(weights, "gate_proj", wide, width)
        self.up_proj = _Linear(weights, "up_proj", wide, width)
        self.down_proj = _Linear(weights, "down_proj", width, wide)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.down_proj(
            F.silu(self.gate_proj(hidden), inplace=True).mul_(self.up_proj(hidden))
        )
        return out
