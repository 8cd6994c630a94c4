"""Queries, keys and values of a decoder's layers, out of what its projections give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host.passes import Wanted
from s3_retriever.host.readings import Channels, Heads, LayerHeads, Normed, Part, Places

Edit = Callable[[torch.Tensor], torch.Tensor]
"""From heads (rows, n, K, d) to what takes their place, of the same shape."""


class Projections:
    """Computes queries, keys and values out of what modules give.

    Args:
        decoder: The base decoder.
        places: Where they are.
        late: Paths of norms that come after rotary embedding.

    Attributes:
        places: As given.
        late: As given.
        n_layers: Number of layers, in the order of their calls.
        n_query_heads: H, query heads of the layer that has most.
        n_key_heads: K, key heads of the layer that has most.
        head_dim: Width d of a query or key, of the layer where it is greatest.
        value_dim: Likewise of a value; 0 where they are not known.
    """

    def __init__(self, decoder: nn.Module, places: Places, late: frozenset[str] = frozenset()) -> None:
        self._decoder = decoder
        self.places = places
        self.late = late
        layers = places.heads.values()
        self.n_layers = len(places.layers)
        self.n_query_heads = max(layer.queries.n_heads for layer in layers)
        self.n_key_heads = max(layer.keys.n_heads for layer in layers)
        self.head_dim = max(layer.keys.width for layer in layers)
        self.value_dim = max((layer.values.width for layer in layers if layer.values), default=0)
        self._indices: dict[tuple[int, torch.device], tuple[Channels, torch.Tensor]] = {}

    @property
    def layers(self) -> Mapping[int, LayerHeads]:
        """The layers that attend, by number."""
        return self.places.heads

    def module(self, path: str) -> nn.Module:
        """Return a module of the decoder."""
        return self._decoder.get_submodule(path)

    def wanted(self, heads: Iterable[Heads]) -> Wanted:
        """Return whose outputs, in which turns, these heads need."""
        wanted: dict[nn.Module, set[int]] = {}
        for one in heads:
            for path, turn in one.calls():
                wanted.setdefault(self.module(path), set()).add(turn)
        return wanted

    def compute(
        self, heads: Heads, outputs: Mapping[tuple[nn.Module, int], Any], shape: tuple[int, int]
    ) -> torch.Tensor:
        """Return heads (rows, n, heads, width) out of what their projections gave.

        Args:
            heads: Which.
            outputs: By module and turn; see :meth:`wanted`.
            shape: Rows and tokens of the pass.
        """
        pieces = [
            self._piece(part, outputs[self.module(part.path), part.turn], shape) for part in heads.parts
        ]
        whole = torch.cat(pieces, -1) if len(pieces) > 1 else pieces[0]
        if heads.factors is not None:
            whole = whole * torch.from_numpy(heads.factors).to(whole)
        return _bounded(heads, whole)

    def _piece(self, part: Part, output: Any, shape: tuple[int, int]) -> torch.Tensor:
        found = _by_token(output, *shape)
        if part.norm is not None:
            found = self._normed(part.norm, self._pick(found, part.norm.channels)).flatten(-2)
        return self._pick(found, part.channels)

    def _normed(self, norm: Normed, heads: torch.Tensor) -> torch.Tensor:
        """Norm heads (rows, n, heads, d) as the layer does."""
        module = self.module(norm.path)
        if norm.over == "projection":
            normed: torch.Tensor = module(heads.flatten(-2)).reshape(heads.shape)
        elif norm.over == "heads_first":
            normed = module(heads.transpose(1, 2)).transpose(1, 2)
        else:
            normed = module(heads)
        return normed

    def _pick(self, output: torch.Tensor, channels: Channels) -> torch.Tensor:
        """Return channels (heads, width) of (rows, n, all), as a view where they lie in equal steps."""
        n_heads, width = channels.shape
        if channels.max() >= output.shape[-1]:
            msg = f"there is no channel {channels.max()} among {output.shape[-1]}"
            raise IndexError(msg)
        start = int(channels[0, 0])
        step = int(channels[1, 0]) - start if n_heads > 1 else width
        if step > 0 and np.array_equal(
            channels, start + step * np.arange(n_heads)[:, None] + np.arange(width)
        ):
            strides = output.stride()
            return output.as_strided(
                (*output.shape[:-1], n_heads, width),
                (*strides[:-1], step * strides[-1], strides[-1]),
                output.storage_offset() + start * strides[-1],
            )
        key = id(channels), output.device
        if key not in self._indices:  # with the channels, so that nothing else gets their id
            self._indices[key] = channels, torch.from_numpy(channels.ravel()).to(output.device)
        picked = output.index_select(-1, self._indices[key][1])
        return picked.reshape(*output.shape[:-1], n_heads, width)

    def why_not_edited(self, heads: Heads) -> str:
        """Say why these heads cannot be replaced in a pass, or return an empty string."""
        if len(heads.parts) > 1:
            return f"they come out of several modules ({heads})"
        if heads.parts[0].turn or heads.factors is not None:
            return f"they are computed in several turns or scaled ({heads})"
        norm = heads.parts[0].norm
        if norm is not None and norm.path in self.late:
            return f"their norm comes after rotary embedding ({heads})"
        return ""

    def last(self, heads: Heads) -> nn.Module:
        """Return the module whose output :meth:`edited` changes: the last that computes these heads."""
        part = heads.parts[0]
        return self.module(part.path if part.norm is None else part.norm.path)

    def edited(self, heads: Heads, output: torch.Tensor, edit: Edit) -> torch.Tensor:
        """Return a copy of what :meth:`last` gave, with these heads edited.

        Args:
            heads: Which are edited; see :meth:`why_not_edited`.
            output: Of n tokens, n not the number of heads.
            edit: Gets the heads as :meth:`compute` returns them.
        """
        changed = output.clone()
        part = heads.parts[0]
        view = changed
        if view.ndim == 4 and view.shape[1] == len(
            _normed_channels(part)
        ):  # n and the heads: either is first
            view = view.transpose(1, 2)
        flat = view.flatten(2)
        new = edit(_bounded(heads, self._pick(flat, part.channels)))
        flat = flat.index_copy(
            -1, torch.from_numpy(part.channels.ravel()).to(flat.device), new.flatten(2).to(flat)
        )
        view.copy_(flat.view(view.shape))
        return changed


def _normed_channels(part: Part) -> Channels:
    return part.channels if part.norm is None else part.norm.channels


def _bounded(heads: Heads, found: torch.Tensor) -> torch.Tensor:
    """Bound heads as the layer does.

    Also where a model clamps the projection's output in place: the deepest tap's pass ends before it does.
    """
    return found if heads.clip is None else found.clamp(-heads.clip, heads.clip)


def _by_token(output: Any, rows: int, n: int) -> torch.Tensor:
    """Return what a module gave as (rows, n, channels)."""
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    if found.shape[:2] == (rows, n):
        return found.flatten(2)
    if found.ndim == 4 and found.shape[:3] == (rows, 1, n):  # a latent that all heads share
        return found[:, 0]
    if found.shape[:1] == (rows * n,):
        return found.reshape(rows, n, -1)
    msg = f"a projection gave shape {tuple(found.shape)} for {rows} rows of {n} tokens"
    raise UnsupportedHostError(msg)
