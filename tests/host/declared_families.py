"""Families as a person would declare them, from their code: what discovery must find by itself."""

from __future__ import annotations

from typing import Any

from s3_retriever.host import Family, QKNorm
from s3_retriever.host.families import NormOver


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

DECLARED: dict[str, Family] = {
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
