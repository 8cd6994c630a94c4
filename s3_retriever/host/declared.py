"""From the declaration of a family to what is read of one of its decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host.families import Family, QKNorm
from s3_retriever.host.readings import Channels, Heads, LayerHeads, Normed, Part, Places


def declared(decoder: nn.Module, family: Family, config: Any) -> Places:
    """Return what is read of a decoder of a declared family.

    Args:
        decoder: The base decoder.
        family: Its family.
        config: Its configuration.

    Raises:
        UnsupportedHostError: The decoder is not built as its family is declared.
    """
    return _Declared(decoder, family, config).places()


class _Declared:
    def __init__(self, decoder: nn.Module, family: Family, config: Any) -> None:
        self._decoder = decoder
        self._family = family
        self._config = config
        self._n_queries = int(self._setting("num_attention_heads"))
        if family.key_heads is None:
            self._n_keys = int(getattr(config, "num_key_value_heads", None) or self._n_queries)
        else:
            self._n_keys = family.key_heads(config)
        if self._n_keys < 1 or self._n_queries % self._n_keys:
            self._refuse(f"{self._n_queries} query heads cannot share {self._n_keys} key heads equally")
        self._dim = int(getattr(config, "head_dim", None) or config.hidden_size // self._n_queries)
        self._setting(family.window)
        self._clip = self._setting(family.clip) if family.clip else None
        self._norm: QKNorm | None = family.norm
        if family.norm is not None and family.norm.only_if:
            self._norm = family.norm if self._setting(family.norm.only_if) else None

    def places(self) -> Places:
        """Return what is read of each layer."""
        family, heads, left_out = self._family, {}, {}
        n_layers = len(list(self._module(family.layers).children()))
        layers = tuple(f"{family.layers}.{i}" for i in range(n_layers))
        channels = self._channels()
        for i, layer in enumerate(layers):
            if family.hybrid and not _has(self._decoder, f"{layer}.{family.query}"):
                left_out[i] = f"it has no {family.query!r}"
                continue
            heads[i] = LayerHeads(
                f"{layer}.{family.key.rpartition('.')[0]}",
                self._heads(layer, family.query, channels["query"], self._norm.query if self._norm else ""),
                self._heads(layer, family.key, channels["key"], self._norm.key if self._norm else ""),
                self._heads(layer, family.value, channels["value"], "") if family.value else None,
                tuple(head // (self._n_queries // self._n_keys) for head in range(self._n_queries)),
            )
        if not heads:
            self._refuse(f"no layer has {family.query!r}")
        return Places(layers, heads, left_out, "declared")

    def _channels(self) -> Mapping[str, Channels]:
        """Return the channels of each kind of heads."""
        n_queries, n_keys, dim = self._n_queries, self._n_keys, self._dim
        if self._family.layout == "separate":
            return {
                "query": np.arange(n_queries * dim).reshape(n_queries, dim),
                "key": np.arange(n_keys * dim).reshape(n_keys, dim),
                "value": np.arange(n_keys * dim).reshape(n_keys, dim),
            }
        every = np.arange((n_queries + 2 * n_keys) * dim).reshape(-1, dim)
        if self._family.layout == "blocks":
            query, key, value = np.split(every, [n_queries, n_queries + n_keys])
            return {"query": query, "key": key, "value": value}
        groups = every.reshape(n_keys, -1, dim)
        return {"query": groups[:, :-2].reshape(-1, dim), "key": groups[:, -2], "value": groups[:, -1]}

    def _heads(self, layer: str, projection: str, channels: Channels, norm: str) -> Heads:
        path = f"{layer}.{projection}"
        self._module(projection, layer)
        if not norm:
            return Heads((Part(path, 0, channels),), clip=self._clip)
        self._module(norm, layer)
        over = self._norm.over if self._norm else "head"
        normed = Normed(
            f"{layer}.{norm}", 0, over, channels.reshape(1, -1) if over == "projection" else channels
        )
        outer = np.arange(channels.size).reshape(channels.shape)
        return Heads((Part(path, 0, outer, normed),), clip=self._clip)

    def _module(self, path: str, within: str = "") -> nn.Module:
        parent = self._decoder.get_submodule(within)
        try:
            return parent.get_submodule(path)
        except AttributeError:
            self._refuse(f"{type(parent).__name__} has no {path!r}")

    def _setting(self, path: str) -> Any:
        value = self._config
        for name in path.split("."):
            if not hasattr(value, name):
                self._refuse(f"its configuration has no {path!r}")
            value = getattr(value, name)
        return value

    def _refuse(self, reason: str) -> NoReturn:
        msg = (
            f"this {self._config.model_type!r} is not built as its family is declared: {reason}; declare it "
            f"under another model_type with s3_retriever.host.register_family (declared: {self._family})"
        )
        raise UnsupportedHostError(msg)


def _has(decoder: nn.Module, path: str) -> bool:
    try:
        decoder.get_submodule(path)
    except AttributeError:
        return False
    return True
