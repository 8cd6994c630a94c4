"""Where a decoder keeps queries, keys and values, found by running it on a few tokens.

Rotary embedding leaves the first position as it is. So in rows of one token, attention gets queries and keys
as they were before it, whatever the model does; and a row per token tells which channels they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host.matching import Ambiguous, Matcher
from s3_retriever.host.readings import Heads, LayerHeads, Places
from s3_retriever.host.treated import input_device, projects
from s3_retriever.host.watching import Attention, watch

PROBE_ROWS = 12
"""Tokens of the pass: so many numbers tell one channel from another."""


def probe_ids(decoder: Any) -> torch.Tensor:
    """Return the ids of single tokens, int64 (rows, 1), spread over the vocabulary."""
    n = len(decoder.get_input_embeddings().weight)
    # Not the first and last ones, which may be special.
    ids = torch.linspace(n // 50 + 1, n * 9 // 10, PROBE_ROWS).long()
    return ids[:, None].to(input_device(decoder))


def discover(name: str, decoder: Any, clip: float | None) -> Places:
    """Find what to read of a decoder.

    Args:
        name: The host's, for messages.
        decoder: The base decoder, not in training.
        clip: The bound of queries, keys and values that its configuration sets, if any.

    Raises:
        UnsupportedHostError: No layer attends, or in none it was found where queries and keys come from.
    """
    found = _Found(decoder, clip)
    steps = watch(decoder, probe_ids(decoder), found.notice)
    numbers = {step: number for number, step in enumerate(steps)}
    left_out = {number: "it does not attend" for step, number in numbers.items() if step not in found.seen}
    left_out |= {numbers[step]: reason for step, reason in found.left_out.items()}
    if not found.heads:
        what = f"{name!r} ({type(decoder).__name__}) cannot be a host"
        if not found.left_out:
            msg = (
                f"{what}: no attention by softmax over its tokens was seen; use a decoder with attention, "
                "such as Llama, Qwen or Gemma"
            )
            raise UnsupportedHostError(msg)
        number, reason = next(iter(sorted((numbers[step], why) for step, why in found.left_out.items())))
        msg = (
            f"{what}: what its attention gets was not found in what its modules give (layer {number}: "
            f"{reason}); from your code, declare it with s3_retriever.host.register_family"
        )
        raise UnsupportedHostError(msg)
    heads = {numbers[step]: layer for step, layer in found.heads.items()}
    return Places(tuple(step.path for step in steps.values()), heads, left_out, "discovered")


class _Keys(NamedTuple):
    """Keys that an attention was given, and where they come from.

    Attributes:
        given: (rows, heads, d), some heads perhaps several times.
        which: Of each of these heads, its number among those that differ.
        keys: Those that differ.
        values: Theirs.
    """

    given: torch.Tensor
    which: tuple[int, ...]
    keys: Heads
    values: Heads | None


class _Found:
    """Gathers what attentions show."""

    def __init__(self, decoder: nn.Module, clip: float | None) -> None:
        self._projects = {name: projects(module) for name, module in decoder.named_modules()}
        self._clip = clip
        self._keys: list[_Keys] = []
        self.seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.heads: dict[int, LayerHeads] = {}
        self.left_out: dict[int, str] = {}

    def notice(self, attention: Attention) -> None:
        step, given = attention.step, (attention.queries, attention.keys)
        before = self.seen.setdefault(step, given)
        if before is not given:
            if not all(map(torch.equal, before, given)):
                self.heads.pop(step, None)
                self.left_out[step] = "it attends more than once, with different queries or keys"
            return
        try:
            self.heads[step] = self._layer(attention)
        except Ambiguous as error:
            self.left_out[step] = f"which module gives them is ambiguous: {error} give the same"
        except LookupError as error:
            self.left_out[step] = str(error.args[0])

    def _layer(self, attention: Attention) -> LayerHeads:
        """Return what is read of a layer.

        Raises:
            LookupError: Something was not found.
            Ambiguous: Two modules give the same.
        """
        matcher = Matcher(attention.calls, PROBE_ROWS, self._projects.__getitem__, self._clip)
        queries = matcher.find(attention.queries[:, :, 0])
        if queries is None:
            raise LookupError(_unfound("queries", attention.queries, attention))
        found = next((one for one in self._keys if torch.equal(one.given, attention.keys)), None)
        if found is None:
            found = _keys(attention, matcher)
            self._keys.append(found)
        return LayerHeads(
            attention.path, queries, found.keys, found.values, tuple(found.which[i] for i in attention.asks)
        )


def _keys(attention: Attention, matcher: Matcher) -> _Keys:
    """Find where keys and values come from.

    Raises:
        LookupError: Keys were not found.
        Ambiguous: Two modules give the same.
    """
    keys = matcher.find(attention.keys[:, :, 0])
    if keys is None:
        raise LookupError(_unfound("keys", attention.keys, attention))
    # Key heads may come several times, once for each query head that asks them.
    channels = np.concatenate([part.channels for part in keys.parts], axis=1)
    _, first, which = np.unique(channels, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    distinct = first[order]
    values = None if attention.values is None else matcher.find(attention.values[:, :, 0])
    return _Keys(
        attention.keys,
        tuple(np.argsort(order)[which.ravel()].tolist()),
        keys.of(distinct),
        None if values is None else values.of(distinct),
    )


def _unfound(what: str, heads: torch.Tensor, attention: Attention) -> str:
    modules = sorted({call.path.removeprefix(f"{attention.path}.") for call in attention.calls})
    return (
        f"{attention.path} is given {what} of {heads.shape[1]} heads of {heads.shape[-1]} that none of its "
        f"modules gives ({', '.join(modules)})"
    )
