"""Which model families can be a host, and where each keeps what is read from it: one declaration a family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from s3_retriever.checks import check_settings, choice, instance, optional
from s3_retriever.errors import InvalidInputError, UnsupportedHostError

HeadLayout = Literal["separate", "blocks", "groups"]
"""How the outputs of a projection are laid out, heads of ``head_dim`` channels each:

- ``separate``: queries and keys have a projection each, head after head;
- ``blocks``: one projection gives all query heads, then all key heads, then all value heads;
- ``groups``: one projection gives, for each key head, the query heads that ask it, itself, its value head.
"""

NormOver = Literal["head", "heads_first", "projection"]
"""A norm of heads is called on (rows, n, heads, d), on (rows, heads, n, d), or on (rows, n, heads * d)."""


@dataclass(frozen=True)
class QKNorm:
    """Norms between the projections and the rotary embedding; what is read comes after them.

    Attributes:
        query: Path of the query norm, from a layer.
        key: Path of the key norm, from a layer.
        over: What the norms are called on; see :data:`NormOver`.
        only_if: The setting of the configuration that switches them on; "" where they are always there.

    Raises:
        InvalidInputError: ``over`` is unknown, or a value is of another type.
    """

    query: str
    key: str
    over: NormOver = "head"
    only_if: str = ""

    def __post_init__(self) -> None:
        check_settings(self, over=choice(get_args(NormOver)))


@dataclass(frozen=True)
class Family:
    """Where a decoder keeps what is read from it.

    Queries and keys are read before rotary embedding. Paths are those of ``Module.get_submodule``;
    settings are attributes of the decoder's configuration, dotted where they are nested.

    Attributes:
        layers: Path of the list of layers, from the base decoder.
        query: Path of the query projection, from a layer.
        key: Path of the key projection, from a layer; the same as ``query`` where they are fused.
        layout: How their outputs are laid out; see :data:`HeadLayout`.
        norm: Norms of queries and keys before the rotary embedding.
        clip: The setting that bounds queries, keys and values to [-x, x], where it is not None; "" where
            the family has none.
        window: The setting that says how many tokens the host takes.
        key_heads: Number of key heads, from the configuration; by default ``num_key_value_heads``, else
            as many as there are query heads.
        hybrid: Whether some layers have no attention; they are passed over.
        value: Path of the value projection, from a layer; that of ``key`` where they are fused. Only what
            reads values needs it.

    Raises:
        InvalidInputError: ``layout`` is unknown, or does not fit ``query``, ``key`` and ``value``; or a value
            is of another type.
    """

    layers: str
    query: str
    key: str
    layout: HeadLayout = "separate"
    norm: QKNorm | None = None
    clip: str = ""
    window: str = "max_position_embeddings"
    key_heads: Callable[[Any], int] | None = None
    hybrid: bool = False
    value: str = ""

    def __post_init__(self) -> None:
        check_settings(
            self,
            layout=choice(get_args(HeadLayout)),
            norm=optional(instance(QKNorm, "a QKNorm")),
            key_heads=optional(instance(Callable, "a function of the configuration")),
        )
        if (self.layout == "separate") == (self.query == self.key):
            msg = (
                f"layout {self.layout!r} does not fit query {self.query!r} and key {self.key!r}: "
                "two paths go with 'separate', one path twice with 'blocks' or 'groups'"
            )
            raise InvalidInputError(msg)
        if self.layout != "separate":
            if self.value not in ("", self.key):
                msg = f"layout {self.layout!r} has its values in {self.key!r}, not in {self.value!r}"
                raise InvalidInputError(msg)
            object.__setattr__(self, "value", self.key)


def _multi_query(config: Any) -> int:
    return 1 if config.multi_query else int(config.num_attention_heads)


def _falcon(config: Any) -> int:
    return int(config.num_kv_heads) if config.new_decoder_architecture else _multi_query(config)


def _separate(layers: str, attention: str, **more: Any) -> Family:
    """Projections of their own, by their usual names."""
    query, key, value = (f"{attention}.{name}_proj" for name in "qkv")
    return Family(layers, query, key, value=value, **more)


def _attention(**more: Any) -> Family:
    """Most families: ``layers`` of ``self_attn``."""
    return _separate("layers", "self_attn", **more)


def _norm(
    query: str = "q_norm", key: str = "k_norm", *, over: NormOver = "head", only_if: str = ""
) -> QKNorm:
    return QKNorm(f"self_attn.{query}", f"self_attn.{key}", over, only_if)


_LLAMA = _attention()
_QWEN3 = _attention(norm=_norm())
_OLMO2 = _attention(norm=_norm(over="projection"))

FAMILIES: dict[str, Family] = {
    "apertus": _QWEN3,
    "arcee": _LLAMA,
    "cohere": _attention(norm=_norm(only_if="use_qk_norm")),
    "cohere2": _LLAMA,
    "ernie4_5": _LLAMA,
    "exaone4": _QWEN3,
    "falcon": Family(
        "h", "self_attention.query_key_value", "self_attention.query_key_value", "groups", key_heads=_falcon
    ),
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _QWEN3,
    "glm": _LLAMA,
    "glm4": _LLAMA,
    "gpt2": Family("h", "attn.c_attn", "attn.c_attn", "blocks"),
    "gpt_bigcode": Family("h", "attn.c_attn", "attn.c_attn", "groups", key_heads=_multi_query),
    "gpt_neo": _separate("h", "attn.attention"),
    "gpt_neox": Family("layers", "attention.query_key_value", "attention.query_key_value", "groups"),
    "gpt_oss": _LLAMA,
    "gptj": _separate("h", "attn"),
    "granite": _LLAMA,
    "granitemoe": _LLAMA,
    "helium": _LLAMA,
    "lfm2": _attention(norm=_norm("q_layernorm", "k_layernorm"), hybrid=True),
    "llama": _LLAMA,
    "ministral": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": _LLAMA,
    "mpt": Family(
        "blocks", "attn.Wqkv", "attn.Wqkv", "blocks", clip="attn_config.clip_qkv", window="max_seq_len"
    ),
    "nemotron": _LLAMA,
    "olmo": _attention(clip="clip_qkv"),
    "olmo2": _OLMO2,
    "olmo3": _OLMO2,
    "olmoe": _attention(norm=_norm(over="projection"), clip="clip_qkv"),
    "opt": _LLAMA,
    "phi": _attention(norm=_norm("q_layernorm", "k_layernorm", only_if="qk_layernorm")),
    "phi3": Family("layers", "self_attn.qkv_proj", "self_attn.qkv_proj", "blocks"),
    "qwen2": _LLAMA,
    "qwen2_moe": _LLAMA,
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3,
    "seed_oss": _LLAMA,
    "smollm3": _LLAMA,
    "stablelm": _attention(
        norm=_norm("q_layernorm", "k_layernorm", over="heads_first", only_if="qk_layernorm")
    ),
    "starcoder2": _LLAMA,
}
"""Supported families by ``model_type`` of the decoder's configuration; :func:`register_family` adds one."""


