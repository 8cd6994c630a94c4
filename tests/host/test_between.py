"""Kernels between the products of a plain host: torch's own operations say what they have to give."""

from __future__ import annotations

import pytest
import torch

from s3_retriever.host.between import normed, turn


def heads_of(seed: int, dtype: torch.dtype, *shape: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    sizes = 10.0 ** torch.randint(-6, 6, shape[:1], generator=draw).view(-1, *[1] * (len(shape) - 1))
    return (torch.randn(shape, generator=draw) * sizes).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("n", "n_heads", "dim"), [(1, 1, 2), (7, 5, 6), (33, 3, 64), (70, 12, 128)])
def test_heads_are_turned_to_the_bit(dtype: torch.dtype, n: int, n_heads: int, dim: int) -> None:
    every = heads_of(n, dtype, n, n_heads + 2, dim)
    angles = torch.randn(n, dim // 2, generator=torch.Generator().manual_seed(dim))
    cos, sin = (torch.cat((one, one), -1).to(dtype) for one in (angles.cos(), angles.sin()))
    heads = every[:, :n_heads].clone()
    half = dim // 2
    crossed = torch.cat((-heads[..., half:], heads[..., :half]), -1)
    expected = heads * cos[:, None] + crossed * sin[:, None]
    found = every.clone()
    turn(found, n_heads, cos, sin)
    assert torch.equal(found[:, :n_heads], expected)
    assert torch.equal(found[:, n_heads:], every[:, n_heads:])


@pytest.mark.parametrize(("n", "size"), [(1, 1), (5, 7), (65, 576), (130, 96)])
def test_norms_are_those_of_torch_but_for_the_last_bit(n: int, size: int) -> None:
    rows, weight = heads_of(n, torch.bfloat16, n, size), heads_of(size, torch.bfloat16, size)
    found = normed(rows[None], weight, 1e-5)[0]
    wide = rows.double()
    scaled = (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)).to(torch.bfloat16)
    expected = (scaled * weight).view(torch.int16).int()
    assert (found.view(torch.int16).int() - expected).abs().max() <= 2
    assert (found.view(torch.int16) == expected).float().mean() > 0.99
    apart = torch.cat([normed(row[None], weight, 1e-5) for row in rows])
    assert torch.equal(apart, found)
