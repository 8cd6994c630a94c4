"""The language model: where its weights come from, what is read from it, the streaming scan, answers.

The names below are imported on first use, so that naming a :class:`Tap` does not load torch.
The scan is in :mod:`s3_retriever.host.scan`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from s3_retriever.host.families import FAMILIES, Family, QKNorm, register_family
from s3_retriever.host.taps import QueryHead, Tap

if TYPE_CHECKING:
    from s3_retriever.host.generation import Generator, Piece, Sampling
    from s3_retriever.host.model import Host, Projection
    from s3_retriever.host.resolve import DEFAULT_HOST, HostFiles, cache_folder, resolve_host
    from s3_retriever.host.tokens import Tokens

__all__ = [
    "DEFAULT_HOST",
    "FAMILIES",
    "Family",
    "Generator",
    "Host",
    "HostFiles",
    "Piece",
    "Projection",
    "QKNorm",
    "QueryHead",
    "Sampling",
    "Tap",
    "Tokens",
    "cache_folder",
    "register_family",
    "resolve_host",
]

_MODULES = {
    "DEFAULT_HOST": "resolve",
    "Generator": "generation",
    "Host": "model",
    "HostFiles": "resolve",
    "Piece": "generation",
    "Projection": "model",
    "Sampling": "generation",
    "Tokens": "tokens",
    "cache_folder": "resolve",
    "resolve_host": "resolve",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
