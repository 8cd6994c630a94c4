"""An address where no cluster is, is said at once and in a line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from cli_set import assert_mistake, names

from s3_retriever import Artifact, Document, S3Retriever
from s3_retriever.cli.main import main

pytestmark = pytest.mark.long


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture
def manuals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a folder of one file, an empty one, and a folder that is no index."""
    pytest.importorskip("ray.serve")
    for name in ("manuals", "empty", "letters"):
        (tmp_path / name).mkdir()
    (tmp_path / "manuals" / "oil.txt").write_text("The keeper stores oil.", encoding="utf-8")
    (tmp_path / "letters" / "dear.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["serve", "index"])
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens(
    command: str,
    scheme: str,
    nobody: str,
    manuals: Path,
    host: str,
    artifact: Artifact,
    capsys: pytest.CaptureFixture[str],
) -> None:
    retriever = S3Retriever.from_documents([Document("a", "Oil.")], host=host, artifact=artifact)
    retriever.save(manuals / "saved")
    arguments = ["saved"] if command == "serve" else ["manuals", "--out", "out"]
    assert main([command, *arguments, "--ray", scheme + nobody]) == 2
    assert f"there is no Ray cluster at {scheme + nobody!r}" in capsys.readouterr().err
    assert not (manuals / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "nothing", "--out", "out"], "nothing is no file and no folder"),
        (["index", "manuals", "nothing.jsonl", "--out", "out"], "nothing.jsonl is no file and no folder"),
        (["index", "manuals", "nothing.parquet", "--out", "out"], "nothing.parquet is no file and no folder"),
        (["index", "empty", "--out", "out"], "empty: no document there"),
        (["index", "manuals", "--exclude", "*.txt", "--out", "out"], "manuals: no document there"),
        (["index", "manuals/oil.txt", "letters/oil.txt", "--out", "out"], "letters/oil.txt is no file"),
        (["index", "manuals", "--out", "manuals/oil.txt"], "oil.txt is a file; choose a folder"),
        (["index", "manuals", "--out", "manuals/oil.txt/out"], "oil.txt is a file; choose a folder"),
        (["index", "manuals", "--out", "letters"], "letters holds 'dear.txt', which is no part of an index"),
        (["index", "manuals", "--out", "out", "--artifact", "nothing"], "no artifact 'nothing'"),
        (["serve", "nothing"], "no index at"),
        (["serve", "letters"], "no index at"),
    ],
)
def test_what_is_missing_is_said_before_a_cluster_is_looked_for(
    arguments: list[str], said: str, nobody: str, manuals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*arguments, "--ray", nobody])
    assert_mistake(status, capsys.readouterr().err, said)
    assert names(manuals) == ["empty", "letters", "manuals"]


def test_two_files_of_one_id_are_found_before_a_cluster_is_looked_for(
    nobody: str, manuals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``index`` without a cluster finds them; a file that is given twice is read once."""
    (manuals / "letters" / "manuals").mkdir()
    (manuals / "letters" / "manuals" / "oil.txt").write_text("Oil again.", encoding="utf-8")
    other = str(manuals / "letters" / "manuals")
    for cluster in ([], ["--ray", nobody]):
        status = main(["index", "manuals", other, "--out", "out", *cluster])
        assert_mistake(status, capsys.readouterr().err, "would both have the id 'manuals/oil.txt'")
    assert main(["index", "manuals", "manuals/oil.txt", "--out", "out", "--ray", nobody]) == 2
    assert "there is no Ray cluster" in capsys.readouterr().err


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
