"""Lists of postings as bits: Elias-Fano codes of their places, each with a level of its weight.

A list says at which of ``size`` places a feature fires, and how strongly. Its n places, ascending, are
written as Elias and Fano do (Vigna, "Quasi-succinct indices", WSDM 2013): the l lowest bits of each place,
with l = floor(log2(size / n)), and what is above them in unary. So a list takes n (l + 5) bits and fewer than
2 n more, and a posting is read without the ones before it, which gaps would need.

The bits of a list of n > 0 postings, the lowest bit of a byte first:

- n *fields*: the l lowest bits of the place, then the level in :data:`LEVEL_BITS` bits;
- n + ((size - 1) >> l) *marks*: mark ``(place_i >> l) + i`` is 1 for the i-th posting, the others are 0.

Single-threaded kernels, without the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from s3_retriever.compiled import njit

LEVEL_BITS = 4
"""Bits of a posting's level, which is 0 to 15."""

PADDING = 8
"""Bytes behind the last list: 64 bits can be read wherever a list has one."""

MARKS = 56
"""Bits that one :func:`load` is sure to give, wherever in a byte they begin."""


@intrinsic  # type: ignore[untyped-decorator]
def _load(_typing: Any, data: Any, at: Any) -> Any:
    """Return the eight bytes of an array of bytes from ``at`` on as one uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = context.get_value_type(types.uint64).as_pointer()
        word = builder.load(builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer))
        word.align = 1
        return word

    return types.uint64(data, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest(_typing: Any, word: Any) -> Any:
    """Return the number of the lowest bit of a uint64 that is 1, given that there is one."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def load(data, bit):  # type: ignore[no-untyped-def]
    """Return uint64: the bits of bytes from one on; at least :data:`MARKS` of them are sound."""
    return _load(data, bit >> np.uint64(3)) >> (bit & np.uint64(7))


@njit(cache=True, nogil=True)
def low_bits(count, size):  # type: ignore[no-untyped-def]
    """Return l of a list of ``count`` postings, at least 1, in ``size`` places."""
    low = 0
    while count << (low + 1) <= size:  # cheaper than a division
        low += 1
    return low


@njit(cache=True, nogil=True)
def lay_out(counts, sizes, begins):  # type: ignore[no-untyped-def]
    """Say where each list begins, and return the bytes of all. Every block begins with a byte.

    Args:
        counts: int32 (B, F), postings of each list.
        sizes: int64 (B,), places of each block.
        begins: int64 (B, F), written: the bit at which each list begins.
    """
    bit = 0
    for b in range(counts.shape[0]):
        for f in range(counts.shape[1]):
            begins[b, f] = bit
            if counts[b, f]:
                low = low_bits(counts[b, f], sizes[b])
                bit += counts[b, f] * (low + LEVEL_BITS + 1) + ((sizes[b] - 1) >> low)
        bit = (bit + 7) & ~7
    return bit >> 3


@njit(cache=True, nogil=True)
def _write(data, bit, value, width):  # type: ignore[no-untyped-def]
    """Set ``width`` bits, which are 0 before."""
    while width > 0:
        data[bit >> 3] |= np.uint8((value << (bit & 7)) & 255)
        done = 8 - (bit & 7)
        value >>= done
        bit += done
        width -= done


@njit(cache=True, nogil=True)
def pack(places, levels, size, data, bit):  # type: ignore[no-untyped-def]
    """Write a list.

    Args:
        places: int32 (n,), ascending, below ``size``.
        levels: uint8 (n,).
        size: Places of the block.
        data: uint8, zeros before where the list goes.
        bit: Where the list begins.
    """
    if len(places) == 0:
        return
    low = low_bits(len(places), size)
    width = low + LEVEL_BITS
    marks = bit + len(places) * width
    for i in range(len(places)):
        _write(data, bit + i * width, (places[i] & ((1 << low) - 1)) | (np.int64(levels[i]) << low), width)
        _write(data, marks + (places[i] >> low) + i, 1, 1)


@njit(cache=True, nogil=True)
def unpack(data, bit, count, size, out):  # type: ignore[no-untyped-def]
    """Read a list that is :func:`sound`.

    Args:
        data: uint8.
        bit: Where the list begins.
        count: Its postings.
        size: Places of the block.
        out: uint32 (at least ``count``,), written: of each posting, its place times 2^:data:`LEVEL_BITS`, and
            its level.
    """
    if count == 0:
        return
    one = np.uint64(1)
    low = np.uint64(low_bits(count, size))
    width = low + np.uint64(LEVEL_BITS)
    lowest_bits, level_bits = (one << low) - one, (one << np.uint64(LEVEL_BITS)) - one
    field = np.uint64(bit)
    at = field + np.uint64(count) * width
    left = np.uint64(count) + (np.uint64(size - 1) >> low)
    base, i = np.uint64(0), 0
    while left > 0:
        taken = min(left, np.uint64(MARKS))
        marks = load(data, at) & ((one << taken) - one)
        while marks:
            word = load(data, field)
            place = (base + lowest(marks) << low) | (word & lowest_bits)
            out[i] = place << np.uint64(LEVEL_BITS) | (word >> low) & level_bits
            marks &= marks - one
            field += width
            base -= one  # as many marks of 1 as were read do not count
            i += 1
        at += taken
        base += taken
        left -= taken


@njit(cache=True, nogil=True)
def place_of(posting):  # type: ignore[no-untyped-def]
    """Return the place of a posting, int64."""
    return np.int64(posting >> np.uint32(LEVEL_BITS))


@njit(cache=True, nogil=True)
def level_of(posting):  # type: ignore[no-untyped-def]
    """Return the level of a posting, int64."""
    return np.int64(posting & np.uint32((1 << LEVEL_BITS) - 1))


@njit(cache=True, nogil=True)
def sound(data, begins, counts, sizes):  # type: ignore[no-untyped-def]
    """Whether every list has as many marks of 1 as postings, so that no kernel reads outside of it.

    Args:
        data: uint8, as long as :func:`lay_out` says, and :data:`PADDING` more.
        begins: int64 (B, F).
        counts: int32 (B, F).
        sizes: int64 (B,).
    """
    one = np.uint64(1)
    for b in range(counts.shape[0]):
        for f in range(counts.shape[1]):
            count = counts[b, f]
            if count == 0:
                continue
            low = low_bits(count, sizes[b])
            at = np.uint64(begins[b, f] + np.int64(count) * (low + LEVEL_BITS))
            left = np.uint64(count + ((sizes[b] - 1) >> low))
            while left > 0:
                taken = min(left, np.uint64(MARKS))
                marks = load(data, at) & ((one << taken) - one)
                while marks:
                    marks &= marks - one
                    count -= 1
                at += taken
                left -= taken
            if count:
                return False
    return True
