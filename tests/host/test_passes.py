"""Passes of one model in several threads."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.host.passes import Passes


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Threads change so often that what can go wrong between them does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def rows(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, 400, n).astype(np.int32) for n in lengths]


def test_passes_run_beside_one_another(tiny_host: Host, tiny_model: LlamaForCausalLM) -> None:
    """Each waits in the first layer until both are there, and still gets its own keys."""
    both = threading.Barrier(2, timeout=60)
    batch = rows(40, 50)
    taps = [[Tap(1, 0)], [Tap(2, 1)]]
    expected = [tiny_host.keys([ids], at)[0] for ids, at in zip(batch, taps, strict=True)]

    def wait(*_: object) -> None:
        both.wait()

    hook = tiny_model.model.layers[0].register_forward_pre_hook(wait)
    try:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda ids, at: tiny_host.keys([ids], at)[0], batch, taps))
    finally:
        hook.remove()
    for ours, its in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, its)


@pytest.mark.long
@pytest.mark.usefixtures("eager_switches")
def test_passes_that_end_in_one_module_do_not_disturb_each_other(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """torch goes through a module's hooks when a pass ends in it: they must not change then."""
    model = copy.deepcopy(tiny_model)  # whose hooks no other test's thread sets
    host = Host(model=model, tokenizer=tiny_tokenizer, name="own")
    (ids,) = rows(8)
    hooks = [len(module._forward_hooks) for module in model.modules()]  # transformers leaves some
    expected = host.project([ids], taps=[Tap(0, 0)], heads=[QueryHead(0, 0)])[0]

    def several(number: int) -> None:
        for _ in range(60):
            if number % 2:
                np.testing.assert_array_equal(host.keys([ids], [Tap(0, 0)])[0], expected.keys)
            else:
                np.testing.assert_array_equal(host.queries(ids, [QueryHead(0, 0)]), expected.queries)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(several, range(6)))
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_one_that_is_alone_waits_for_others_and_they_for_it() -> None:
    passes = Passes(torch.nn.Identity())
    order: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def beside() -> None:
        with passes.beside_others():
            entered.set()
            assert leave.wait(60)
            order.append("first")

    def alone() -> None:
        with passes.alone():
            order.append("alone")
            inside.set()
            assert go_on.wait(60)
            order.append("still alone")

    def late() -> None:
        with passes.beside_others():
            order.append("late")

    inside, go_on = threading.Event(), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(beside)]
        assert entered.wait(60)
        tasks.append(pool.submit(alone))
        assert not inside.wait(0.05)
        leave.set()
        assert inside.wait(60)
        tasks.append(pool.submit(late))
        go_on.set()
        for task in tasks:
            task.result()
    assert order == ["first", "alone", "still alone", "late"]


def test_dropout_is_off_from_the_first_pass_to_the_last() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout().eval()).train()
    passes = Passes(model)
    modes = [module.training for module in model.modules()]
    with passes.beside_others():
        with passes.beside_others():
            assert not any(module.training for module in model.modules())
        assert not any(module.training for module in model.modules())
        assert torch.is_inference_mode_enabled()
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(KeyError), passes.alone():
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == modes
    assert not torch.is_inference_mode_enabled()
