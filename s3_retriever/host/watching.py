"""One pass in which each attention's inputs are seen, and the modules that they come from.

What the model does is watched from outside: the functions that its thread calls, and its modules through
hooks. So it may attend by its own code or by that of transformers, be quantised or patched.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from s3_retriever.host.treated import without_cache


class Call(NamedTuple):
    """A call of a module with one tensor.

    Attributes:
        path: Of the module, from the decoder.
        turn: How often it had been called before in this pass.
        given: Its input.
        output: Its output, or the first of several.
    """

    path: str
    turn: int
    given: torch.Tensor
    output: torch.Tensor


@dataclass(frozen=True)
class Layer:
    """A call of a layer: its path, and how often it had been called before in the pass."""

    path: str
    turn: int


@dataclass(frozen=True, eq=False)
class Attention:
    """What one attention was given, and what was called in its layer before.

    Attributes:
        step: Number of the call of its layer, among those of all lists of modules.
        layer: That call.
        path: Of the module that attends, from the decoder.
        queries: (rows, H, n, d).
        keys: (rows, K, n, d). Others that follow them, such as compressed ones, are left out.
        values: (rows, K, n, d'), or None where they were not seen.
        asks: Of each query head, which of the K it attends to.
        calls: Calls of modules in this layer up to now, the first to end first.
    """

    step: int
    layer: Layer
    path: str
    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor | None
    asks: tuple[int, ...]
    calls: tuple[Call, ...]


def watch(decoder: Any, ids: torch.Tensor, notice: Callable[[Attention], None]) -> Mapping[int, Layer]:
    """Run a decoder and hand over what each attention is given.

    A layer is a member of a list of modules one of which attends, and not within another such member of it.

    Args:
        decoder: The base decoder.
        ids: int64 (rows, n).
        notice: Is called for each attention, as soon as it was seen.

    Returns:
        The calls of layers by :attr:`Attention.step`, in their order.
    """
    watcher = _Watcher(decoder, ids, notice)
    with watcher.hooks(), torch.inference_mode(), watcher:
        decoder(input_ids=ids, **without_cache(decoder))
    return watcher.layers()


_PRODUCTS = frozenset(
    {
        torch.matmul,
        torch.bmm,
        torch.baddbmm,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.bmm,
        torch.Tensor.baddbmm,
    }
)
_SOFTMAXES = frozenset({torch.softmax, torch.Tensor.softmax, functional.softmax})


class _Scores(NamedTuple):
    """A product of queries (..., n, d) and keys (..., d, m), which may be an attention's scores."""

    queries: torch.Tensor
    keys: torch.Tensor


class _Step(NamedTuple):
    """A member of a list of modules that is being called: its number, its depth, the calls within it."""

    number: int
    depth: int
    calls: list[Call]


class _Watcher(TorchFunctionMode):
    """Sees the functions that this thread calls, and through hooks the modules."""

    def __init__(self, decoder: nn.Module, ids: torch.Tensor, notice: Callable[[Attention], None]) -> None:
        super().__init__()
        self._paths = {module: name for name, module in decoder.named_modules() if name}
        self._rows, self._length = ids.shape
        self._notice = notice
        self._thread = threading.get_ident()
        self._active: list[str] = []  # paths of the modules being called
        self._turns: Counter[str] = Counter()
        self._steps: list[Layer] = []
        self._attending: set[int] = set()
        self._within: list[_Step] = []  # members of lists being called, the innermost last
        self._scores: _Scores | None = None
        self._attended: _Scores | None = None  # a softmax was seen of these

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            names = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
            self._attention(_Scores(names["query"], names["key"].mT), names["value"])
        output = func(*args, **kwargs)
        if func in _PRODUCTS:
            first, second = _factors(func, args, kwargs)
            if self._attended is not None:
                scores, self._attended = self._attended, None
                self._attention(scores, second)
            elif self._may_be_scores(first, second):
                self._scores = _Scores(first, second)
        elif func in _SOFTMAXES and self._scores is not None and self._are_odds(output, self._scores):
            self._attended, self._scores = self._scores, None
        return output

    def _may_be_scores(self, first: torch.Tensor, second: torch.Tensor) -> bool:
        """Whether a product has the shape of an attention's scores: for each query, one for each key."""
        if min(first.ndim, second.ndim) < 3:
            return False
        n_queries, n_keys = first.shape[-2], second.shape[-1]
        return n_keys == 1 if self._length == 1 else n_queries == self._length <= n_keys

    def _are_odds(self, output: torch.Tensor, scores: _Scores) -> bool:
        """Whether a softmax is over these scores, perhaps with one more for a sink."""
        n_more = output.shape[-1] - scores.keys.shape[-1]
        return n_more in (0, 1) and output[..., 0].numel() == scores.queries[..., 0].numel()

    def _attention(self, scores: _Scores, values: torch.Tensor | None) -> None:
        """Hand over an attention."""
        rows, n = self._rows, self._length
        width, n_keys = scores.queries.shape[-1], scores.keys.shape[-1]
        sizes = scores.queries.numel() % (rows * n * width), scores.keys.numel() % (rows * n_keys * width)
        if not self._within or any(sizes):
            return
        queries = scores.queries.reshape(rows, -1, scores.queries.shape[-2], width)
        keys = scores.keys.mT.reshape(rows, -1, n_keys, width)
        groups, packed = (
            queries.shape[1],
            queries.shape[2] // n,
        )  # of a single token, heads may stand for tokens
        shared = max(1, groups // keys.shape[1])
        asks = tuple(group // shared for group in range(groups) for _ in range(packed))
        if values is not None:
            fits = values.shape[-2] == n_keys and values.numel() % (rows * keys.shape[1] * n_keys) == 0
            values = values.reshape(rows, keys.shape[1], n_keys, -1)[:, :, :n] if fits else None
        step = self._within[-1].number
        self._attending.add(step)
        self._notice(
            Attention(
                step,
                self._steps[step],
                self._active[-1],
                queries.reshape(rows, -1, n, width),
                keys[:, :, :n],
                values,
                asks,
                tuple(self._within[-1].calls),
            )
        )

    def hooks(self) -> contextlib.ExitStack:
        """Hook every module until the context ends."""
        stack = contextlib.ExitStack()
        for module in self._paths:
            stack.callback(module.register_forward_pre_hook(self._begin).remove)
            stack.callback(module.register_forward_hook(self._end, with_kwargs=True).remove)
        return stack

    def _begin(self, module: nn.Module, _: object) -> None:
        if threading.get_ident() != self._thread:
            return
        path = self._paths[module]
        self._active.append(path)
        if path.rpartition(".")[2].isdecimal():
            self._within.append(_Step(len(self._steps), len(self._active), []))
            self._steps.append(Layer(path, sum(step.path == path for step in self._steps)))

    def _end(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        path = self._paths[module]
        given = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor)]
        first = output[0] if isinstance(output, tuple) and output else output
        waiting = [step for step in self._within if step.number not in self._attending]
        if waiting and len(given) == 1 and isinstance(first, torch.Tensor):
            # Copies: some models change in place what a module gave.
            call = Call(path, self._turns[path], given[0].clone(), first.clone())
            for step in waiting:
                step.calls.append(call)
        self._turns[path] += 1
        if self._within and self._within[-1].depth == len(self._active):
            self._within.pop()
        self._active.pop()

    def layers(self) -> dict[int, Layer]:
        """Return the calls of members of lists that attend, by their number."""
        lists = {self._steps[step].path.rpartition(".")[0] for step in self._attending}
        return {i: step for i, step in enumerate(self._steps) if step.path.rpartition(".")[0] in lists}


def _factors(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two factors of a product, whatever it is called by."""
    if func in (torch.baddbmm, torch.Tensor.baddbmm):
        args = args[1:]
    named = {name: value for name, value in kwargs.items() if name not in ("out", "alpha", "beta")}
    first, second = [*args, *named.values()][:2]
    return first, second
