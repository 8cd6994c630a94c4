"""Products with weights that are laid out once are those of torch, to the bit."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional as F

from s3_retriever.host.products import Product


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(1536, 576), (192, 576), (576, 1536), (5, 3), (1, 1), (33, 40)])
def test_any_number_of_rows_has_the_bits_of_torch(shape: tuple[int, int], dtype: torch.dtype) -> None:
    made = torch.Generator().manual_seed(shape[0])
    weight = torch.randn(shape, generator=made).to(dtype)
    product = Product()
    with torch.inference_mode():
        for n in (40, 40, 1, 8, 39, 300, 40, 0):
            rows = torch.randn((1, n, shape[1]), generator=made).to(dtype)
            assert torch.equal(product(rows, weight), F.linear(rows, weight))


def test_a_weight_may_lie_anywhere_in_memory() -> None:
    made = torch.Generator().manual_seed(1)
    file = torch.randn(64 * 96 + 3, generator=made).bfloat16()  # as weights lie in a file, at odd places
    for weight in (file[3:].view(64, 96), file[3:].view(96, 64).T, file[3:].view(128, 48)[::2, :]):
        product = Product()
        rows = torch.randn((7, weight.shape[1]), generator=made).bfloat16()
        for _ in range(2):
            assert torch.equal(product(rows, weight), F.linear(rows, weight))


def test_rows_of_another_type_and_copies_are_multiplied_too() -> None:
    made = torch.Generator().manual_seed(3)
    weight = torch.randn((96, 64), generator=made)
    product, rows = Product(), torch.randn((7, 64), generator=made)
    halved = rows.bfloat16(), weight.bfloat16()
    assert torch.equal(product(*halved), F.linear(*halved))
    for one in (product, copy.deepcopy(product), pickle.loads(pickle.dumps(product))):  # noqa: S301
        assert torch.equal(one(rows, weight), F.linear(rows, weight))
        assert torch.equal(one(*halved), F.linear(*halved))


def test_rows_of_any_strides_and_threads_share_a_product() -> None:
    made = torch.Generator().manual_seed(2)
    weight = torch.randn((96, 64), generator=made).bfloat16()
    wide = [torch.randn((2, n, 128), generator=made).bfloat16()[..., ::2] for n in range(1, 33)]
    product = Product()
    with torch.inference_mode(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda rows: product(rows, weight), wide))
    assert all(torch.equal(one, F.linear(rows, weight)) for one, rows in zip(found, wide, strict=True))
