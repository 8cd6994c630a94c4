"""An index in shards served by Ray Serve: the answers of every other server, and those of a new version."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s3_retriever import Artifact, Client, Document, S3Retriever
from s3_retriever.cli.main import main
from s3_retriever.errors import InvalidInputError, ReadOnlyError, ServerError

pytestmark = pytest.mark.long
QUESTION = "Where are the keys?"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.usefixtures("cluster")
def test_shards_are_served_as_every_other_index(
    tmp_path: Path,
    host: str,
    artifact: Artifact,
    documents: list[Document],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray import serve

    monkeypatch.delenv("S3_RETRIEVER_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    index = Path("index")  # the cluster's processes run elsewhere
    whole = S3Retriever.from_documents(documents, host=host, artifact=artifact)
    whole.save(index)
    port = free_port()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with Client(f"http://127.0.0.1:{port}", retries=0) as client:

                def ready() -> bool:
                    try:
                        return len(client) == len(documents)
                    except ServerError:
                        return False

                wait_for(ready)
                for mode in ("hybrid", "bm25"):
                    spans = client.retrieve(QUESTION, 100, mode=mode, explain=True)
                    assert spans == whole.retrieve(QUESTION, 100, mode=mode, explain=True)
                assert client.document_ids == whole.document_ids
                assert client.document("d007") == whole.document("d007")
                with pytest.raises(ReadOnlyError, match="in shards"):
                    client.add([Document("x", "x")])
                whole.add([Document("new", "The keys are new.")])
                whole.save(index)
                wait_for(lambda: "new" in client)
                assert client.retrieve(QUESTION, 100) == whole.retrieve(QUESTION, 100)
        except BaseException as error:
            failed.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert main(["serve", str(index), "--ray", "--shards", "2", "--host", host, "--port", str(port)]) == 0
    finally:
        asking.join()
        proxies = serve.status().proxies
        serve.shutdown()
    if failed:
        raise failed[0]
    assert not proxies  # Ray Serve, which the command began, has ended with it
    assert (
        f"serving {index} (in 2 shards, for reading only) at http://127.0.0.1:{port}"
        in capsys.readouterr().err
    )


@pytest.fixture
def index(
    cluster: None,
    tmp_path: Path,
    host: str,
    artifact: Artifact,
    documents: list[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """An index that can be served on the cluster, where Ray Serve does not run before or after."""
    from ray import serve

    monkeypatch.delenv("S3_RETRIEVER_TOKEN", raising=False)
    S3Retriever.from_documents(documents[:9], host=host, artifact=artifact).save(tmp_path / "index")
    yield str(tmp_path / "index")
    serve.shutdown()


def test_ray_serve_that_listens_elsewhere_is_not_taken_for_the_address_asked_for(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would answer others than this machine, and nobody was asked for a token."""
    from ray import serve

    port = free_port()
    serve.start(http_options={"host": "0.0.0.0", "port": port})  # noqa: S104
    assert main(["serve", index, "--ray", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"Ray Serve listens at 0.0.0.0, port {port}" in said
    assert f"not at 127.0.0.1, port {port}" in said
    status = serve.status()
    assert status.proxies, "it belongs to somebody else"
    assert not status.applications


def test_a_port_that_is_taken_is_said_in_a_line(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ray import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", index, "--ray", "--port", str(port)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"Ray Serve cannot listen at 127.0.0.1, port {port}; choose another --port or --bind" in said
    assert not serve.status().proxies


@pytest.fixture
def full(cluster: None) -> Iterator[None]:
    """The cluster has no CPU left."""
    import ray

    @ray.remote(num_cpus=2)
    class Busy:
        def ready(self) -> None:
            pass

    busy = Busy.remote()
    ray.get(busy.ready.remote())
    yield
    ray.kill(busy)


@pytest.mark.slow
@pytest.mark.usefixtures("full")
def test_waiting_for_room_ends_when_told_so_and_after_a_while(index: str) -> None:
    from ray import serve

    from s3_retriever.server.on_ray import APPLICATION, Sharded, run
    from s3_retriever.server.settings import ServerSettings

    what = Sharded(index, 2, ServerSettings(port=free_port()))
    told: list[str] = []

    def end() -> None:
        wait_for(lambda: APPLICATION in serve.status().applications)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end)
    ending.start()
    run(what, ready=told.append)
    ending.join()
    with pytest.raises(InvalidInputError, match="has not started the application in 1 s"):
        run(what, ready=told.append, patience=1)
    assert not told
    assert not serve.status().applications


def test_a_command_that_was_replaced_ends_and_leaves_what_replaced_it(index: str, host: str) -> None:
    from ray import serve

    from s3_retriever.server.on_ray import APPLICATION, Sharded, run
    from s3_retriever.server.settings import ServerSettings

    @serve.deployment
    class Other:
        def __call__(self) -> str:
            return "other"

    def replace(_url: str) -> None:
        serve.run(Other.bind(), name=APPLICATION)

    with pytest.raises(InvalidInputError, match="another command has replaced"):
        run(Sharded(index, 1, ServerSettings(port=free_port()), host), ready=replace)
    assert [*serve.status().applications[APPLICATION].deployments] == ["Other"]


@pytest.mark.slow
def test_a_host_that_is_not_there_is_named(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "no-host")
    assert main(["serve", index, "--ray", "--port", str(free_port()), "--host", missing]) == 2
    assert missing in capsys.readouterr().err.splitlines()[-1]


def test_what_cannot_be_served_in_shards_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.serve")
    for options, said in (
        (["--shards", "2"], "--shards goes with --ray"),
        (["--ray", "--port", "0"], "--port 0"),
        (["--ray", "--bind", "0.0.0.0"], "a token is needed"),  # noqa: S104
    ):
        assert main(["serve", str(tmp_path), *options]) == 2
        assert said in capsys.readouterr().err
