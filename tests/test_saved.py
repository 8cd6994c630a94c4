"""A saved retriever whose folder was damaged, planted with links, or replaced, over the tiny host."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Host, IndexFormatError, InvalidInputError, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.cli.main import main
from s3_retriever.disk import new_file, new_folder, only_writer
from s3_retriever.encode import Artifact
from s3_retriever.saved import read_saved

CONFIG = RetrieverConfig(ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    documents = [{"id": "oil", "text": "The keeper stores the oil in the cellar."}]
    return S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.fixture
def other(
    retriever: S3Retriever, random_artifact: Callable[..., Artifact], tiny_artifact: Artifact
) -> S3Retriever:
    """One of another artifact."""
    heads = [(query.head, query.tap) for query in reversed(tiny_artifact.queries)]
    made = random_artifact(retriever.host, heads)
    return S3Retriever.from_documents(["other"], host=retriever.host, artifact=made, config=CONFIG)


@pytest.mark.parametrize("name", ["artifact.json", "artifact.safetensors"])
def test_a_save_over_a_damaged_artifact_mends_it(retriever: S3Retriever, tmp_path: Path, name: str) -> None:
    path = tmp_path / "index"
    retriever.save(path)
    file = path / "artifact" / name
    original = file.read_bytes()
    middle = original.index(b'"fvu": 0.') + 9 if name == "artifact.json" else len(original) // 2
    altered = original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :]
    for damaged in (altered, original[:-9], None):
        file.unlink()
        if damaged is not None:
            file.write_bytes(damaged)
        retriever.save(path)
        assert file.read_bytes() == original
        assert sorted(entry.name for entry in path.iterdir()) == [".lock", "artifact", "index"]
    read_saved(path)


def test_the_damaged_artifact_of_another_index_is_not_replaced(
    retriever: S3Retriever, other: S3Retriever, tmp_path: Path
) -> None:
    other.save(tmp_path / "index")
    file = tmp_path / "index" / "artifact" / "artifact.safetensors"
    file.write_bytes(b"damaged")
    with pytest.raises(InvalidInputError, match="made with another artifact"):
        retriever.save(tmp_path / "index")
    assert file.read_bytes() == b"damaged"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("name", ["index", "artifact"])
def test_links_where_folders_should_be_are_refused(retriever: S3Retriever, tmp_path: Path, name: str) -> None:
    path, outside = tmp_path / "mine", tmp_path / "outside"
    retriever.save(path)
    shutil.move(path / name, outside)
    before = sorted(outside.rglob("*"))
    (path / name).symlink_to(outside)
    with pytest.raises(InvalidInputError, match=f"{name} is a symbolic link"):
        retriever.save(path)
    assert sorted(outside.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="maps keep folders there")
@pytest.mark.long
def test_a_reader_gets_one_version_while_whole_indexes_take_each_others_place(
    retriever: S3Retriever, other: S3Retriever, tmp_path: Path
) -> None:
    """Index and artifact of different versions would not fit each other."""
    path, saved = tmp_path / "index", []
    for number, one in enumerate((retriever, other)):
        one.save(tmp_path / str(number))
        saved.append(tmp_path / str(number))

    def replace_often() -> None:
        for number in range(12):
            with new_folder(path) as new:
                shutil.copytree(saved[number % 2], new, dirs_exist_ok=True)

    replace_often()
    replacing = threading.Thread(target=replace_often)
    replacing.start()
    seen: list[Any] = []
    while replacing.is_alive():
        index, artifact, _ = read_saved(path)
        seen.append((index.document_ids[0], artifact.digest))
    replacing.join()
    assert {digest for _, digest in seen} <= {retriever.artifact.digest, other.artifact.digest}
    assert len(seen) > 3


@pytest.mark.parametrize("come", ["read", "save", "index"])
def test_an_index_that_a_killed_process_took_away_is_put_back(
    retriever: S3Retriever, tmp_path: Path, come: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where old and new cannot change places in one step, and the process died between the two."""
    path, place = tmp_path / "index", tmp_path / ".index-0123456789abcdef.tmp"
    retriever.save(path)
    place.mkdir()
    path.rename(place / "old")
    (place / "new").mkdir()
    if come == "save":
        retriever.save(path)
    elif come == "index":
        (tmp_path / "corpus.jsonl").touch()
        assert main(["index", str(tmp_path / "corpus.jsonl"), "--out", str(path), "--overwrite"]) == 2
        assert "no document there" in capsys.readouterr().err
    assert read_saved(path)[0].document_ids == retriever.document_ids
    retriever.save(path)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"index", "corpus.jsonl"}


def test_a_missing_index_is_still_named(tmp_path: Path) -> None:
    with pytest.raises(IndexFormatError, match="holds no index"):
        read_saved(tmp_path / "nothing")


@pytest.mark.parametrize("url", ["s3://bucket/kb", "file:///srv/kb", "gs://kb"])
def test_a_url_never_becomes_a_folder(
    retriever: S3Retriever,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("oil")
    named = f"{re.escape(url)} is a URL; give a folder"
    for write in (retriever.save, retriever.artifact.save, lambda path: new_file(Path(path)).__enter__()):
        for path in (url, Path(url)):
            with pytest.raises(InvalidInputError, match=named):
                write(path)
    with pytest.raises(InvalidInputError, match=named), only_writer(Path(url)):  # as integrations begin
        pass
    for arguments in (
        ["index", "a.txt", "--out", url],
        ["sync", "a.txt", url],
    ):
        assert main(arguments) == 2
        assert re.search(named, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_url_that_nobody_knows_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"nobody://kb cannot be opened .*; give a folder, or a URL"):
        S3Retriever.load("nobody://kb")
