"""How rows of tokens lie in a pass, and which rows share one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

PAD_MULTIPLE = 32
"""Rows are padded to a multiple of this. Rows of one padded length give the same projections, bit for
bit, whatever shares their batch; other lengths make the kernels sum in another order."""

Joined = tuple[tuple[int, int], ...]
"""Of each of some rows that lie one after the other: its number of tokens, and to how many it is padded where
its tokens meet, in attention. Elsewhere each token is by itself, and padding would be work for nothing."""


class Batch(NamedTuple):
    """Rows of tokens as a decoder takes them.

    Attributes:
        ids: int64 (rows, n).
        begins: Of each row, the row of ``ids`` that it lies in, and its first token there.
        options: What the decoder is told of them besides.
    """

    ids: torch.Tensor
    begins: Sequence[tuple[int, int]]
    options: Mapping[str, Any]


def padded_batch(rows: Sequence[npt.NDArray[np.int32]], length: int) -> Batch:
    """Pad rows on the right, where causal attention ignores it, to one length."""
    ids = np.zeros((len(rows), length), np.int64)
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return Batch(torch.from_numpy(ids), [(i, 0) for i in range(len(rows))], {})


def joined_batch(rows: Sequence[npt.NDArray[np.int32]], padded: Sequence[int]) -> Batch:
    """Join rows to one, for a decoder that takes ``joined``.

    Args:
        rows: Token ids, at least one.
        padded: To how many tokens each is padded in attention.
    """
    ids = np.concatenate(rows).astype(np.int64)
    begins = np.cumsum([0, *map(len, rows)])[:-1].tolist()
    ids = np.pad(ids, (0, _rounded(len(ids)) - len(ids)))
    joined: Joined = tuple((len(row), length) for row, length in zip(rows, padded, strict=True) if len(row))
    return Batch(torch.from_numpy(ids[None]), [(0, begin) for begin in begins], {"joined": joined})


def _rounded(n: int) -> int:
    """Round a number of tokens up, by at most 8 or a sixteenth part.

    torch makes kernels for each number of tokens in a pass and keeps them: few numbers, little memory.
    """
    step = max(8, (1 << (n - 1).bit_length()) >> 4)
    return -(-n // step) * step


def filled(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Share rows out in their order: as many to each batch as have ``most`` tokens together, or one.

    Args:
        sizes: Tokens of each row.
        most: Tokens of a batch.
    """
    batch: list[int] = []
    n = 0
    for i, size in enumerate(sizes):
        if batch and n + size > most:
            yield batch
            batch, n = [], 0
        batch.append(i)
        n += size
    if batch:
        yield batch


def of_one_length(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Share rows out to batches of one length each, of ``most`` tokens together or one row.

    Args:
        lengths: Tokens of each row, with its padding.
        most: Tokens of a batch.
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for length, group in itertools.groupby(by_length, key=lengths.__getitem__):
        yield from _of_few_sizes(list(group), max(1, most // max(1, length)))


def _of_few_sizes(members: list[int], most: int) -> Iterator[list[int]]:
    """Cut into batches of ``most``, and what is left into powers of two.

    torch makes kernels for each number of tokens in a batch and keeps them: few numbers, little memory.
    """
    start = 0
    while start < len(members):
        left = len(members) - start
        rows = most if left >= most else 1 << (left.bit_length() - 1)
        yield members[start : start + rows]
        start += rows