def register_family(model_type: str, family: Family) -> None:
    """Declare a family that this package does not know, for this process.

    Args:
        model_type: ``model_type`` of the configuration of its decoder.
        family: Where its decoder keeps queries and keys.

    Raises:
        InvalidInputError: The name is taken by a family that differs.

    Examples:
        >>> norm = QKNorm("attn.q_norm", "attn.k_norm")
        >>> register_family("my_model", Family("blocks", query="attn.wq", key="attn.wk", norm=norm))
    """
    known = FAMILIES.setdefault(model_type, family)
    if known != family:
        msg = (
            f"family {model_type!r} is declared already, as {known}, which differs from {family}; "
            "give a model of your own another model_type"
        )
        raise InvalidInputError(msg)


def text_config(config: Any) -> Any:
    """Return the configuration of the decoder: that of the text part of a model for images or sound too."""
    return config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config


def family_of(config: Any) -> Family:
    """Return the family of a model's configuration.

    Args:
        config: A ``transformers`` configuration.

    Raises:
        UnsupportedHostError: The model is not a causal decoder, or its family is not in :data:`FAMILIES`.
    """
    decoder = text_config(config)
    name = str(getattr(decoder, "model_type", type(decoder).__name__))
    if getattr(config, "is_encoder_decoder", False):
        kind = "an encoder-decoder model"
    elif not _is_causal(decoder) or (name not in FAMILIES and _is_encoder(name)):
        kind = "an encoder-only model, whose tokens see those that follow"
    elif name in FAMILIES:
        return FAMILIES[name]
    else:
        kind = (
            "a family whose projections are not known here (from your code, declare them with "
            f"s3_retriever.host.register_family({name!r}, Family(layers=..., query=..., key=...)))"
        )
    msg = f"{name!r} cannot be a host: it is {kind}; use a decoder of one of {sorted(FAMILIES)}"
    raise UnsupportedHostError(msg)


def _is_causal(config: Any) -> bool:
    """Whether tokens see only what precedes them, as chunks padded on the right need."""
    both_sides = getattr(config, "use_bidirectional_attention", False)
    return not both_sides and getattr(config, "is_causal", True) is not False


def _is_encoder(model_type: str) -> bool:
    from transformers.models.auto import modeling_auto  # slow, and only for the error message

    return model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
