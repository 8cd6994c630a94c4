"""An index at a URL: commits that race, and a cache that is checked and bounded."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from index_corpus import LAYOUT, build, scan

from s3_retriever import Artifact, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.errors import IndexChangedError, IndexFormatError, StorageError
from s3_retriever.indexing import layout_of
from s3_retriever.store import Change, Place, collect_garbage, commit, place_of
from s3_retriever.store.cache import BYTES_VARIABLE, FOLDER_VARIABLE
from s3_retriever.store.commit import Written, live_ids, read_content

QUESTION = "Where are the keys?"


@pytest.fixture(params=["local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an index may lie; the second is a storage with conditional writes."""
    if request.param == "local":
        return f"local://{tmp_path}/kb"
    return f"{request.getfixturevalue('storage')}/{secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def published(url: str, retriever: S3Retriever, mode: str = "append") -> Place:
    """Put the segments of a retriever at a URL, as a job on a cluster does."""
    place = place_of(url)
    found = retriever.index.snapshot.segments
    segments = [Written(one.name, place.put_segment(one), one.ids) for one in found]
    layout = layout_of(retriever.artifact)
    change = Change(retriever.index.header, layout, segments, mode)  # type: ignore[arg-type]
    commit(place, change, retriever.artifact)
    return place


@pytest.fixture
def make(tiny_host: Host, tiny_artifact: Artifact) -> Callable[..., S3Retriever]:
    def from_texts(*texts: str) -> S3Retriever:
        config = RetrieverConfig(scan=ScanConfig(chunk_tokens=64, overlap_tokens=16))
        retriever = S3Retriever.from_documents([], host=tiny_host, artifact=tiny_artifact, config=config)
        for text in texts:  # of different lengths, so that they stay segments of their own
            retriever.add([{"id": text[:8], "text": text}])
        return retriever

    return from_texts


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


TEXTS = ("The keys are here. " * 60, "A dog has no keys. " * 9)


def test_what_is_at_a_url_opens_and_answers(
    url: str, make: Callable[..., S3Retriever], tiny_host: Host, cache: Path
) -> None:
    retriever = make(*TEXTS)
    place = published(url, retriever)
    loaded = S3Retriever.load(url, host=tiny_host)
    assert loaded.retrieve(QUESTION) == retriever.retrieve(QUESTION)
    assert names(cache) == set(place.segments())
    place.remove("index/segments")  # what is in the cache is not fetched again
    assert S3Retriever.load(url, host=tiny_host).retrieve(QUESTION) == retriever.retrieve(QUESTION)


def test_what_was_altered_is_refused(
    url: str, make: Callable[..., S3Retriever], tiny_host: Host, cache: Path
) -> None:
    place = published(url, make(*TEXTS))
    name = sorted(place.segments())[0]
    path = f"index/segments/{name}/arrays.safetensors"
    data = bytearray(place.read(path))
    data[-9] ^= 1
    place.write(path, bytes(data))
    with pytest.raises(IndexFormatError, match="SHA-256 differs"):
        S3Retriever.load(url, host=tiny_host)
    assert name not in names(cache)


def test_the_cache_is_bounded(
    url: str,
    make: Callable[..., S3Retriever],
    tiny_host: Host,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = published(url, make(*TEXTS)).segments()
    S3Retriever.load(url, host=tiny_host)
    new = make("Somewhere else. " * 40)
    published(url, new, mode="overwrite")
    held = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    monkeypatch.setenv(BYTES_VARIABLE, str(held + 1000))
    S3Retriever.load(url, host=tiny_host)
    assert not set(old) <= names(cache)
    assert sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) <= held + 1000
    monkeypatch.setenv(BYTES_VARIABLE, "1000")
    monkeypatch.setenv(FOLDER_VARIABLE, str(cache / "other"))
    with pytest.raises(StorageError, match=BYTES_VARIABLE):
        S3Retriever.load(url, host=tiny_host)


def test_of_two_commits_at_once_one_follows_the_other(
    url: str, tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, other = place_of(url), place_of(url)
    header = {"artifact": tiny_artifact.digest, "host": {}, "config": {}}

    def append(where: Place, doc_id: str) -> None:
        segment = build([scan(doc_id, 40, 0)])
        written = Written(segment.name, where.put_segment(segment), segment.ids)
        commit(where, Change(header, LAYOUT, [written]), tiny_artifact)

    append(place, "a")
    waiting = ["b"]
    swap = type(place).swap

    def late(self: Place, content: object, token: object) -> None:
        if self is place and waiting:
            append(other, waiting.pop())
        swap(self, content, token)  # type: ignore[arg-type]

    monkeypatch.setattr(type(place), "swap", late)
    append(place, "c")
    content, token = read_content(place)
    assert content is not None
    ids = [doc_id for entry in content["segments"] for _, doc_id in live_ids(place, entry)]
    assert ids == ["a", "b", "c"]
    append(other, "d")
    with pytest.raises(IndexChangedError):
        place.swap(content, token)
    assert len(place.segments()) == 4
    assert collect_garbage(place, grace=0) == []
