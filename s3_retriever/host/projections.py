"""Queries, keys and values of a decoder's layers, out of what its projections give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host.families import Family, QKNorm

Edit = Callable[[torch.Tensor], torch.Tensor]
"""From heads (rows, n, K, d) to what takes their place, of the same shape."""


@dataclass(frozen=True, eq=False)
class ReadModules:
    """One layer's queries, keys or values: the module to watch, and what is done to its output."""

    projection: nn.Module
    norm: nn.Module | None

    @property
    def last(self) -> nn.Module:
        """The last module that computes them. A clip of the family comes after it."""
        return self.projection if self.norm is None else self.norm


class Projections:
    """Where a decoder's queries, keys and values are computed, and how they lie in the outputs.

    Args:
        decoder: The base decoder.
        family: Its family.
        config: Its configuration.

    Attributes:
        n_layers: Number of layers.
        n_query_heads: H, query heads per layer.
        n_key_heads: K, key heads per layer; query head h asks key head ``h // (H // K)``.
        head_dim: Dimension d of a query or key.
        window: How many tokens the decoder takes.
        queries: By layer; a hybrid's layers without attention are not there.
        keys: Likewise.
        values: Likewise; empty where the family does not say where they are.
        attentions: The modules that hold the key projections, by layer.

    Raises:
        UnsupportedHostError: The decoder is not built as its family is declared.
    """

    def __init__(self, decoder: nn.Module, family: Family, config: Any) -> None:
        self._family = family
        self._name = str(config.model_type)
        self.n_query_heads = int(self._setting(config, "num_attention_heads"))
        if family.key_heads is None:
            self.n_key_heads = int(getattr(config, "num_key_value_heads", None) or self.n_query_heads)
        else:
            self.n_key_heads = family.key_heads(config)
        if self.n_key_heads < 1 or self.n_query_heads % self.n_key_heads:
            self._refuse(
                f"{self.n_query_heads} query heads cannot share {self.n_key_heads} key heads equally"
            )
        self.head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // self.n_query_heads)
        self.window = int(self._setting(config, family.window))
        self._clip = self._setting(config, family.clip) if family.clip else None
        self._norm: QKNorm | None = family.norm
        if family.norm is not None and family.norm.only_if:
            self._norm = family.norm if self._setting(config, family.norm.only_if) else None
        layers = list(self._module(decoder, family.layers).children())
        self.n_layers = len(layers)
        self.queries: dict[int, ReadModules] = {}
        self.keys: dict[int, ReadModules] = {}
        self.values: dict[int, ReadModules] = {}
        self.attentions: dict[int, nn.Module] = {}
        for i, layer in enumerate(layers):
            if family.hybrid and not _has(layer, family.query):
                continue
            self.queries[i] = self._modules_of(layer, family.query, self._norm.query if self._norm else "")
            self.keys[i] = self._modules_of(layer, family.key, self._norm.key if self._norm else "")
            self.attentions[i] = self._module(layer, family.key.rpartition(".")[0])
            if family.value:
                self.values[i] = self._modules_of(layer, family.value, "")
        if not self.keys:
            self._refuse(f"no layer has {family.query!r}")

    def query_heads(self, layer: int, output: torch.Tensor) -> torch.Tensor:
        """Return the queries, (rows, n, H, d), in a layer's projection's output (rows, n, channels)."""
        n = self.n_query_heads
        if self._family.layout == "separate":
            heads = self._split(output, n)
        elif self._family.layout == "blocks":
            heads = self._split(output, n + 2 * self.n_key_heads)[..., :n, :]
        else:
            heads = self._groups(output)[..., :-2, :].flatten(-3, -2)
        return self._finish(self.queries[layer], heads)

    def key_heads(self, layer: int, output: torch.Tensor) -> torch.Tensor:
        """Return the keys, (rows, n, K, d), in a layer's projection's output (rows, n, channels)."""
        return self._finish(self.keys[layer], self._key_part(output))

    def value_heads(self, layer: int, output: torch.Tensor) -> torch.Tensor:
        """Return the values, (rows, n, K, d), in a layer's projection's output (rows, n, channels)."""
        return self._finish(self.values[layer], self._value_part(output))

    def edit_keys(self, layer: int, output: torch.Tensor, edit: Edit) -> torch.Tensor:
        """Return a copy of what the last module before rotary embedding gave, its keys edited.

        Args:
            layer: The layer.
            output: What ``keys[layer].last`` gave for rows of n tokens, n not the number of key heads.
            edit: Gets the keys as :meth:`key_heads` returns them.
        """
        changed = output.clone()
        keys = self._key_part(changed) if self.keys[layer].norm is None else self._normed(changed)
        keys.copy_(edit(self._bounded(keys)))
        return changed

    def edit_values(self, layer: int, output: torch.Tensor, edit: Edit) -> torch.Tensor:
        """Return a copy of what ``values[layer].last`` gave, its values edited."""
        changed = output.clone()
        values = self._value_part(changed)
        values.copy_(edit(self._bounded(values)))
        return changed

    def _key_part(self, output: torch.Tensor) -> torch.Tensor:
        """Return the view (rows, n, K, d) of the keys in their projection's output."""
        n = self.n_key_heads
        if self._family.layout == "separate":
            return self._split(output, n)
        if self._family.layout == "blocks":
            return self._split(output, self.n_query_heads + 2 * n)[..., -2 * n : -n, :]
        return self._groups(output)[..., -2, :]

    def _value_part(self, output: torch.Tensor) -> torch.Tensor:
        """Return the view (rows, n, K, d) of the values in their projection's output."""
        n = self.n_key_heads
        if self._family.layout == "separate":
            return self._split(output, n)
        if self._family.layout == "blocks":
            return self._split(output, self.n_query_heads + 2 * n)[..., -n:, :]
        return self._groups(output)[..., -1, :]

    def _normed(self, output: torch.Tensor) -> torch.Tensor:
        """Return the view (rows, n, K, d) of the keys in the output of their norm.

        Where a norm takes each head by itself, families differ in which of n and K comes first.
        """
        if output.ndim == 3:
            return self._split(output, self.n_key_heads)
        if output.shape[1] == self.n_key_heads:
            return output.transpose(1, 2)
        return output

    def _modules_of(self, layer: nn.Module, projection: str, norm: str) -> ReadModules:
        return ReadModules(self._module(layer, projection), self._module(layer, norm) if norm else None)

    def _groups(self, output: torch.Tensor) -> torch.Tensor:
        """Return (rows, n, K, H / K + 2, d)."""
        heads = self._split(output, self.n_query_heads + 2 * self.n_key_heads)
        return heads.reshape(*output.shape[:-1], self.n_key_heads, -1, self.head_dim)

    def _split(self, output: torch.Tensor, n_heads: int) -> torch.Tensor:
        """Return (rows, n, heads, d), having checked that the output has so many channels."""
        if output.shape[-1] != n_heads * self.head_dim:
            self._refuse(
                f"a projection gives {output.shape[-1]} channels, not {n_heads} heads of {self.head_dim}"
            )
        return output.reshape(*output.shape[:-1], n_heads, self.head_dim)

    def _finish(self, modules: ReadModules, heads: torch.Tensor) -> torch.Tensor:
        """Norm and bound heads (rows, n, heads, d) as the layer does.

        The bound is applied here although some families clamp the projection's output in place: the
        deepest tap's pass ends before they do.
        """
        if modules.norm is not None and self._norm is not None:
            if self._norm.over == "projection":
                heads = modules.norm(heads.flatten(-2)).reshape(heads.shape)
            elif self._norm.over == "heads_first":
                heads = modules.norm(heads.transpose(1, 2)).transpose(1, 2)
            else:
                heads = modules.norm(heads)
        return self._bounded(heads)

    def _bounded(self, heads: torch.Tensor) -> torch.Tensor:
        return heads if self._clip is None else heads.clamp(-self._clip, self._clip)

    def _module(self, parent: nn.Module, path: str) -> nn.Module:
        try:
            return parent.get_submodule(path)
        except AttributeError:
            self._refuse(f"{type(parent).__name__} has no {path!r}")

    def _setting(self, config: Any, path: str) -> Any:
        value = config
        for name in path.split("."):
            if not hasattr(value, name):
                self._refuse(f"its configuration has no {path!r}")
            value = getattr(value, name)
        return value

    def _refuse(self, reason: str) -> NoReturn:
        msg = (
            f"this {self._name!r} is not built as its family is declared: {reason}; declare it under another "
            f"model_type with s3_retriever.host.register_family (declared: {self._family})"
        )
        raise UnsupportedHostError(msg)


def _has(layer: nn.Module, path: str) -> bool:
    try:
        layer.get_submodule(path)
    except AttributeError:
        return False
    return True
