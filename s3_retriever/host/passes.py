"""Forward passes of one model in several threads, each up to the outputs that it asks for."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from s3_retriever.host.batches import Batch
from s3_retriever.host.rest import computing
from s3_retriever.host.treated import without_cache
from s3_retriever.locks import ThreadLock, renew_after_fork

Wanted = Mapping[nn.Module, Collection[int]]
"""Modules, and of each the turns that are wanted: 0 for its first call in a pass."""


class StopForward(Exception):  # noqa: N818 - not an error
    """Ends a forward pass when all that was asked for is there."""


class Passes:
    """Runs passes of a model beside one another, or one while no other runs.

    Passes beside one another share their hooks, which stay until the last of them is over: torch fails where
    a hook is taken away while another thread ends a pass in that module. A pass that the model's owner runs
    at the same time is left alone.

    Args:
        model: The model. While a pass runs, dropout is off.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._door = ThreadLock()  # held while one comes in, and by the one that is alone
        self._changed = threading.Condition()  # guards all that follows
        self._inside: list[int] = []  # the thread of each pass
        self._dropout = contextlib.ExitStack()
        self._hooks: dict[nn.Module, RemovableHandle] = {}
        self._reading: dict[int, _Reading] = {}  # by thread
        renew_after_fork(self)

    @contextlib.contextmanager
    def beside_others(self) -> Iterator[None]:
        """Begin a pass that may run while others do, without dropout or gradients."""
        with self._door:
            self._come_in()
        with self._leaving():
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no pass runs, and keep others waiting, without dropout or gradients."""
        with self._door:
            with self._changed:
                self._changed.wait_for(lambda: not self._inside)
            self._come_in()
            with self._leaving():
                yield

    def outputs(self, wanted: Wanted, decoder: Any, batch: Batch) -> dict[tuple[nn.Module, int], Any]:
        """Run a decoder until each module has given its outputs, within one of the two blocks above.

        Args:
            wanted: Modules of the model, at least one, and the turns whose outputs are wanted.
            decoder: The model, or the part of it to call.
            batch: What it reads.

        Returns:
            The outputs by module and turn. One that was not called so often is not there.
        """
        reading = _Reading(wanted, sum(map(len, wanted.values())))
        thread = threading.get_ident()
        with self._changed:
            self._reading[thread] = reading
            for module in wanted.keys() - self._hooks.keys():
                self._hooks[module] = module.register_forward_hook(self._keep)
        try:
            with contextlib.suppress(StopForward), computing():
                decoder(input_ids=batch.ids, **batch.options, **without_cache(decoder))
        finally:
            del self._reading[thread]
        return reading.outputs

    def _keep(self, module: nn.Module, _: object, output: Any) -> None:
        reading = self._reading.get(threading.get_ident())
        if reading is None or module not in reading.wanted:
            return
        turn = reading.turns[module]
        reading.turns[module] += 1
        if turn in reading.wanted[module]:
            reading.outputs[module, turn] = output
        if len(reading.outputs) == reading.number:
            raise StopForward

    def _come_in(self) -> None:
        with self._changed:
            if not self._inside:
                self._dropout.enter_context(_evaluating(self._model))
            self._inside.append(threading.get_ident())

    @contextlib.contextmanager
    def _leaving(self) -> Iterator[None]:
        try:
            with torch.inference_mode():
                yield
        finally:
            self._go_out()

    def _go_out(self) -> None:
        with self._changed:
            self._inside.remove(threading.get_ident())
            self._tidy()
            self._changed.notify_all()

    def _tidy(self) -> None:
        if not self._inside:
            while self._hooks:
                self._hooks.popitem()[1].remove()
            self._dropout.close()

    def renew(self) -> None:
        """Forget the passes of other threads: in a forked process they are not there."""
        here = threading.get_ident()
        self._changed = threading.Condition()
        self._inside = [thread for thread in self._inside if thread == here]
        self._reading = {thread: reading for thread, reading in self._reading.items() if thread == here}
        self._tidy()


@dataclass
class _Reading:
    """What one pass wants and has so far."""

    wanted: Wanted
    number: int
    outputs: dict[tuple[nn.Module, int], Any] = field(default_factory=dict)
    turns: Counter[nn.Module] = field(default_factory=Counter)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, and back on where it was on."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
