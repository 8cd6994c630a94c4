"""What a caller declares about a family of its own, and what a configuration says about any.

No family of ``transformers`` needs a declaration: what is read is found by a run, in
:mod:`s3_retriever.host.discovery`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from s3_retriever.checks import check_settings, choice, instance, optional
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host.readings import NormOver

HeadLayout = Literal["separate", "blocks", "groups"]
"""How the outputs of a projection are laid out, heads of ``head_dim`` channels each:

- ``separate``: queries and keys have a projection each, head after head;
- ``blocks``: one projection gives all query heads, then all key heads, then all value heads;
- ``groups``: one projection gives, for each key head, the query heads that ask it, itself, its value head.
"""


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


FAMILIES: dict[str, Family] = {}
"""Declared families by ``model_type`` of the decoder's configuration; :func:`register_family` adds one."""

_WINDOWS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
    "n_ctx",
)
_CLIPS = ("clip_qkv", "attn_config.clip_qkv")
_NO_LIMIT = 131_072
"""Tokens of a host whose configuration sets no window, as where only distances between tokens count."""


def register_family(model_type: str, family: Family) -> None:
    """Declare a family whose queries and keys are not found by running it, for this process.

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


def check_decoder(config: Any) -> None:
    """Refuse what a configuration says is no causal decoder.

    Args:
        config: A ``transformers`` configuration.

    Raises:
        UnsupportedHostError: It is an encoder, or has one.
    """
    decoder = text_config(config)
    name = str(getattr(decoder, "model_type", type(decoder).__name__))
    if getattr(config, "is_encoder_decoder", False):
        kind = "an encoder-decoder model"
    elif not _is_causal(decoder) or (_is_encoder(name) and not getattr(decoder, "is_decoder", False)):
        kind = "an encoder-only model, whose tokens see those that follow"
    else:
        return
    msg = f"{name!r} cannot be a host: it is {kind}; use a causal decoder, such as Llama, Qwen or Gemma"
    raise UnsupportedHostError(msg)


def window_of(config: Any) -> int:
    """Return how many tokens a decoder takes, from its configuration."""
    windows = (setting(config, name) for name in _WINDOWS)
    return next((int(window) for window in windows if isinstance(window, int) and window > 0), _NO_LIMIT)


def clip_of(config: Any) -> float | None:
    """Return the bound of queries, keys and values that a configuration sets, if any."""
    bounds = (setting(config, name) for name in _CLIPS)
    return next((float(bound) for bound in bounds if bound), None)


def setting(config: Any, path: str) -> Any:
    """Return a setting, dotted where it is nested, or None."""
    value = config
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def _is_causal(config: Any) -> bool:
    """Whether tokens see only what precedes them, as chunks padded on the right need."""
    both_sides = getattr(config, "use_bidirectional_attention", False)  # some say "vision": of images only
    return both_sides not in (True, "all") and getattr(config, "is_causal", True) is not False


def _is_encoder(model_type: str) -> bool:
    from transformers.models.auto import modeling_auto  # slow, and only for the error message

    return model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
