"""An address where no cluster is, is said at once and in a line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from s3_retriever.cli.main import main

pytestmark = pytest.mark.long


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize("command", ["serve", "index"])
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens(
    command: str, scheme: str, nobody: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.serve")
    out = ["--out", str(tmp_path / "out")] if command == "index" else []
    assert main([command, str(tmp_path), *out, "--ray", scheme + nobody]) == 2
    assert f"there is no Ray cluster at {scheme + nobody!r}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_environment_names_an_address(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from s3_retriever.cluster.connection import connect
    from s3_retriever.errors import ClusterError

    monkeypatch.setenv("RAY_ADDRESS", nobody)
    for address in (None, "auto"):
        with pytest.raises(ClusterError, match=f"{nobody}' .of RAY_ADDRESS.*host:port"):
            connect(address)


@pytest.mark.parametrize("address", ["cluster", "cluster:", ":6379", "host:port", "10.0.0.1", "head:65536"])
def test_what_is_no_address(address: str) -> None:
    pytest.importorskip("ray")
    from s3_retriever.cluster.connection import connect
    from s3_retriever.errors import ClusterError

    with pytest.raises(ClusterError, match="an address is host:port"):
        connect(address)
