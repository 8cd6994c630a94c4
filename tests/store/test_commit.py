"""Commits of segments that others wrote beside an index: in a folder, and at a URL of fsspec."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from index_corpus import LAYOUT, build, scan

from s3_retriever import Artifact
from s3_retriever.errors import (
    DuplicateDocumentError,
    IndexBusyError,
    IndexChangedError,
    InvalidInputError,
    UnknownDocumentError,
)
from s3_retriever.index import Index
from s3_retriever.store import Change, Place, collect_garbage, commit, place_of
from s3_retriever.store.commit import Written, live_ids, read_content


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder, and the same through fsspec, as a URL that is another way to write it."""
    return place_of(tmp_path / "kb" if request.param == "folder" else f"local://{tmp_path}/kb")


def written(place: Place, *ids: str, seed: int = 0, again: bool = False) -> Written:
    segment = build([scan(doc_id, 40, seed) for doc_id in ids])
    return Written(segment.name, place.put_segment(segment), segment.ids, again)


def change(place: Place, artifact: Artifact, *segments: Written, **how: Any) -> dict[str, Any]:
    header = {"artifact": artifact.digest, "host": {"name": "h", "revision": ""}, "config": {}}
    return commit(place, Change(header, LAYOUT, segments, **how), artifact)


def ids(place: Place) -> list[str]:
    content, _ = read_content(place)
    assert content is not None
    return [doc_id for entry in content["segments"] for _, doc_id in live_ids(place, entry)]


def segments_of(content: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in content["segments"]]


def folder_of(place: Place) -> Path:
    return Path(place.name.removeprefix("local://"))


def loaded(place: Place) -> Sequence[str]:
    return Index.load(folder_of(place) / "index").document_ids


def test_what_is_committed_is_what_a_load_finds(place: Place, tiny_artifact: Artifact) -> None:
    change(place, tiny_artifact, written(place, "a", "b"), written(place, "c"))
    assert ids(place) == list(loaded(place)) == ["a", "b", "c"]
    assert Artifact.load(folder_of(place) / "artifact").digest == tiny_artifact.digest
    change(place, tiny_artifact, written(place, "d"))
    assert list(loaded(place)) == ["a", "b", "c", "d"]


def test_nothing_is_visible_before_the_commit(place: Place, tiny_artifact: Artifact) -> None:
    change(place, tiny_artifact, written(place, "a"))
    written(place, "b")
    assert list(loaded(place)) == ["a"]


def test_upsert_replaces_and_overwrite_leaves_nothing(place: Place, tiny_artifact: Artifact) -> None:
    change(place, tiny_artifact, written(place, "a", "b"), written(place, "c"))
    change(place, tiny_artifact, written(place, "b", "d", seed=1), mode="upsert", delete=["c"])
    assert list(loaded(place)) == ["a", "b", "d"]
    change(place, tiny_artifact, written(place, "e"), mode="overwrite")
    assert list(loaded(place)) == ["e"]


def test_an_id_that_is_there_is_an_error(place: Place, tiny_artifact: Artifact) -> None:
    change(place, tiny_artifact, written(place, "a"))
    with pytest.raises(DuplicateDocumentError, match="'a' is already in the index"):
        change(place, tiny_artifact, written(place, "b", "a", seed=1))
    with pytest.raises(DuplicateDocumentError, match="'c' occurs twice"):
        change(place, tiny_artifact, written(place, "c"), written(place, "d", "c"), mode="upsert")
    with pytest.raises(UnknownDocumentError, match="'z'"):
        change(place, tiny_artifact, delete=["z"])
    assert list(loaded(place)) == ["a"]


def test_what_two_runs_wrote_is_there_once(place: Place, tiny_artifact: Artifact) -> None:
    earlier = written(place, "a", "b", "c", again=True)
    lost = written(place, "d", again=True)
    change(place, tiny_artifact, earlier, lost, written(place, "b"), written(place, "d", "e"))
    assert sorted(loaded(place)) == ["a", "b", "c", "d", "e"]


def test_a_job_is_committed_once(place: Place, tiny_artifact: Artifact) -> None:
    first = change(place, tiny_artifact, written(place, "a"), job="j", mode="overwrite")
    assert change(place, tiny_artifact, job="j", mode="overwrite") == first
    assert list(loaded(place)) == ["a"]


def test_another_artifact_is_refused(place: Place, tiny_artifact: Artifact) -> None:
    change(place, tiny_artifact, written(place, "a"))
    header = {"artifact": "0" * 16, "host": {}, "config": {}}
    with pytest.raises(InvalidInputError, match="another artifact"):
        commit(place, Change(header, LAYOUT, [written(place, "b")]), tiny_artifact)


def test_who_loses_a_race_follows(place: Place, tiny_artifact: Artifact) -> None:
    """Both commits are there in the end; a swap with an old manifest in mind is refused."""
    content = change(place, tiny_artifact, written(place, "a"))
    _, token = read_content(place)
    change(place, tiny_artifact, written(place, "b"))
    with pytest.raises(IndexChangedError):
        place.swap(content, token)
    assert list(loaded(place)) == ["a", "b"]


def test_a_segment_that_was_removed_is_not_named(place: Place, tiny_artifact: Artifact) -> None:
    change(place, tiny_artifact, written(place, "a"))
    one = written(place, "b")
    place.remove(f"index/segments/{one.name}")
    with pytest.raises(IndexChangedError, match="no longer"):
        change(place, tiny_artifact, one)
    assert list(loaded(place)) == ["a"]


def test_garbage_goes_after_its_time(place: Place, tiny_artifact: Artifact) -> None:
    old = segments_of(change(place, tiny_artifact, written(place, "a")))
    orphan = written(place, "b").name
    new = segments_of(change(place, tiny_artifact, written(place, "c"), mode="overwrite"))
    assert collect_garbage(place, grace=60) == []
    long_ago = time.time() - 3600
    for name in (*old, orphan):  # the old one was named until now, however long ago it was written
        for path in [
            folder_of(place) / "index" / "segments" / name,
            *(folder_of(place) / "index" / "segments" / name).iterdir(),
        ]:
            os.utime(path, (long_ago, long_ago))
    assert collect_garbage(place, grace=60) == [orphan]
    assert set(place.segments()) == {*old, *new}
    assert collect_garbage(place, grace=0) == old
    assert list(loaded(place)) == ["c"]


def test_a_folder_has_one_writer(tmp_path: Path, tiny_artifact: Artifact) -> None:
    place = place_of(tmp_path / "kb")
    with place.alone(), pytest.raises(IndexBusyError), place_of(tmp_path / "kb").alone():
        pass


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"letter\.txt"), place_of(tmp_path).alone():
        pass
    with pytest.raises(InvalidInputError, match=r"letter\.txt"):
        place_of(tmp_path).put_segment(build([scan("a", 4, 0)]))


def test_a_place_where_a_job_failed_is_given_up(tmp_path: Path) -> None:
    """So that what still runs of the job writes nothing there any more."""
    place = place_of(tmp_path / "new" / "index")
    with pytest.raises(ZeroDivisionError), place.alone():
        assert not place.is_given_up()
        raise ZeroDivisionError
    assert place.is_given_up()
    assert not (tmp_path / "new").exists()
