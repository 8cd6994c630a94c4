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


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_tasks_are_done_ahead_or_when_their_result_is_wanted(n_threads: int) -> None:
    workers, done = Workers(n_threads), []

    def double(n: int) -> int:
        done.append(n)
        return 2 * n

    with workers.ahead(double, range(50)) as result:
        assert [result(i) for i in reversed(range(50))] == [2 * i for i in reversed(range(50))]
    assert sorted(done) == list(range(50))


def test_a_task_is_done_while_the_caller_does_something_else() -> None:
    together = threading.Barrier(2, timeout=60)
    with Workers(2).ahead(lambda _: together.wait(), range(1)) as result:
        together.wait()  # returns only if the task has begun
        result(0)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_error_of_a_task_ahead_is_raised_where_its_result_is_wanted(n_threads: int) -> None:
    workers = Workers(n_threads)
    with workers.ahead(lambda n: 6 // n, [3, 0]) as result:
        assert result(0) == 2
        with pytest.raises(ZeroDivisionError):
            result(1)


def test_tasks_that_nobody_wanted_are_dropped_at_the_end() -> None:
    workers, begun, go = Workers(2), [], threading.Event()

    def wait_for_it(n: int) -> None:
        begun.append(n)
        go.wait(60)

    def leave_early() -> None:
        with workers.ahead(wait_for_it, range(100)):
            threading.Timer(0.2, go.set).start()
            raise KeyError

    with pytest.raises(KeyError):
        leave_early()
    workers.each(lambda _: None, range(10))
    assert len(begun) <= 1
