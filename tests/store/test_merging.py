"""Merges beside an index that others change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from index_corpus import LAYOUT, build, scan

from s3_retriever import Artifact
from s3_retriever.index import Index, SegmentBuilder
from s3_retriever.store import Change, Place, collect_garbage, commit, place_of
from s3_retriever.store.commit import Written, read_content
from s3_retriever.store.merging import plan_merges, swap_in, write_merged


def put(place: Place, artifact: Artifact, *groups: list[str], **how: Any) -> dict[str, Any]:
    segments = []
    for ids in groups:
        segment = build([scan(doc_id, 40, 0) for doc_id in ids])
        segments.append(Written(segment.name, place.put_segment(segment), segment.ids))
    header = {"artifact": artifact.digest, "host": {"name": "h", "revision": ""}, "config": {}}
    return commit(place, Change(header, LAYOUT, segments, **how), artifact)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_of(tmp_path / "kb")


def test_a_merged_index_is_one_built_from_scratch(place: Place, tiny_artifact: Artifact) -> None:
    put(place, tiny_artifact, ["a", "b"], ["c"], ["d", "e"])
    content = put(place, tiny_artifact, delete=["b"])
    (run,) = plan_merges(content["segments"], 1 << 30)
    assert swap_in(place, [(run, write_merged(place, content, run))]) == 1
    loaded = Index.load(Path(place.name) / "index")
    builder = SegmentBuilder(LAYOUT)
    (segment,) = loaded.snapshot.segments
    expected = build([scan(doc_id, 40, 0) for doc_id in "acde"])
    assert segment.name == expected.name
    assert builder.layout == loaded.layout
    gone = {entry["name"] for entry in content["segments"]}
    assert set(collect_garbage(place, grace=0)) == gone
    assert list(Index.load(Path(place.name) / "index").document_ids) == list("acde")


def test_what_was_changed_meanwhile_stays_as_it_is(place: Place, tiny_artifact: Artifact) -> None:
    content = put(place, tiny_artifact, ["a", "b"], ["c", "d"])
    (run,) = plan_merges(content["segments"], 1 << 30)
    merged = write_merged(place, content, run)
    put(place, tiny_artifact, ["e"], delete=["a"])
    assert swap_in(place, [(run, merged)]) == 0
    assert list(Index.load(Path(place.name) / "index").document_ids) == list("bcde")


def test_what_was_added_meanwhile_stays_behind(place: Place, tiny_artifact: Artifact) -> None:
    content = put(place, tiny_artifact, ["a"], ["b"])
    (run,) = plan_merges(content["segments"], 1 << 30)
    put(place, tiny_artifact, ["c"])
    assert swap_in(place, [(run, write_merged(place, content, run))]) == 1
    now, _ = read_content(place)
    assert now is not None
    assert len(now["segments"]) == 2
    assert list(Index.load(Path(place.name) / "index").document_ids) == list("abc")


def test_no_segment_outgrows_the_bound() -> None:
    entries = [{"files": {"f": {"bytes": 10}}} for _ in range(9)]
    assert {len(run) for run in plan_merges(entries, 40)} == {4}
