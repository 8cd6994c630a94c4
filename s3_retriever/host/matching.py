"""Which channels of which modules are what an attention was given: found by comparing numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.host.readings import Channels, Heads, Normed, NormOver, Part
from s3_retriever.host.watching import Call

Numbers = npt.NDArray[np.float32]
"""A number per row of the pass, each another token, and channel: float32 (rows, channels)."""

_ALIKE = 2e-5  # 1 - cosine of two channels over all rows, of which one may be a multiple, rounded to bfloat16
_SAME_FACTOR = 0.02  # relative


def numbers(tensor: torch.Tensor) -> Numbers:
    """Return what each row has, float32 (rows, channels); both zeros are the same."""
    return tensor.detach().float().cpu().reshape(len(tensor), -1).numpy() + np.float32(0)


class Ambiguous(Exception):  # noqa: N818 - not an error
    """Several modules give the same."""


class _Source(NamedTuple):
    """What may be handed to an attention: a module's output, perhaps of a norm."""

    call: Call
    numbers: Numbers
    is_norm: bool


class Matcher:
    """Finds heads among the outputs of the modules that a layer has called.

    Args:
        calls: The calls.
        rows: How many rows the pass has, of a token each.
        projects: Tells of a path whether its module is more than a norm: whether it has a matrix.
        clip: The bound that the configuration sets for queries, keys and values, or None.
    """

    def __init__(
        self, calls: Sequence[Call], rows: int, projects: Callable[[str], bool], clip: float | None
    ) -> None:
        self._clip = clip
        self._sources = [
            _Source(call, numbers(call.output), is_norm=not projects(call.path))
            for call in calls
            if len(call.output) == rows and (projects(call.path) or call.given.shape == call.output.shape)
        ]
        self._plain = [one for one in self._sources if not one.is_norm]
        self._norms = [one for one in self._sources if one.is_norm]
        self._inputs: dict[tuple[str, int], tuple[Call, Normed] | None] = {}  # of norms

    def find(self, heads: torch.Tensor) -> Heads | None:
        """Return where heads (rows, heads, width) come from, or None.

        Raises:
            Ambiguous: Several modules give the same.
        """
        target = numbers(heads)
        shape = heads.shape[1], heads.shape[2]
        for locate in (_equal, _multiple):
            found = self._whole(target, shape, locate) or self._in_parts(target, shape, locate)
            if found is not None:
                return found
        return None

    def _whole(self, target: Numbers, shape: tuple[int, int], locate: _Locate) -> Heads | None:
        """Find heads that one module gives."""
        for sources in (self._plain, self._norms):
            fits = []
            for source in sources:
                there = self._bounded(source.numbers)
                if (
                    locate(target[:, : shape[1]], there)[0] < 0
                ).any():  # a head tells, at a fraction of the cost
                    continue
                channels, factors = locate(target, there)
                if (channels >= 0).all():
                    part = self._part(source, channels.reshape(shape))
                    if part is not None:
                        fits.append((part, factors.reshape(shape)))
            if fits:
                part, factors = _outermost(fits)
                return Heads((part,), _told(factors), self._clip)
        return None

    def _in_parts(self, target: Numbers, shape: tuple[int, int], locate: _Locate) -> Heads | None:
        """Find heads whose channels come from several modules, the same ones in each head."""
        places: list[tuple[Part, Numbers] | None] = [None] * shape[1]
        for source in (*self._plain, *self._norms):
            there = self._bounded(source.numbers)
            if (locate(target[:, : shape[1]], there)[0] < 0).all():
                continue
            found, factors = locate(target, there)
            channels = found.reshape(shape)
            wanted = [bool((channels[:, i] >= 0).all()) and places[i] is None for i in range(shape[1])]
            for first, last in _runs(wanted):
                part = self._part(source, channels[:, first:last])
                if part is not None:
                    for i in range(first, last):
                        places[i] = part, factors.reshape(shape)[:, first:last]
        parts, scales = [], []
        for place in places:
            if place is None:
                return None
            if place[0] not in parts:
                parts.append(place[0])
                scales.append(place[1])
        return Heads(tuple(parts), _told(np.concatenate(scales, 1)), self._clip)

    def _part(self, source: _Source, channels: Channels) -> Part | None:
        call = source.call
        if not source.is_norm:
            return Part(call.path, call.turn, channels)
        key = call.path, call.turn
        if key not in self._inputs:
            self._inputs[key] = self._input(call)
        found = self._inputs[key]
        return found and Part(found[0].path, found[0].turn, channels, found[1])

    def _input(self, norm: Call) -> tuple[Call, Normed] | None:
        """Find the projection whose output a norm is called on, as it is."""
        over = _norm_over(norm.given)
        if over is None:
            return None
        given = numbers(norm.given)
        for projection in self._plain:
            channels, _ = _equal(given, projection.numbers)
            if (channels >= 0).all():
                axis = {"head": 2, "heads_first": 1, "projection": 0}[over]
                channels = channels.reshape(norm.given.shape[axis] if axis else 1, -1)
                return projection.call, Normed(norm.path, norm.turn, over, channels)
        return None

    def _bounded(self, given: Numbers) -> Numbers:
        return given if self._clip is None else given.clip(-self._clip, self._clip)


