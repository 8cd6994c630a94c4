"""An index in shards served by Ray Serve: the answers of every other server, and those of a new version."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever import Artifact, Client, Document, S3Retriever
from s3_retriever.cli.main import main
from s3_retriever.errors import ReadOnlyError, ServerError

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
    index = tmp_path / "index"
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
        serve.shutdown()
    if failed:
        raise failed[0]
    assert (
        f"serving {index} (in 2 shards, for reading only) at http://127.0.0.1:{port}"
        in capsys.readouterr().err
    )


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
