"""Tasks are done once each, by whoever has time; errors reach the caller."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3_retriever.search.workers import Workers


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_tasks", [0, 1, 3, 100])
def test_each_task_is_done_once(n_threads: int, n_tasks: int) -> None:
    done: list[int] = []
    Workers(n_threads).each(done.append, range(n_tasks))
    assert sorted(done) == list(range(n_tasks))


def test_threads_work_at_the_same_time_and_are_started_once() -> None:
    workers, together = Workers(2), threading.Barrier(2, timeout=60)
    seen: set[int] = set()

    def meet(_: int) -> None:
        together.wait()  # returns only if two threads are here
        seen.add(threading.get_ident())

    for _ in range(5):
        workers.each(meet, range(2))
    assert len(seen) == 2
    assert threading.get_ident() in seen


def test_a_task_may_have_tasks_of_its_own() -> None:
    """All threads are busy then, and whoever asks does them."""
    workers, done = Workers(3), []
    workers.each(lambda i: workers.each(lambda j: done.append((i, j)), range(4)), range(6))
    assert sorted(done) == [(i, j) for i in range(6) for j in range(4)]


def test_several_callers_share_them() -> None:
    workers, done = Workers(2), []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: workers.each(lambda j: done.append((i, j)), range(50)), range(4)))
    assert sorted(done) == [(i, j) for i in range(4) for j in range(50)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_reaches_the_caller_and_no_task_begins_after_it(n_threads: int) -> None:
    def fail(i: int) -> None:
        if i == 5:
            raise KeyError(i)

    workers = Workers(n_threads)
    with pytest.raises(KeyError):
        workers.each(fail, range(100))
    workers.each(fail, range(3))  # and they work on


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_come_in_the_order_of_their_tasks(n_threads: int) -> None:
    workers = Workers(n_threads)
    assert workers.map(lambda n: n * n, range(20)) == [n * n for n in range(20)]
    assert workers.map(str, []) == []