_Locate = Callable[[Numbers, Numbers], tuple[npt.NDArray[np.int64], Numbers]]
"""From a target and a source to the target's channels in the source, -1 where there is none, and factors."""


def _equal(target: Numbers, source: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Find channels that are the same in every row."""
    wanted, there = _mixed(target), _mixed(source)
    order = np.argsort(there, kind="stable")
    ordered = there[order]
    first = np.searchsorted(ordered, wanted)
    several = np.searchsorted(ordered, wanted, side="right") - first > 1
    found = order[first.clip(max=len(order) - 1)]
    found = np.where((source[:, found] == target).all(0), found, -1)
    for i in np.flatnonzero(several[1:]) + 1:  # of those that are the same (all zero, say), the next one
        following = found[i - 1] + 1
        if 0 < following < source.shape[1] and (source[:, following] == target[:, i]).all():
            found[i] = following
    return found.astype(np.int64), np.ones(len(found), np.float32)


def _mixed(columns: Numbers) -> npt.NDArray[np.float64]:
    """Return a number for each channel, the same for the same channels."""
    mixed = np.zeros(columns.shape[1])
    for row, weight in zip(columns, np.random.default_rng(0).standard_normal(len(columns)), strict=True):
        mixed += row.astype(np.float64) * weight  # in the same order for each
    return mixed


def _multiple(target: Numbers, source: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Find channels that are the same in every row but for a factor."""
    cosines = np.abs(_unit(source).T @ _unit(target))
    found = cosines.argmax(0)
    alike = 1 - cosines[found, np.arange(len(found))] < _ALIKE
    matched = source[:, found]
    factors = (target * matched).sum(0) / np.maximum(np.square(matched).sum(0), np.float32(1e-30))
    return np.where(alike, found, -1).astype(np.int64), factors.astype(np.float32)


def _unit(columns: Numbers) -> Numbers:
    unit: Numbers = columns / np.maximum(np.linalg.norm(columns, axis=0), np.float32(1e-20))
    return unit


def _told(factors: Numbers) -> Numbers | None:
    """Return factors (heads, width), or None where there is one only, as far as bfloat16 tells."""
    one = np.median(factors)
    return None if (np.abs(factors - one) <= _SAME_FACTOR * abs(one)).all() else factors


def _norm_over(given: torch.Tensor) -> NormOver | None:
    """Return what a norm is called on, from the shape of its input in a pass of single tokens."""
    if given.ndim <= 3:
        return "projection" if given.ndim < 3 or given.shape[1] == 1 else None
    if given.ndim == 4 and 1 in given.shape[1:3]:
        return "head" if given.shape[1] == 1 else "heads_first"
    return None


def _outermost(fits: Iterable[tuple[Part, Numbers]]) -> tuple[Part, Numbers]:
    """Return the only fit; where a module wraps another and both give the same, the wrapper.

    Raises:
        Ambiguous: Two modules, neither of which wraps the other, give the same.
    """
    ordered = sorted(fits, key=lambda fit: len(_named(fit[0])))
    outer = _named(ordered[0][0])
    others = [_named(part) for part, _ in ordered[1:]]
    if any(not other.startswith(f"{outer}.") for other in others):
        msg = " and ".join(sorted({outer, *others}))
        raise Ambiguous(msg)
    return ordered[0]


def _named(part: Part) -> str:
    return part.path if part.norm is None else part.norm.path


def _runs(flags: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of each run of true ones."""
    first = None
    for i, flag in enumerate([*flags, False]):
        if flag and first is None:
            first = i
        elif not flag and first is not None:
            yield first, i
            first = None
