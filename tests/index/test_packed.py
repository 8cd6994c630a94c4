"""Lists of postings as bits, and what damaged ones lead to."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import LAYOUT, build, question, scan

from s3_retriever.errors import IndexFormatError
from s3_retriever.index import CELL, Index, packed
from s3_retriever.index.array_file import map_arrays, write_arrays
from s3_retriever.index.features import FeaturePostings
from s3_retriever.search.kernels import cell_counts, cell_masses, contributions


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_lists_are_read_as_they_were_written(data: st.DataObject) -> None:
    size = CELL * data.draw(st.integers(1, 2048))
    places = st.lists(st.integers(0, size - 1), max_size=300, unique=True).map(sorted)
    lists = [np.array(data.draw(places), np.int32) for _ in range(3)]
    lists += [np.arange(0, size, data.draw(st.sampled_from([1, 3, 50])), dtype=np.int32)]
    levels = [(one * 7 % 16).astype(np.uint8) for one in lists]
    counts, sizes = np.array([[len(one) for one in lists]], np.int32), np.array([size])
    begins = np.empty(counts.shape, np.int64)
    n_bytes = packed.lay_out(counts, sizes, begins)
    bits = np.zeros(n_bytes + packed.PADDING, np.uint8)
    for one, level, begin in zip(lists, levels, begins[0], strict=True):
        packed.pack(one, level, size, bits, begin)
    assert packed.sound(bits, begins, counts, sizes)
    for one, level, begin in zip(lists, levels, begins[0], strict=True):
        found = np.empty(len(one), np.uint32)
        packed.unpack(bits, begin, len(one), size, found)
        assert [packed.place_of(posting) for posting in found] == one.tolist()
        assert [packed.level_of(posting) for posting in found] == level.tolist()


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return dict(build([scan("a", 300, 1), scan("b", 90, 2)]).features.arrays)


def test_lists_that_contradict_their_counts_are_refused(arrays: dict[str, np.ndarray]) -> None:
    n_cells, counts = 13, arrays["feature_counts"]
    more, many = counts.copy(), counts.astype(np.uint64)
    more[0, 5] += 1
    many[0, 5] = 2**63 + 1
    marks = arrays["feature_lists"].copy()
    begin = FeaturePostings(LAYOUT, n_cells, arrays).lists.begins[0, 1]
    marks[begin // 8 - 1] ^= 255  # the last marks of the first list
    for damage in (
        {"feature_counts": more},
        {"feature_counts": many},
        {"feature_counts": counts[:, :-1]},
        {"feature_counts": counts.astype(np.int64)},
        {"feature_lists": marks},
        {"feature_lists": arrays["feature_lists"][:-1]},
        {"feature_lists": arrays["feature_lists"].astype(np.uint16)},
    ):
        with pytest.raises(IndexFormatError, match="13 cells"):
            FeaturePostings(LAYOUT, n_cells, arrays | damage)
    with pytest.raises(IndexFormatError, match="12 cells"):
        FeaturePostings(LAYOUT, 12, arrays)


@pytest.mark.long
@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_forged_lists_lead_nowhere_else(seed: int) -> None:
    """Any bits with the right number of marks: a question, an explanation and a merge find nonsense."""
    rng = np.random.default_rng(seed)
    segment = build([scan("a", 300, 1), scan("b", 90, 2)])
    data, begins, counts, cells = segment.features.lists
    forged = data.copy()
    size = int(cells[0]) * CELL
    for feature, count in enumerate(counts[0].tolist()):
        if count:
            low = packed.low_bits(count, size)
            marks = int(begins[0, feature]) + count * (low + packed.LEVEL_BITS)
            n_marks = count + ((size - 1) >> low)
            ones = marks + rng.choice(n_marks, count, replace=False)
            bits = np.unpackbits(forged, bitorder="little")
            bits[begins[0, feature] : marks] = 1  # the greatest places, the highest levels
            bits[marks : marks + n_marks] = 0
            bits[ones] = 1
            forged = np.packbits(bits, bitorder="little")
    segment.features = FeaturePostings(
        LAYOUT, segment.n_cells, segment.features.arrays | {"feature_lists": forged}
    )
    index = Index(LAYOUT, {})
    index.add(segment)
    for tap in (0, 1):
        features, weights = question(tap, seed)
        assert np.isfinite(cell_masses(index.snapshot.parts, tap, features, weights)).all()
        assert np.isfinite(cell_counts(index.snapshot.parts, tap, features[0], weights[0])).all()
        contributions(index.snapshot.place(0), (0, 300), tap, features, weights)
    index.delete(["b"])
    assert index.snapshot.frequencies(0).sum() >= 0
    index.merge()
    assert index.document_ids == ("a",)


def test_arrays_in_a_file_are_those_that_were_written(tmp_path) -> None:
    arrays = {
        "text": np.frombuffer(b"abc", np.uint8),
        "wide": np.arange(6).reshape(2, 3),
        "none": np.zeros((0, 4), np.uint32),
        "half": np.arange(5, dtype=np.uint16)[::2],
    }
    write_arrays(tmp_path / "file", arrays)
    found = map_arrays(tmp_path / "file", arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert (found[name].dtype, found[name].flags.aligned) == (values.dtype, True)
    with pytest.raises(ValueError, match="read-only"):
        found["wide"][0, 0] = 1


@pytest.mark.parametrize(
    "entry",
    [
        {"data_offsets": [0, 4096]},
        {"data_offsets": [-8, 0]},
        {"data_offsets": [1, 9]},
        {"data_offsets": [0.0, 8.0]},
        {"data_offsets": "ab"},
        {"dtype": "F32"},
        {"shape": [2**62, 8]},
        {"shape": [-1]},
        {"shape": 1},
    ],
)
def test_a_file_of_arrays_that_was_forged_is_named(tmp_path, entry) -> None:
    path = tmp_path / "file"
    header = json.dumps({"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]} | entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(IndexFormatError, match=str(path)):
        map_arrays(path, ["a"])


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 16, (8).to_bytes(8, "little") + b"[1, 2]  "])
def test_a_file_that_holds_no_arrays_is_named(tmp_path, content) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(IndexFormatError, match=str(path)):
        map_arrays(path, ["a"])
