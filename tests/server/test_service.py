"""Many questions at once: batches, limits, versions, and a graceful end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from server.conftest import DOCUMENTS, running

from s3_retriever import Client, Document, Host, S3Retriever, ServerBusyError, ServerError
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.server import service
from s3_retriever.server.batching import Batcher
from s3_retriever.server.served import ServedIndex
from s3_retriever.server.settings import ServerSettings


class Worker:
    """Answers a question with itself, when it may."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.batches: list[tuple[Any, list[str]]] = []

    def __call__(self, options: Any, questions: list[str]) -> list[str]:
        self.batches.append((options, questions))
        assert self.may_go.wait(30)
        if "bad" in questions:
            raise InvalidInputError("bad")
        if "fault" in questions:
            raise ZeroDivisionError
        return questions


def made(worker: Worker, **settings: Any) -> Batcher:
    batcher = Batcher(worker, **{"most_waiting": 100, "most_together": 3, "patience": 30.0, **settings})
    batcher.start()
    return batcher


async def test_those_that_wait_with_equal_options_are_answered_together() -> None:
    worker = Worker()
    batcher = made(worker)
    first = asyncio.create_task(batcher.ask("x", "x", ["0"]))
    while not worker.batches:
        await asyncio.sleep(0.001)
    asks = [("y", ["1"]), ("x", ["2", "3"]), ("y", ["4"]), ("y", ["5", "6"]), ("x", ["bad"]), ("y", ["7"])]
    others = [asyncio.create_task(batcher.ask(key, key, questions)) for key, questions in asks]
    await asyncio.sleep(0)
    worker.may_go.set()
    assert await first == ["0"]
    found = await asyncio.gather(*others, return_exceptions=True)
    assert [one if isinstance(one, list) else str(one) for one in found] == [
        ["1"], ["2", "3"], ["4"], ["5", "6"], "bad", ["7"],
    ]  # fmt: skip
    # Whoever waited longest comes first; a mistake is the mistake of one.
    assert worker.batches == [
        ("x", ["0"]),
        ("y", ["1", "4", "7"]),
        ("x", ["2", "3", "bad"]),
        ("x", ["2", "3"]),
        ("x", ["bad"]),
        ("y", ["5", "6"]),
    ]
    with pytest.raises(ZeroDivisionError):
        await batcher.ask("x", "x", ["fault"])
    assert await batcher.ask("x", "x", ["after"]) == ["after"]
    await batcher.close()


