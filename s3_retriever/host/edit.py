"""Passes of a host in which some layers' keys or values are replaced: what these are worth to it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host.model import Host
from s3_retriever.host.passes import StopForward
from s3_retriever.host.projections import Edit, Projections
from s3_retriever.host.readings import Heads
from s3_retriever.host.rest import computing
from s3_retriever.host.treated import input_device

Rows = npt.NDArray[np.int32]
"""Token ids, int32 (rows, n)."""


@dataclass(frozen=True)
class Edits:
    """What takes the place of keys, before rotary embedding, and of values, by layer.

    An edit gets (rows, n, K, d) as the host computes them and returns the same shape, of any float type.
    """

    keys: Mapping[int, Edit] = field(default_factory=dict)
    values: Mapping[int, Edit] = field(default_factory=dict)


def negative_log_likelihood(host: Host, rows: Rows, edits: Edits | None = None) -> float:
    """Return the mean of -log p(token | the tokens before it in its row), in nats, first tokens left out.

    Edits of deeper layers see keys and values as those of the layers before have changed them.

    Args:
        host: A host with its language-model head.
        rows: Token ids (rows, n), n at least 2.
        edits: What is replaced; nothing if None.

    Raises:
        UnsupportedHostError: The host has no language-model head, or its values are not known.
        InvalidInputError: A layer has no attention, or the rows are of a wrong length.
    """
    edits = edits or Edits()
    _check(host, rows, [edits])
    require_head(host)
    with host.exclusive() as projections, _hooks(_editing(projections, edits)), computing():
        ids = _tensor(host, rows)
        logits = host.model(input_ids=ids, use_cache=False).logits
        # Row by row: all logits in float32 may take a gigabyte.
        losses = [F.cross_entropy(row[:-1].float(), own[1:]) for row, own in zip(logits, ids, strict=True)]
        return float(torch.stack(losses).mean())


def output_errors(
    host: Host, rows: Rows, edits: Mapping[int, Sequence[Edits]]
) -> dict[int, npt.NDArray[np.float64]]:
    """Return what edits do to the output of a layer's attention, each layer by itself.

    Every time, an attention gets its input in the unchanged pass: errors of other layers do not come in.
    Its output is what it adds to the residual stream, after its output projection.

    Args:
        host: The host.
        rows: Token ids (rows, n).
        edits: By layer, several of that layer.

    Returns:
        By layer, float64 (1 + edits,): the sum of squares of the unchanged output, then those of the
        differences from it.

    Raises:
        UnsupportedHostError: Values are edited, and it is not known where they are.
        InvalidInputError: A layer has no attention, or the rows are of a wrong length.
    """
    _check(
        host,
        rows,
        [Edits(dict.fromkeys(edits, torch.clone)), *(e for es in edits.values() for e in es)],
    )
    sums = {}
    with host.exclusive() as projections:
        attentions = {layer: projections.module(projections.layers[layer].attention) for layer in edits}
        calls = _calls(host, rows, list(attentions.values()))
        for layer, variants in edits.items():
            attention = attentions[layer]
            args, kwargs, unchanged = calls[attention]
            squares = [_squares(unchanged)]
            for one in variants:
                with _hooks(_editing(projections, one)):
                    squares.append(_squares(_first(attention(*args, **kwargs)) - unchanged))
            sums[layer] = np.array(squares)
    return sums


def require_head(host: Host) -> None:
    """Check that a host predicts tokens.

    Raises:
        UnsupportedHostError: It has no language-model head.
    """
    if host.model.get_output_embeddings() is None:
        msg = (
            f"host {host.name!r} is a decoder without a language-model head, which perplexity needs: load it "
            "as a causal language model"
        )
        raise UnsupportedHostError(msg)


class _Call(NamedTuple):
    """How a module was called, and the first of what it returned."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: torch.Tensor


Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], Any]


def _calls(host: Host, rows: Rows, modules: Sequence[nn.Module]) -> dict[nn.Module, _Call]:
    """Run the host until each module was called."""
    calls: dict[nn.Module, _Call] = {}

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        calls[module] = _Call(args, kwargs, _first(output))
        if len(calls) == len(modules):
            raise StopForward

    with _hooks([(module, keep) for module in modules]), contextlib.suppress(StopForward), computing():
        host.model(input_ids=_tensor(host, rows), use_cache=False)
    return calls


def _editing(projections: Projections, edits: Edits) -> list[tuple[nn.Module, Hook]]:
    """Return the hooks that make edits. Where keys and values come out of one module, it gets both."""

    def hook(heads: Heads, edit: Edit) -> tuple[nn.Module, Hook]:
        return projections.last(heads), lambda _module, _args, _kwargs, out: projections.edited(
            heads, out, edit
        )

    return [hook(heads, edit) for heads, edit in _edited(projections, edits)]


def _edited(projections: Projections, edits: Edits) -> Iterator[tuple[Heads, Edit]]:
    """Yield the heads that are edited, and how."""
    for layer, edit in edits.keys.items():
        yield projections.layers[layer].keys, edit
    for layer, edit in edits.values.items():
        values = projections.layers[layer].values
        if values is not None:  # `_check` saw to it
            yield values, edit


@contextlib.contextmanager
def _hooks(hooks: Sequence[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Call hooks in this thread's passes only; others may use the model at the same time."""
    thread = threading.get_ident()

    def own(hook: Hook) -> Hook:
        return lambda *called: hook(*called) if threading.get_ident() == thread else None

    with contextlib.ExitStack() as stack:
        for module, hook in hooks:
            stack.enter_context(module.register_forward_hook(own(hook), with_kwargs=True))
        yield


def _check(host: Host, rows: Rows, edits: Sequence[Edits]) -> None:
    n = rows.shape[1]
    # Norms of keys get tokens and heads in either order; only their numbers tell which.
    if not max(1, host.n_key_heads) < n <= host.max_tokens:
        msg = (
            f"rows of {n} tokens do not suit host {host.name!r}: they must have more than its "
            f"{host.n_key_heads} key heads, and at most {host.max_tokens}"
        )
        raise InvalidInputError(msg)
    for one in edits:
        if one.values:
            host.require_values()
        for layer in (*one.keys, *one.values):
            if layer not in host.attention_layers:
                msg = f"layer {layer} of host {host.name!r} has no attention; {host.attention_layers} have"
                raise InvalidInputError(msg)
        with host.exclusive() as projections:
            for heads, _ in _edited(projections, one):
                if reason := projections.why_not_edited(heads):
                    msg = f"keys or values of host {host.name!r} cannot be replaced: {reason}"
                    raise UnsupportedHostError(msg)


def _tensor(host: Host, rows: Rows) -> torch.Tensor:
    return torch.from_numpy(rows.astype(np.int64)).to(input_device(host.model))


def _first(output: Any) -> torch.Tensor:
    tensor: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


def _squares(x: torch.Tensor) -> float:
    return float(x.double().square().sum())
