"""What a lean decoder does between its products; in bfloat16 on a CPU by kernels that read and write once.

torch takes an operation for each step, and writes what it gives to memory for the next. Kernels see bfloat16
as uint16 (the upper half of a float32), and round after each step as torch does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.compiled import njit

_Halves = npt.NDArray[np.uint16]


def fits(hidden: torch.Tensor) -> bool:
    """Whether these kernels take a tensor."""
    return hidden.dtype == torch.bfloat16 and hidden.device.type == "cpu"


def normed(hidden: torch.Tensor, weight: torch.Tensor, least: float) -> torch.Tensor:
    """Return the root-mean-square norm of rows, as torch's operations do up to the order of a sum.

    Args:
        hidden: bfloat16 (..., n).
        weight: bfloat16 (n,).
        least: Added to the mean square.
    """
    hidden = hidden.contiguous()
    out = torch.empty_like(hidden)
    rows = -1, hidden.shape[-1]
    _norm(_halves(hidden).reshape(rows), _halves(weight), np.float32(least), _halves(out).reshape(rows))
    return out


def turn(heads: torch.Tensor, n_heads: int, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """Turn heads in place by the rotary embedding, whatever their type, as torch's operations do to the bit.

    Args:
        heads: (n, K, d), contiguous, written on.
        n_heads: How many are turned, the first ones.
        cos: (n, d), the same in both halves.
        sin: Likewise.
    """
    if fits(heads):
        _turn(_halves(heads), n_heads, _halves(cos), _halves(sin))
        return
    heads, half = heads[:, :n_heads], heads.shape[-1] // 2
    crossed = heads * sin[:, None]
    heads *= cos[:, None]
    heads[..., :half] -= crossed[..., half:]
    heads[..., half:] += crossed[..., :half]


def _halves(tensor: torch.Tensor) -> _Halves:
    return tensor.view(torch.int16).numpy().view(np.uint16)


# In each loop one array is read as float32 and as its bits: so the compiler makes vector instructions of it.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _norm(hidden: _Halves, weight: _Halves, least: np.float32, out: _Halves) -> None:
    n, size = hidden.shape
    scale = np.empty(size, np.uint32)
    bits = np.empty(size, np.uint32)
    scales, values = scale.view(np.float32), bits.view(np.float32)
    _widen(weight, scale)
    for i in range(n):
        _widen(hidden[i], bits)
        total = np.float32(0)
        for j in range(size):
            total += values[j] * values[j]
        factor = np.float32(1) / np.sqrt(total / np.float32(size) + least)
        for j in range(size):
            values[j] *= factor
        _round(bits)
        for j in range(size):
            values[j] *= scales[j]
        _round(bits)
        _narrow(bits, out[i])


@njit(cache=True, nogil=True)
def _turn(heads: _Halves, n_heads: int, cos: _Halves, sin: _Halves) -> None:
    n, _, dim = heads.shape
    half = dim // 2
    cosine, sine, bits = np.empty(dim, np.uint32), np.empty(dim, np.uint32), np.empty(dim, np.uint32)
    straight, crossed = np.empty(dim, np.uint32), np.empty(dim, np.uint32)
    c, s, values = cosine.view(np.float32), sine.view(np.float32), bits.view(np.float32)
    a, b = straight.view(np.float32), crossed.view(np.float32)
    for i in range(n):
        _widen(cos[i], cosine)
        _widen(sin[i], sine)
        for head in range(n_heads):
            _widen(heads[i, head], bits)
            for j in range(dim):
                a[j] = values[j] * c[j]
            for j in range(dim):
                b[j] = values[j] * s[j]
            _round(straight)
            _round(crossed)
            for j in range(half):
                values[j] = a[j] - b[half + j]
            for j in range(half):
                values[half + j] = a[half + j] + b[j]
            _round(bits)
            _narrow(bits, heads[i, head])


@njit(cache=True, nogil=True)
def _widen(halves: _Halves, bits: npt.NDArray[np.uint32]) -> None:
    for j in range(len(halves)):
        bits[j] = np.uint32(halves[j]) << np.uint32(16)


@njit(cache=True, nogil=True)
def _round(bits: npt.NDArray[np.uint32]) -> None:
    """Round float32 to the nearest bfloat16, of two as near to the even one."""
    for j in range(len(bits)):
        odd = (bits[j] >> np.uint32(16)) & np.uint32(1)
        bits[j] = (bits[j] + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)


@njit(cache=True, nogil=True)
def _narrow(bits: npt.NDArray[np.uint32], halves: _Halves) -> None:
    for j in range(len(bits)):
        halves[j] = np.uint16(bits[j] >> np.uint32(16))
