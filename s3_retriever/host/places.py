"""From a model to what is read of it: its decoder, and where that keeps queries and keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host import families
from s3_retriever.host.declared import declared
from s3_retriever.host.discovery import discover
from s3_retriever.host.projections import Projections
from s3_retriever.host.verification import verify

_VISIBLE = ("eager", "sdpa")
"""Implementations of attention whose inputs can be watched."""


def base_decoder(model: Any) -> Any:
    """Return the part of a model that is run: the decoder, without a language-model head.

    Raises:
        UnsupportedHostError: The model has no decoder of tokens.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps has no modules to watch
    found: list[Any] = [_call(getattr(model, "get_decoder", None)), getattr(model, "base_model", None), model]
    # transformers 4.56 finds none in most models, 4.57 the whole model where it has another name (GPT-2), and
    # 5.24 the head of some (ModernBERT's decoder).
    for one in found:
        if isinstance(one, nn.Module) and (one is not model or one is found[1]) and _embeds(one):
            return one
    msg = f"{type(model).__name__} has no decoder of tokens: load the model with AutoModelForCausalLM"
    raise UnsupportedHostError(msg)


def locate(name: str, decoder: Any, config: Any) -> Projections:
    """Find what to read of a decoder, and check that its attention gets it.

    Args:
        name: The host's, for messages.
        decoder: The base decoder, not in training.
        config: Its configuration.

    Raises:
        UnsupportedHostError: Nothing was found, or something else than its attention gets.
    """
    family = families.FAMILIES.get(str(config.model_type))
    try:
        with _watchable(decoder):
            if family is None:
                places = discover(name, decoder, families.clip_of(config))
            else:
                places = declared(decoder, family, config)
            return Projections(decoder, places, verify(name, decoder, Projections(decoder, places)))
    except UnsupportedHostError:
        raise
    except Exception as error:  # whatever a model raises that needs more than token ids
        reason = str(error).strip().partition("\n")[0]
        msg = f"host {name!r} cannot be run on a few tokens: {type(error).__name__}: {reason}"
        raise UnsupportedHostError(msg) from error


@contextlib.contextmanager
def _watchable(decoder: Any) -> Iterator[None]:
    """Let attention run by functions that can be watched, where it does not."""
    config = decoder.config
    used = config._attn_implementation
    if used in (None, *_VISIBLE):
        yield
        return
    config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        config._attn_implementation = used


def _call(method: Any) -> Any:
    try:
        return method()
    except (AttributeError, NotImplementedError, TypeError):
        return None


def _embeds(model: Any) -> bool:
    """Whether a model takes tokens."""
    try:
        return isinstance(model.get_input_embeddings(), nn.Module)
    except (AttributeError, NotImplementedError):
        return False