async def test_too_many_and_too_late_are_refused_and_the_rest_is_answered() -> None:
    worker = Worker()
    batcher = made(worker, most_waiting=3, patience=0.2)
    running_one = asyncio.create_task(batcher.ask("x", "x", ["0"]))
    while not worker.batches:
        await asyncio.sleep(0.001)
    waiting = asyncio.create_task(batcher.ask("x", "x", ["1", "2"]))
    await asyncio.sleep(0)
    assert batcher.waiting == 2
    with pytest.raises(ServerBusyError, match="2 questions wait"):
        await batcher.ask("x", "x", ["3", "4"])
    another = asyncio.create_task(batcher.call(lambda: "profile"))
    await asyncio.sleep(0)
    assert batcher.waiting == 3
    with pytest.raises(ServerBusyError, match="3 questions wait"):
        await batcher.call(lambda: "one too many")
    for late in (running_one, waiting, another):
        with pytest.raises(ServerBusyError, match=r"within 0\.2 s"):
            await late
    worker.may_go.set()
    assert await batcher.ask("x", "x", ["5"]) == ["5"]
    assert await batcher.call(lambda: "profile") == "profile"
    with pytest.raises(ZeroDivisionError):
        await batcher.call(lambda: 1 // 0)
    assert worker.batches == [("x", ["0"]), ("x", ["5"])]  # nobody waits for the others any more
    last = asyncio.create_task(batcher.ask("x", "x", ["6"]))
    await asyncio.sleep(0)
    await batcher.close()
    assert await last == ["6"]
    with pytest.raises(ServerBusyError, match="stopping"):
        await batcher.ask("x", "x", ["7"])


async def test_callers_who_ask_again_at_once_stay_together() -> None:
    batches: list[int] = []

    def work(_: Any, questions: list[str]) -> list[str]:
        batches.append(len(questions))
        time.sleep(0.2)
        return questions

    batcher = Batcher(work, most_waiting=100, most_together=32, patience=30.0)
    batcher.start()

    async def ask() -> None:
        for number in range(4):
            assert await batcher.ask("x", "x", [f"{number}"]) == [f"{number}"]

    await asyncio.gather(*(ask() for _ in range(8)))
    assert sum(batches) == 32
    assert len(batches) <= 6  # not one alone, then seven, in turn
    began = time.perf_counter()
    for _ in range(3):
        await batcher.ask("x", "x", ["alone"])
    assert time.perf_counter() - began < 30  # and nobody is waited for without end
    await batcher.close()


@contextmanager
def held(url: str, n: int) -> Iterator[list[Any]]:
    """Have questions answered by many threads meanwhile; give what they got, once the block has ended."""
    answers: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            while not stop.is_set():
                answers.append(http.post("/search", json={"questions": ["cats", "bread"], "mode": "bm25"}))

    with ThreadPoolExecutor(n) as pool:
        asking = [pool.submit(ask) for _ in range(n)]
        try:
            yield answers
        finally:
            stop.set()
            for one in asking:
                one.result()


@pytest.mark.long
def test_each_answer_is_of_one_version_while_others_save(saved: Path, tiny_host: Host) -> None:
    """Each save has n documents about cats, and each question is answered from one of the saves."""
    other = S3Retriever.load(saved, host=tiny_host)
    expected = {}
    with running(saved, tiny_host, poll=0.01) as url, held(url, 4) as answers:
        for i in range(12):
            text = f"Cats sleep on pier {i}. " * (i + 1)
            other.update([Document("pier", text), Document(f"bread {i}", f"Bread {i}.")])
            other.save(saved)
            version = other.index.generation(saved / "index")
            assert version is not None
            expected[version[:16]] = other.retrieve_batch(["cats", "bread"], mode="bm25")
            time.sleep(0.02)
        until = time.monotonic() + 20
        while httpx.get(f"{url}/readyz", timeout=60).json()["version"] != version[:16]:
            assert time.monotonic() < until
            time.sleep(0.01)
        httpx.post(f"{url}/search", json={"question": "cats"}, timeout=60)
    seen = set()
    for answer in answers:
        assert answer.status_code == 200
        found = answer.json()
        seen.add(found["version"])
        if found["version"] in expected:
            got = [[(one["id"], one["score"]) for one in each["spans"]] for each in found["answers"]]
            assert got == [[(one.id, one.score) for one in each] for each in expected[found["version"]]]
    assert len(seen & expected.keys()) > 1
    assert len(seen - expected.keys()) <= 1  # the one before the first save


@pytest.mark.long
def test_a_full_queue_is_told_and_a_client_asks_again(saved: Path, tiny_host: Host) -> None:
    with running(saved, tiny_host, max_waiting=1, max_together=1) as url, held(url, 6) as answers:
        while not any(one.status_code == 503 for one in list(answers)):
            time.sleep(0.02)
        refused = next(one for one in list(answers) if one.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "ServerBusyError"
    with running(saved, tiny_host) as url:
        assert Client(url).retrieve("bread")
    with pytest.raises(ServerError, match="no answer from"):
        Client(url).retrieve("bread")


async def test_no_line_of_requests_is_endless(
    saved: Path, tiny_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_CHANGES", 2)
    served = ServedIndex(saved, host=tiny_host)
    may_go = threading.Event()
    async with (one := service.Service(served, ServerSettings(max_waiting=3))).running():
        readings = [asyncio.create_task(one.read(lambda _: may_go.wait(30))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ServerBusyError, match="3 requests of this kind wait"):
            await one.read(lambda version: version.id)
        with served._changing:
            changes = [asyncio.create_task(one.change([Document(f"d{i}", "A text.")])) for i in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(ServerBusyError, match="2 requests of this kind wait"):
                await one.change([Document("one too many", "A text.")])
        may_go.set()
        assert await asyncio.gather(*readings) == [True] * 3
        await asyncio.gather(*changes)
        assert await one.read(lambda version: version.snapshot.document_ids[-2:]) == ("d0", "d1")


async def test_who_gives_up_leaves_the_line_when_a_thread_is_done_with_it(
    saved: Path, tiny_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then its documents are in memory. What was asked for is done all the same."""
    monkeypatch.setattr(service, "MOST_CHANGES", 2)
    served = ServedIndex(saved, host=tiny_host)
    async with (one := service.Service(served, ServerSettings())).running():
        with served._changing:
            changes = [asyncio.create_task(one.change([Document(f"d{i}", "A text.")])) for i in range(2)]
            await asyncio.sleep(0.05)  # the first one has begun
            for change in changes:
                change.cancel()
            await asyncio.wait(changes)
            with pytest.raises(ServerBusyError, match="2 requests"):
                await asyncio.wait_for(one.change([Document("one too many", "A text.")]), 10)
        until = time.monotonic() + 30
        while served.newest.snapshot.document_ids[-2:] != ("d0", "d1"):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        await one.change([], ["d0", "d1"])


def test_two_servers_of_one_folder_change_it_in_turn(saved: Path, tiny_host: Host) -> None:
    with running(saved, tiny_host) as one, running(saved, tiny_host) as two:
        clients = [Client(one), Client(two)]

        def add(i: int) -> None:
            clients[i % 2].add([Document(f"d{i}", f"Number {i}.")])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(8)))
    held_now = S3Retriever.load(saved, host=tiny_host).document_ids
    assert sorted(held_now) == sorted([*(f"d{i}" for i in range(8)), *(one.id for one in DOCUMENTS)])


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to handle")
def test_the_command_warns_in_a_line_and_answers_what_was_asked_before_it_stops(
    tmp_path: Path, tiny_folder: Path, tiny_artifact: Artifact
) -> None:
    folder = tmp_path / "index"
    S3Retriever.from_documents(DOCUMENTS, host=str(tiny_folder), artifact=tiny_artifact).save(folder)
    command = [sys.executable, "-m", "s3_retriever", "serve", str(folder), "--port", "0"]
    command += ["--host", str(tiny_folder)]
    with subprocess.Popen(  # noqa: S603
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "S3_RETRIEVER_TOKEN": "secret"}
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "3 documents, for reading and writing" in line
        client = Client(line.split()[-1], token="secret", retries=0)  # noqa: S106
        assert client.retrieve("Where is the oil?", where={"yaer": 1931}) == []
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.retrieve_batch, ["Where is the oil?"] * 100)
            while (
                "s3_retriever_batch_questions_count 1.0"
                in httpx.get(f"{client.url}/metrics", headers={"authorization": "Bearer secret"}).text
            ):
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            assert len(asking.result()) == 100
        assert process.wait(60) == 0
        assert process.stderr.read() == (
            "s3-retriever: no document has the key 'yaer' in its metadata; the nearest is 'year'\n"
        )
