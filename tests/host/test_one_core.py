"""Torch computes on one core in these threads, and in all others as before."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from s3_retriever.host.one_core import OneCoreThreads, usable_cores, usual_threads


@pytest.mark.parametrize("attempt", range(20))
def test_only_its_threads_compute_on_one_core(attempt: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        threads = OneCoreThreads()
        found = threads.map(lambda i: (i, torch.get_num_threads(), threading.get_ident()), range(20))
        assert [one[:2] for one in found] == [(i, 1) for i in range(20)]
        assert len({ident for *_, ident in found} - {threading.get_ident()}) <= 3
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        OneCoreThreads().map(lambda i: 1 / i, [1, 0])


@pytest.mark.parametrize(
    ("limit", "most"), [("100000 100000", 1), ("max 100000", 10**6), ("50000 100000", 1), ("", 10**6)]
)
def test_a_quota_of_cores_is_kept(tmp_path: Path, limit: str, most: int) -> None:
    without = usable_cores(tmp_path / "no such file")
    assert 1 <= without <= (os.cpu_count() or 1)
    (tmp_path / "cpu.max").write_text(limit, encoding="ascii")
    assert usable_cores(tmp_path / "cpu.max") == min(without, most)


def test_part_of_a_core_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("100001 100000", encoding="ascii")
    assert usable_cores(tmp_path / "cpu.max") == min(2, usable_cores(tmp_path / "none"))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_is_kept() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == usual_threads() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_what_torch_may_use_is_a_limit() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert usual_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert 1 <= usual_threads() <= usable_cores()
