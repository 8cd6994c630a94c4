"""A process that was forked does what its parent does, whatever the parent's threads did at that moment."""

from __future__ import annotations

import copy
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import ForkedProcessError, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.host.generation import Generator, Sampling
from s3_retriever.host.one_core import OneCoreThreads, single_threaded
from s3_retriever.host.taps import Tap
from s3_retriever.locks import cached_property

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork"),
    pytest.mark.long,
]

SECONDS = 60.0
CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
QUESTION = "Where is the oil?"


def forked(work: Callable[[], object]) -> bool:
    """Whether some work is true in a forked process; one that does not end is killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    begun = time.monotonic()
    while time.monotonic() < begun + SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"the process did not end in {SECONDS:.0f} s")


def hold(inside: Callable[[threading.Event, threading.Event], None]) -> Callable[[], None]:
    """Run something in a thread up to where it sets the first event; return what lets it go on."""
    there, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=inside, args=(there, go_on), daemon=True)
    thread.start()
    assert there.wait(SECONDS)

    def end() -> None:
        go_on.set()
        thread.join(SECONDS)

    return end


@pytest.fixture
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    """A retriever whose host has been run by the thread that is going to fork, on all cores."""
    made = S3Retriever.from_documents(
        ["The oil is in the cellar. " * 20, "Bread is baked at four."],
        host=tiny_host,
        artifact=tiny_artifact,
        config=CONFIG,
    )
    made.retrieve(QUESTION)
    square = torch.ones(1500, 1500)
    assert (square @ square)[0, 0] == 1500
    return made


@pytest.fixture
def searching(retriever: S3Retriever) -> Iterator[None]:
    """Two threads search all the while."""
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            retriever.retrieve(QUESTION)

    threads = [threading.Thread(target=search, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join(SECONDS)


def found(retriever: S3Retriever) -> list[tuple[str, float]]:
    return [(span.id, span.score) for span in retriever.retrieve(QUESTION)]


def generated(host: Host) -> str:
    generator = Generator(host)
    prompt = generator.encode("The quick brown fox jumps " * 8, special_tokens=False)
    return "".join(piece.text for piece in generator.generate(prompt, Sampling(max_new_tokens=3)))


@pytest.mark.usefixtures("searching")
def test_it_searches_while_threads_of_its_parent_do(retriever: S3Retriever) -> None:
    expected = found(retriever)
    for _ in range(5):
        assert forked(lambda: found(retriever) == expected)


@pytest.mark.usefixtures("searching")
def test_it_changes_loads_and_answers(retriever: S3Retriever, tmp_path: Path) -> None:
    expected, answer = found(retriever), generated(retriever.host)
    retriever.save(tmp_path / "index")

    def works() -> bool:
        loaded = S3Retriever.load(tmp_path / "index", host=retriever.host)
        assert found(loaded) == expected
        loaded.update([{"id": "new", "text": "A ship came in."}])
        loaded.save(tmp_path / "index")
        return len(loaded) == 3 and generated(retriever.host) == answer

    assert forked(works)
    assert len(S3Retriever.load(tmp_path / "index", host=retriever.host)) == 3


def test_a_fork_waits_until_no_thread_computes() -> None:
    begun, over = threading.Semaphore(0), []

    def compute(number: int) -> None:
        begun.release()
        time.sleep(0.3)
        over.append(number)

    threads = OneCoreThreads()
    numbers = range(threads.number)
    asking = threading.Thread(target=threads.map, args=(compute, numbers))
    asking.start()
    assert all(begun.acquire(timeout=SECONDS) for _ in numbers)
    assert forked(lambda: sorted(over) == list(numbers))
    asking.join(SECONDS)
    assert threads.map(str, numbers) == list(map(str, numbers))
    assert forked(lambda: OneCoreThreads().map(str, numbers) == list(map(str, numbers)))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the threads of Linux")
def test_a_fork_waits_until_the_system_has_ended_threads_that_computed() -> None:
    library = ctypes.CDLL(None)
    key = ctypes.c_uint()
    library.pthread_key_create(ctypes.byref(key), library.usleep)

    def end_slowly() -> int:
        library.pthread_setspecific(key, ctypes.c_void_p(500_000))
        return threading.get_native_id()

    with single_threaded(1) as pool:
        thread = pool.submit(end_slowly).result()
    there = Path(f"/proc/self/task/{thread}")
    assert there.exists()
    read, write = os.pipe()

    def after() -> None:
        os.write(write, b"there" if there.exists() else b"gone")

    os.register_at_fork(after_in_parent=after)
    assert forked(lambda: True)
    assert os.read(read, 9) == b"gone"
    library.pthread_key_delete(key)


def test_a_thread_that_adds_documents_does_not_keep_it_waiting(retriever: S3Retriever) -> None:
    def add(there: threading.Event, go_on: threading.Event) -> None:
        def documents() -> Iterator[str]:
            yield "Read before the fork."
            there.set()
            go_on.wait(SECONDS)

        retriever.add(documents())

    end = hold(add)
    assert forked(lambda: retriever.add(["Added in the other process."]) and len(retriever) == 3)
    end()
    assert len(retriever) == 3


def test_a_thread_that_has_the_model_to_itself_does_not_keep_it_waiting(retriever: S3Retriever) -> None:
    expected = found(retriever)

    def use(there: threading.Event, go_on: threading.Event) -> None:
        with retriever.host.exclusive():
            there.set()
            go_on.wait(SECONDS)

    end = hold(use)
    assert forked(lambda: found(retriever) == expected)
    end()
    assert found(retriever) == expected


def test_a_thread_that_computes_an_attribute_does_not_keep_it_waiting() -> None:
    """Before Python 3.12, all objects of a class share a lock per cached property."""
    there, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    class Slow:
        @cached_property
        def value(self) -> int:
            if os.getpid() == parent:
                there.set()
                go_on.wait(SECONDS)
            return 5

    thread = threading.Thread(target=lambda: Slow().value, daemon=True)
    thread.start()
    assert there.wait(SECONDS)
    assert forked(lambda: Slow().value == 5)
    go_on.set()
    thread.join(SECONDS)


def read(host: Host) -> Any:
    return host.keys([host.encode("oil").ids], [Tap(0, 0)])


@pytest.mark.parametrize("use", [read, generated])
def test_a_model_that_is_not_on_a_cpu_is_refused_at_once(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, use: Callable[[Host], Any]
) -> None:
    host = Host(model=copy.deepcopy(tiny_model), tokenizer=tiny_tokenizer, name="far")
    host.model.to("meta")  # loaded where it can be run, which shows what to read of it

    def refused() -> bool:
        with pytest.raises(ForkedProcessError, match=r"'far' is on meta .* after the fork, .* spawn"):
            use(host)
        return True

    assert forked(refused)
