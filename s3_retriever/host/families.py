"""Which model families can be a host, and where each keeps its key and query projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3_retriever.errors import UnsupportedHostError


@dataclass(frozen=True)
class Family:
    """Where a decoder keeps what is read from it.

    Attributes:
        layers: Path of the list of layers, from the base decoder.
        query: Path of the query projection, from a layer.
        key: Path of the key projection, from a layer.
    """

    layers: str
    query: str
    key: str


_LLAMA = Family(layers="layers", query="self_attn.q_proj", key="self_attn.k_proj")

FAMILIES = {"llama": _LLAMA, "mistral": _LLAMA, "qwen2": _LLAMA}
"""Supported families by ``config.model_type``."""


def family_of(config: Any) -> Family:
    """Return the family of a model's configuration.

    Args:
        config: A ``transformers`` configuration.

    Raises:
        UnsupportedHostError: The model is not a decoder, or its family is not in :data:`FAMILIES`.
    """
    name = str(getattr(config, "model_type", type(config).__name__))
    if name in FAMILIES:
        return FAMILIES[name]
    if getattr(config, "is_encoder_decoder", False):
        kind = "an encoder-decoder model"
    elif _is_encoder(name):
        kind = "an encoder-only model"
    else:
        kind = "of a family whose projections are not known here"
    msg = f"{name!r} cannot be a host: it is {kind}; use a decoder of one of {sorted(FAMILIES)}"
    raise UnsupportedHostError(msg)


def _is_encoder(model_type: str) -> bool:
    from transformers.models.auto import modeling_auto  # slow, and only for the error message

    return model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
