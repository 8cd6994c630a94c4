"""Building, adding, deleting and merging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import LAYOUT, append, build, question, scan

from s3_retriever.documents import Document
from s3_retriever.errors import (
    DuplicateDocumentError,
    InvalidDocumentError,
    InvalidInputError,
    UnknownDocumentError,
)
from s3_retriever.index import BLOCK, Index, Layout, SegmentBuilder
from s3_retriever.search.kernels import cell_counts, cell_masses


def assert_same(snapshot, scratch):
    assert snapshot.document_ids == scratch.document_ids
    assert list(snapshot) == list(scratch)
    assert snapshot.n_tokens == scratch.n_tokens
    np.testing.assert_array_equal(snapshot.document_cells, scratch.document_cells)
    np.testing.assert_array_equal(snapshot.cell_tokens, scratch.cell_tokens)
    for i, doc_id in enumerate(scratch.document_ids):
        assert snapshot.find(doc_id) == i
        assert snapshot.doc_id(i) == doc_id
        np.testing.assert_array_equal(snapshot.token_starts(i), scratch.token_starts(i))
    for tap in range(len(LAYOUT.taps)):
        np.testing.assert_array_equal(snapshot.frequencies(tap), scratch.frequencies(tap))
        features, weights = question(tap, 5)
        for score, rows in (
            (cell_masses, (features, weights)),
            (cell_counts, (features[0], weights[0])),
        ):
            np.testing.assert_array_equal(score(snapshot.parts, tap, *rows), score(scratch.parts, tap, *rows))


def from_scratch(docs):
    index = Index(LAYOUT, {})
    index.add(build(docs))
    return index


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 100), max_size=4), max_size=4),
    st.integers(0, 2**31),
    st.data(),
)
def test_any_history_equals_an_index_from_scratch(segments, seed, data):
    index, docs = Index(LAYOUT, {}), {}
    for number, lengths in enumerate(segments):
        batch = [scan(f"{number}/{i}", n, seed + i) for i, n in enumerate(lengths)]
        append(index, build(batch))
        docs |= {doc.document.id: doc for doc in batch}
        gone = data.draw(st.sets(st.sampled_from(sorted(docs)))) if docs else set()
        index.delete(gone)
        for doc_id in gone:
            del docs[doc_id]
            assert doc_id not in index
        assert_same(index.snapshot, from_scratch(list(docs.values())).snapshot)
    index.merge()
    scratch = from_scratch(list(docs.values()))
    assert_same(index.snapshot, scratch.snapshot)
    assert [s.name for s in index.snapshot.segments] == [s.name for s in scratch.snapshot.segments]


@pytest.mark.long
def test_merge_over_several_blocks_equals_scratch():
    docs = [scan("a", 40_000, 1), scan("b", 70_000, 2), scan("c", 30_001, 3), scan("d", 90, 4)]
    index = Index(LAYOUT, {})
    index.add(build(docs[:2], piece=9999))
    index.add(build(docs[2:], piece=9999))
    index.delete(["a"])
    before = index.snapshot.frequencies(0)
    index.merge()
    (merged,) = index.snapshot.segments
    assert merged.name == build(docs[1:], piece=BLOCK).name
    np.testing.assert_array_equal(index.snapshot.frequencies(0), before)


def test_readers_keep_their_version():
    index = from_scratch([scan("a", 50, 1), scan("b", 50, 2)])
    before = index.snapshot
    index.delete(["a"])
    index.merge()
    assert before.document_ids == ("a", "b")
    assert index.document_ids == ("b",)


def test_add_and_delete_are_all_or_nothing():
    index = from_scratch([scan("a", 50, 1), scan("b", 0, 2)])
    before = index.snapshot
    with pytest.raises(DuplicateDocumentError, match="'b'"):
        index.add(build([scan("new", 10, 1), scan("b", 10, 2)]))
    with pytest.raises(UnknownDocumentError, match="'ghost'"):
        index.delete(["a", "ghost"])
    with pytest.raises(InvalidInputError, match="9\\.9"):
        index.add(SegmentBuilder(Layout(("9.9",), (5,), (1,))).build())
    assert index.snapshot is before
    index.delete(["b"])
    index.add(build([scan("b", 10, 3)]))
    assert index.document_ids == ("a", "b")
    assert index.n_tokens == 60


class Recording(Index):
    """Keeps every version that a reader could have taken."""

    def __setattr__(self, name, value):
        if name == "snapshot":
            self.__dict__.setdefault("versions", []).append(value)
        super().__setattr__(name, value)


def test_an_update_is_one_step_and_equals_deleting_and_adding():
    index = Recording(LAYOUT, {})
    index.add(build([scan("a", 50, 1), scan("b", 40, 2), scan("c", 0, 3)]))
    before = index.snapshot
    index.versions.clear()
    new = [scan("d", 33, 4), scan("a", 70, 5)]
    index.update(build(new))
    (after,) = index.versions
    assert before.document_ids == ("a", "b", "c")
    assert_same(after, from_scratch([scan("b", 40, 2), scan("c", 0, 3), *new]).snapshot)
    index.update(build([scan(doc_id, 10, 6) for doc_id in after.document_ids]))
    assert len(index.snapshot.segments) == 1  # nothing of the old ones is left
    index.update(build([]))
    assert index.document_ids == after.document_ids
    with pytest.raises(InvalidInputError, match="9\\.9"):
        index.update(SegmentBuilder(Layout(("9.9",), (5,), (1,))).build())


def test_an_update_deletes_in_the_same_step():
    index = Recording(LAYOUT, {})
    index.add(build([scan("a", 50, 1), scan("b", 40, 2), scan("c", 9, 3)]))
    index.versions.clear()
    index.update(build([scan("a", 20, 4)]), delete=["b", "a"])
    (after,) = index.versions
    assert_same(after, from_scratch([scan("c", 9, 3), scan("a", 20, 4)]).snapshot)
    with pytest.raises(UnknownDocumentError, match="nowhere"):
        index.update(build([scan("d", 5, 5)]), delete=["c", "nowhere"])
    assert index.document_ids == ("c", "a")
    index.update(build([]), delete=["c"])
    assert index.document_ids == ("a",)


def test_deleting_everything_leaves_an_empty_index():
    index = from_scratch([scan("a", 50, 1), scan("b", 0, 2)])
    index.delete(index.document_ids)
    assert len(index) == index.n_tokens == index.nbytes == 0
    index.merge()
    assert index.document_ids == ()


def test_builder_refuses_what_it_cannot_store():
    builder = SegmentBuilder(LAYOUT)
    row = ([np.zeros((1, 3), np.uint16), np.zeros((1, 2), np.uint16)], [np.ones((1, 3)), np.ones((1, 2))])
    with pytest.raises(InvalidInputError, match="begin"):
        builder.add(np.zeros(1), np.zeros(1), *row)
    with pytest.raises(InvalidDocumentError, match=r"'x'.*JSON"):
        builder.begin(Document("x", "t", metadata={"a": object()}))
    builder.begin(Document("x", "t"))
    with pytest.raises(InvalidInputError, match="end"):
        builder.build()
    with pytest.raises(InvalidInputError, match=r"2\.1"):
        builder.add(np.zeros(2), np.zeros(2), *row)
    with pytest.raises(InvalidInputError, match="2 token ids"):
        builder.add(np.zeros(1), np.zeros(2), *row)
    with pytest.raises(InvalidInputError, match="20"):
        builder.add(np.zeros(1), np.zeros(1), [np.full((1, 3), 20), row[0][1]], row[1])
    with pytest.raises(InvalidInputError, match="finite"):
        builder.add(np.zeros(1), np.zeros(1), row[0], [np.full((1, 3), np.nan), row[1][1]])
    builder.end()
    with pytest.raises(DuplicateDocumentError, match="'x'"):
        builder.begin(Document("x", "t"))
    assert builder.build().ids == ("x",)


@pytest.mark.parametrize("change", [{"taps": ("a", "a")}, {"n_features": (65_537, 1)}, {"k": (1,)}])
def test_layout_refuses_nonsense(change):
    fields = {"taps": ("a", "b"), "n_features": (8, 8), "k": (1, 1)}
    with pytest.raises(InvalidInputError):
        Layout(**(fields | change))


SIZES = st.sampled_from([0, 1, 40, 40, 300, 2000])
CHANGES = st.tuples(st.sampled_from(["add", "add", "add", "update", "delete", "merge"]), SIZES)


def few(index: Index) -> int:
    """How many segments there may be, where nothing was deleted since the last add."""
    return int(np.log2(sum(len(part.cells) + len(part) for part in index.snapshot.parts))) + 1


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(st.lists(CHANGES, max_size=25), st.integers(0, 2**31), st.data())
def test_any_series_of_changes_equals_one_build_and_disturbs_no_reader(changes, seed, data):
    index, docs, held = Index(LAYOUT, {}), {}, []
    for number, (change, size) in enumerate(changes):
        some = sorted(data.draw(st.sets(st.sampled_from(sorted(docs)), max_size=2))) if docs else []
        if change == "add":
            docs[f"{number}"] = scan(f"{number}", size, seed + number)
            index.add(build([docs[f"{number}"]]))
        elif change == "update":
            new = [scan(doc_id, size, seed + number) for doc_id in [*some, f"{number}"]]
            for one in new:
                docs.pop(one.document.id, None)
                docs[one.document.id] = one
            index.update(build(new))
        elif change == "delete":
            for doc_id in some:
                del docs[doc_id]
            index.delete(some)
        else:
            index.merge()
        held.append((index.snapshot, list(docs.values())))
    for snapshot, of_then in held[:: max(1, len(held) // 3)] + held[-1:]:
        assert_same(snapshot, from_scratch(of_then).snapshot)


@pytest.mark.long
def test_a_series_of_adds_leaves_few_segments_and_files(tmp_path):
    index = Index(LAYOUT, {})
    most = written = 0
    for number in range(400):
        before = set(index.snapshot.segments)
        index.add(build([scan(f"{number}", 10, number)]))
        written += sum(len(segment) for segment in set(index.snapshot.segments) - before)
        assert len(index.snapshot.parts) <= few(index)
        most = max(most, len(index.snapshot.parts))
    assert most == 8
    assert written <= 400 * 9  # each document once, and once for each time its segment doubled
    index.save(tmp_path)
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) <= 40
    assert index.document_ids == tuple(map(str, range(400)))
