"""Whether what is read of a host is what its attention gets, on this very model with these weights."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host.discovery import probe_ids
from s3_retriever.host.projections import Projections
from s3_retriever.host.readings import Heads, LayerHeads, Part
from s3_retriever.host.watching import Attention, Layer, watch

_TOLERANCE = 0.02  # relative; bfloat16 rounds by 0.004
_N_TOKENS = 8


def verify(name: str, decoder: Any, projections: Projections) -> frozenset[str]:
    """Compare what is read of each layer with what its attention gets.

    In a pass of single tokens, where nothing is rotated, both must be the same but for a factor that all
    channels share. In a pass of sequences, rotary embedding keeps the length of each head's vector, so that
    must be the same; and what is read of a token must not depend on those that follow.

    Args:
        name: The host's, for messages.
        decoder: Its base decoder, not in training.
        projections: What is read.

    Returns:
        Paths of the norms that are applied after rotary embedding.

    Raises:
        UnsupportedHostError: Something differs; the message names layer and module.
    """
    single = probe_ids(decoder)
    if projections.places.source == "declared":  # what was discovered comes from this very pass
        _Singles(name, projections).run(decoder, single)
    first = single[:_N_TOKENS].T
    second = first.clone()
    second[0, -1] = single[-1, 0]
    sequences = _Sequences(name, projections)
    sequences.run(decoder, torch.cat([first, second]))
    return frozenset(sequences.late)


class _Comparison:
    """Compares layer by layer."""

    def __init__(self, name: str, projections: Projections) -> None:
        self._name = name
        self.projections = projections
        layers = projections.places.layers
        self._numbers = {Layer(path, layers[:i].count(path)): i for i, path in enumerate(layers)}
        self._outputs: dict[tuple[nn.Module, int], torch.Tensor] = {}
        every = [one for layer in projections.layers.values() for one in (layer.queries, layer.keys)]
        self._wanted = {call for heads in every for call in heads.calls()}

    def run(self, decoder: Any, ids: torch.Tensor) -> None:
        """Run a pass and compare.

        Raises:
            UnsupportedHostError: Something differs.
        """
        rest = set(self.projections.layers)

        def notice(attention: Attention) -> None:
            for call in attention.calls:
                if (call.path, call.turn) in self._wanted:
                    self._outputs[self.projections.module(call.path), call.turn] = call.output
            number = self._numbers.get(attention.layer)
            if number in rest:
                rest.remove(number)
                self.compare(number, self.projections.layers[number], attention)

        watch(decoder, ids, notice)
        for number in sorted(rest):
            self.refuse(number, self.projections.layers[number].queries, "does not attend")

    def compare(self, number: int, layer: LayerHeads, attention: Attention) -> None:
        raise NotImplementedError

    def read(self, number: int, heads: Heads, shape: tuple[int, int]) -> torch.Tensor:
        """Return heads (rows, n, heads, width), float32."""
        try:
            return self.projections.compute(heads, self._outputs, shape).float()
        except KeyError:
            self.refuse(number, heads, "attends before the module was called, or without it")
        except IndexError:
            self.refuse(number, heads, "is read in more channels than the module gives")

    def refuse(self, number: int, heads: Heads, reason: str) -> NoReturn:
        places = self.projections.places
        msg = (
            f"host {self._name!r} cannot be read as {places.source}: layer {number} "
            f"({places.layers[number]}) {reason} ({heads}); load it as it was saved, or declare its family "
            "with s3_retriever.host.register_family"
        )
        raise UnsupportedHostError(msg)


class _Singles(_Comparison):
    """Of single tokens, all must be the same."""

    def compare(self, number: int, layer: LayerHeads, attention: Attention) -> None:
        shape = attention.queries.shape[0], attention.queries.shape[2]
        keys = self.read(number, layer.keys, shape)[:, 0]
        queries = self.read(number, layer.queries, shape)[:, 0]
        seen_queries, seen_keys = attention.queries[:, :, 0].float(), attention.keys[:, :, 0].float()
        for what, heads, read, seen in (
            ("queries", layer.queries, queries, seen_queries),
            ("keys", layer.keys, keys[:, list(layer.asks)], seen_keys[:, list(attention.asks)]),
        ):
            if read.shape != seen.shape:
                shapes = f"{read.shape[1]} heads of {read.shape[2]}, not {seen.shape[1]} of {seen.shape[2]}"
                self.refuse(number, heads, f"gets other {what} than are read of it: {shapes}")
            if (error := _difference(read, seen)) > _TOLERANCE:
                self.refuse(
                    number, heads, f"gets other {what} than are read of it: they differ by {error:.0%}"
                )


class _Sequences(_Comparison):
    """Of sequences, lengths must be the same, and nothing may depend on what follows."""

    def __init__(self, name: str, projections: Projections) -> None:
        super().__init__(name, projections)
        self.late: set[str] = set()

    def compare(self, number: int, layer: LayerHeads, attention: Attention) -> None:
        shape = attention.queries.shape[0], attention.queries.shape[2]
        queries, keys = (self.read(number, heads, shape) for heads in (layer.queries, layer.keys))
        for what, heads, read in (("queries", layer.queries, queries), ("keys", layer.keys, keys)):
            if _difference(read[:1, :-1], read[1:, :-1]) > _TOLERANCE:
                self.refuse(
                    number, heads, f"lets tokens see those that follow, as an encoder does: {what} change"
                )
        seen = attention.queries.transpose(1, 2).float()
        if not self._is_late(layer.queries, attention) and not _keeps_length(
            queries, seen, layer.queries, by_token=True
        ):
            self.refuse(number, layer.queries, "gets other queries in a sequence than are read of it")
        seen = attention.keys.transpose(1, 2).float()[:, :, list(attention.asks)]
        asked = layer.keys.of(np.array(layer.asks))
        if not self._is_late(layer.keys, attention) and not _keeps_length(
            keys[:, :, list(layer.asks)], seen, asked, by_token=False
        ):
            self.refuse(number, layer.keys, "gets other keys in a sequence than are read of it")

    def _is_late(self, heads: Heads, attention: Attention) -> bool:
        """Whether a norm is called on something else than its projection gave: on what was rotated."""
        given = {(call.path, call.turn): call.given for call in attention.calls}
        for part in heads.parts:
            if part.norm is None or (part.norm.path, part.norm.turn) not in given:
                continue
            normed = given[part.norm.path, part.norm.turn].float()
            if part.norm.over == "heads_first":
                normed = normed.transpose(1, 2)
            shape = attention.queries.shape[0], attention.queries.shape[2]
            projected = self.projections.compute(
                Heads((Part(part.path, part.turn, part.norm.channels),)), self._outputs, shape
            )
            if _difference(projected.float().reshape(normed.shape), normed) > _TOLERANCE:
                self.late.add(part.norm.path)
        return any(part.norm is not None and part.norm.path in self.late for part in heads.parts)


def _keeps_length(read: torch.Tensor, seen: torch.Tensor, heads: Heads, *, by_token: bool) -> bool:
    """Whether heads (rows, n, heads, d) are as long as those seen, which may have been rotated.

    Args:
        read: What is read.
        seen: What the attention got.
        heads: Where it is read; factors may come before or after rotary embedding.
        by_token: Whether each token may have a factor of its own, as a temperature that grows with position.
    """
    tries = [(read, seen)]
    if heads.factors is not None:
        factors = torch.from_numpy(heads.factors).to(read)
        tries.append((read / factors, seen / factors))
    for one, other in tries:
        lengths, wanted = one.norm(dim=-1), other.norm(dim=-1)
        if by_token:
            lengths, wanted = (
                each / each.mean(-1, keepdim=True).clamp(min=1e-30) for each in (lengths, wanted)
            )
        if _difference(lengths, wanted) <= _TOLERANCE:
            return True
    return False


def _difference(read: torch.Tensor, seen: torch.Tensor) -> float:
    """Return how much two tensors differ, relative to the second; one factor for all does not count."""
    factor = (read * seen).sum() / read.square().sum().clamp(min=1e-30)
    if factor <= 0:
        return 1.0
    return float((seen - factor * read).abs().max() / seen.abs().max().clamp(min=1e-30))
