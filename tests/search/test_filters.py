"""Filters over metadata, against a loop over every document's metadata."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import append
from linear_work import lines_run

import s3_retriever
from s3_retriever import AllOf, AnyOf, Compare, Not
from s3_retriever.documents import Document
from s3_retriever.errors import (
    IndexFormatError,
    InvalidDocumentError,
    InvalidInputError,
    UnknownKeyWarning,
)
from s3_retriever.index import Index, Layout, Segment, SegmentBuilder
from s3_retriever.index import documents as records
from s3_retriever.index.metadata import MetadataColumns
from s3_retriever.search.filters import OPERATORS, Filter, as_filter, matching, warn_of_unknown_keys

LAYOUT = Layout(taps=("0.0",), n_features=(4,), k=(1,))

BIG = 2**53
NUMBERS = [0, 1, 1.0, -0.0, 2, 2.5, BIG, BIG + 1, float(BIG), math.inf]
TEXTS = ["", "1", "a", "A", "ab", "straße", "STRASSE", "\ud83d", "\ude00", "\U0001f600", "\u2028"]
SCALARS = st.sampled_from([None, True, False, *NUMBERS, *TEXTS])
LISTS = st.lists(SCALARS, max_size=3)
VALUES = SCALARS | LISTS | st.lists(LISTS, max_size=2) | st.dictionaries(st.sampled_from("ab"), SCALARS)
# What documents may hold, but no filter may ask for.
STORED = VALUES | st.just(math.nan) | st.just([math.nan, 1]) | st.tuples(SCALARS)
KEYS = st.sampled_from(["a", "b", "", "\ud83d", "k\n"])
METADATA = st.dictionaries(KEYS, STORED, max_size=4)


def values_of(op: str) -> st.SearchStrategy[Any]:
    if op in ("in", "nin", "any", "all"):
        return st.lists(VALUES, max_size=4) | st.tuples(SCALARS) | st.sets(SCALARS, max_size=3)
    if op in ("gt", "gte", "lt", "lte"):
        return SCALARS.filter(lambda value: value is not None and not isinstance(value, bool))
    if op.startswith("text"):
        return SCALARS.filter(lambda value: isinstance(value, str))
    return st.none() if op == "is_empty" else VALUES


@st.composite
def compares(draw: st.DrawFn) -> Compare:
    op = draw(st.sampled_from(OPERATORS))
    return Compare(draw(KEYS), op, draw(values_of(op)))


FILTERS = st.recursive(
    compares(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(AllOf),
        st.lists(inner, min_size=1, max_size=3).map(AnyOf),
        inner.map(Not),
    ),
    max_leaves=4,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def kind(value: Any) -> type | None:
    if isinstance(value, bool):
        return None
    return float if isinstance(value, (int, float)) else str if isinstance(value, str) else None


def accepts(where: Filter, metadata: Mapping[str, Any]) -> bool:
    """What the documentation says, word for word."""
    if isinstance(where, AllOf):
        return all(accepts(one, metadata) for one in where.filters)
    if isinstance(where, AnyOf):
        return any(accepts(one, metadata) for one in where.filters)
    if isinstance(where, Not):
        return not accepts(where.filter, metadata)
    op, wanted = where.op, where.value
    if where.key not in metadata:
        return op in ("ne", "nin", "is_empty")
    value = metadata[where.key]
    elements = value if isinstance(value, (list, tuple)) else None
    comparable = kind(value) is not None and kind(value) is kind(wanted)
    is_text = isinstance(value, str)

    def among(one: Any, several: Any) -> bool:
        return any(same(one, other) for other in several)

    return {
        "eq": lambda: same(value, wanted),
        "ne": lambda: not same(value, wanted),
        "gt": lambda: comparable and value > wanted,
        "gte": lambda: comparable and value >= wanted,
        "lt": lambda: comparable and value < wanted,
        "lte": lambda: comparable and value <= wanted,
        "in": lambda: among(value, wanted),
        "nin": lambda: not among(value, wanted),
        "any": lambda: elements is not None and any(among(one, elements) for one in wanted),
        "all": lambda: elements is not None and all(among(one, elements) for one in wanted),
        "contains": lambda: elements is not None and among(wanted, elements),
        "text_match": lambda: is_text and wanted in value,
        "text_match_insensitive": lambda: is_text and wanted.casefold() in value.casefold(),
        "is_empty": lambda: value is None or value == "" or (elements is not None and not len(elements)),
    }[op]()


def segment(documents: Mapping[str, Mapping[str, Any]]) -> Segment:
    builder = SegmentBuilder(LAYOUT)
    for doc_id, metadata in documents.items():
        builder.begin(Document(doc_id, "", metadata=metadata))
        builder.end()
    return builder.build()


def chosen(index: Index, where: Any) -> list[str]:
    matches = matching(index.snapshot, as_filter(where))
    assert matches.dtype == np.bool_
    return [index.document_ids[i] for i in np.flatnonzero(matches)]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "update", "delete", "merge", "reload"]),
        st.dictionaries(st.sampled_from("uvwxyz"), METADATA, min_size=1),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, wheres=st.lists(FILTERS, min_size=3, max_size=6))
@pytest.mark.long
def test_after_any_changes_a_filter_chooses_what_a_loop_over_the_documents_would(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], wheres: list[Filter]
) -> None:
    index, live = Index(LAYOUT, {}), dict[str, Mapping[str, Any]]()
    for operation, documents in changes:
        if operation == "add":
            new = {key: metadata for key, metadata in documents.items() if key not in live}
            append(index, segment(new))
            live |= new
        elif operation == "update":
            index.update(segment(documents))
            live = {key: metadata for key, metadata in live.items() if key not in documents} | documents
        elif operation == "delete":
            index.delete(set(documents) & set(live))
            live = {key: metadata for key, metadata in live.items() if key not in documents}
        elif operation == "merge":
            index.merge()
        else:
            path = tmp_path_factory.mktemp("index")
            index.save(path)
            index = Index.load(path)
        for where in wheres:
            assert chosen(index, where) == [key for key, metadata in live.items() if accepts(where, metadata)]


DOCUMENTS: dict[str, dict[str, Any]] = {
    "one": {"source": "a.pdf", "page": 1, "tags": ["red", "blue"]},
    "two": {"source": "b.pdf", "page": 2, "tags": []},
    "flag": {"source": "a.pdf", "page": True, "tags": "red"},
    "text": {"source": "A.PDF", "page": "10"},
    "bare": {},
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"source": "a.pdf"}, ["one", "flag"]),
        ({"source": "a.pdf", "page": 1}, ["one"]),
        ({"source": ["b.pdf", "A.PDF"]}, ["two", "text"]),
        ({"source": {"b.pdf"}, "page": (1, 2)}, ["two"]),
        ({"page": 1.0}, ["one"]),
        ({"nothing": "here"}, []),
        (Compare("page", "gt", 1), ["two"]),
        (Compare("page", "lt", "2"), ["text"]),
        (Compare("page", "ne", 1), ["two", "flag", "text", "bare"]),
        (Compare("page", "nin", [1, 2]), ["flag", "text", "bare"]),
        (Compare("tags", "contains", "red"), ["one"]),
        (Compare("tags", "any", ["green", "blue"]), ["one"]),
        (Compare("tags", "all", []), ["one", "two"]),
        (Compare("tags", "is_empty"), ["two", "text", "bare"]),
        (Compare("source", "text_match", "pdf"), ["one", "two", "flag"]),
        (Compare("source", "text_match_insensitive", "pDf"), ["one", "two", "flag", "text"]),
        (Not(Compare("page", "gt", 0)), ["flag", "text", "bare"]),
        (AnyOf([Compare("page", "eq", 2), Compare("tags", "is_empty")]), ["two", "text", "bare"]),
        (AllOf([Compare("source", "in", ["a.pdf"]), Compare("page", "eq", True)]), ["flag"]),
    ],
)
def test_what_a_filter_chooses(where: Any, expected: list[str]) -> None:
    index = Index(LAYOUT, {})
    index.add(segment(DOCUMENTS))
    assert chosen(index, where) == expected


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Compare("page", "like", "x"), ["'page'", "'like'", "text_match"]),
        (lambda: Compare(["page"], "eq", 1), ["['page']", "text"]),
        (lambda: as_filter({5: 1}), ["5", "text"]),
        (lambda: Compare("page", "eq", math.nan), ["'page'", "nan"]),
        (lambda: Compare("page", "in", [1, [math.nan]]), ["'page'", "nan"]),
        (lambda: Compare("page", "gt", math.nan), ["'page'", "nan"]),
        (lambda: Compare("page", "gt", True), ["'gt'", "True"]),
        (lambda: Compare("page", "lt", None), ["'lt'", "None"]),
        (lambda: Compare("page", "in", "abc"), ["'in'", "'abc'", "list"]),
        (lambda: Compare("page", "text_match", 5), ["'text_match'", "5"]),
        (lambda: Compare("page", "is_empty", 5), ["'is_empty'", "5"]),
        (lambda: Compare("page", "eq", object()), ["'page'", "object"]),
        (lambda: Compare("page", "eq", b"3"), ["'page'", "b'3'"]),
        (lambda: AllOf([]), ["AllOf", "[]"]),
        (lambda: AnyOf(()), ["AnyOf", "()"]),
        (lambda: AllOf([{"page": 1}]), ["AllOf", "{'page': 1}", "Compare"]),
        (lambda: Not("page"), ["Not", "'page'"]),
        (lambda: as_filter({}), ["empty", "None"]),
        (lambda: as_filter("page=1"), ["'page=1'", "mapping"]),
    ],
)
def test_what_no_filter_can_ask_for_is_named(make: Any, parts: list[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_values_are_asked_for_in_the_form_that_metadata_has() -> None:
    index = Index(LAYOUT, {})
    made = [datetime(2024, 5, day, tzinfo=timezone.utc) for day in (1, 2)]
    key = UUID(int=7)
    index.add(
        segment(
            {
                "a": {"made": made[0], "id": key, "tags": {"x"}},
                "b": {"made": made[1], "price": Decimal("2.5")},
            }
        )
    )
    assert chosen(index, Compare("made", "gt", made[0])) == ["b"]
    assert chosen(index, {"made": made[0]}) == ["a"]
    assert chosen(index, {"id": [key, key]}) == ["a"]
    assert chosen(index, Compare("tags", "contains", "x")) == ["a"]
    assert chosen(index, Compare("price", "lte", np.float32(2.5))) == ["b"]
    assert chosen(index, Compare("tags", "eq", np.array(["x"]))) == ["a"]


def test_filters_compare_by_content_and_do_not_change_with_the_callers_list() -> None:
    wanted = [1, 2]
    where = Compare("page", "in", wanted)
    wanted.append(3)
    assert where == Compare("page", "in", (1, 2))
    assert len({AllOf([where]), AllOf((where,))}) == 1


@pytest.mark.long
def test_no_document_is_read_and_values_are_compared_without_a_loop(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(LAYOUT, {})
    index.add(segment({str(i): {"n": i, "even": i % 2 == 0, "tags": [i % 7]} for i in range(20_000)}))
    index.save(tmp_path)
    index = Index.load(tmp_path)

    def refuse(*_: object) -> Document:
        pytest.fail("a document was read")

    monkeypatch.setattr(records.DocumentStore, "__getitem__", refuse)
    where = AllOf(
        [
            as_filter({"even": True}),
            Compare("n", "gte", 10_000),
            Compare("n", "nin", [12_000]),
            Not(Compare("tags", "contains", 3)),
        ]
    )
    expected = [str(i) for i in range(10_000, 20_000, 2) if i % 7 != 3 and i != 12_000]
    assert chosen(index, where) == expected
    lines = lines_run(lambda: matching(index.snapshot, where))
    assert 10 < lines < 2_000  # for 20,000 documents, once the columns have been decoded


@pytest.mark.parametrize("op", ["in", "nin", "any", "all"])
def test_a_filter_of_many_values_takes_memory_in_proportion(op: str) -> None:
    index = Index(LAYOUT, {})
    index.add(segment({str(i): {"reader": f"u{i}", "readers": [f"u{i}", "all"]} for i in range(10_000)}))
    values = ["all"] * 1000 if op == "all" else [f"u{i}" for i in range(0, 10_000, 4)]
    where = Compare("readers" if op in ("any", "all") else "reader", op, values)
    expected = [str(i) for i in range(10_000) if op == "all" or (i % 4 == 0) == (op != "nin")]
    assert chosen(index, where) == expected
    tracemalloc.start()
    try:
        matching(index.snapshot, where)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2e6  # a bool for each value and document would take 10 MB and more


def test_a_filter_that_nests_too_deeply_is_one_error() -> None:
    index = Index(LAYOUT, {})
    index.add(segment({"a": {"page": 1}}))
    where: Filter = Compare("page", "eq", 1)
    for _ in range(20):
        where = Not(Not(where))
    assert chosen(index, where) == ["a"]
    for _ in range(5_000):
        where = Not(where)
    with pytest.raises(InvalidInputError, match=r"^the filter nests too deeply; give its parts to one AllOf"):
        chosen(index, where)


def test_metadata_too_deep_to_compare_is_refused_with_the_document() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    builder = SegmentBuilder(LAYOUT)
    with pytest.raises(InvalidDocumentError, match="'x'"):
        builder.begin(Document("x", "", metadata={"deep": deep}))
    assert builder.build().ids == ()


def test_a_segment_without_metadata_has_no_columns(tmp_path: Any) -> None:
    index = Index(LAYOUT, {})
    index.add(segment({"a": {}, "b": {}}))
    index.save(tmp_path)
    index = Index.load(tmp_path)
    assert index.snapshot.segments[0].metadata.keys == ()
    assert chosen(index, Compare("page", "is_empty")) == ["a", "b"]
    assert matching(Index(LAYOUT, {}).snapshot, Compare("page", "is_empty")).shape == (0,)


@pytest.mark.parametrize(
    ("name", "damaged", "message"),
    [
        ("metadata_codes", np.array([7, 0, 0], np.int32), "'page'"),
        ("metadata_documents", np.array([0, 1, 9], np.int32), "'page'"),
        ("metadata_codes", np.zeros(2, np.int32), "columns"),
        ("metadata_pointers", np.array([0, 2, 1], np.int64), "columns"),
        ("metadata_lines", np.array([0, 9, 9999], np.int64), "columns"),
        ("metadata_codes", np.zeros(3, np.int64), "columns"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(name: str, damaged: np.ndarray, message: str) -> None:
    columns = segment({"a": {"page": 1}, "b": {"page": 2}, "c": {"page": 1}}).metadata
    with pytest.raises(IndexFormatError, match=message):
        MetadataColumns(3, {**columns.arrays, name: damaged}).column("page")


def keyed(*metadata: Mapping[str, Any]) -> Index:
    index = Index(LAYOUT, {})
    builder = SegmentBuilder(LAYOUT)
    for number, one in enumerate(metadata):
        builder.begin(Document(str(number), "", "", one))
        builder.end()
    index.add(builder.build())
    return index


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"yaer": 3}, "no document has the key 'yaer' in its metadata; the nearest is 'year'"),
        ({"YEAR": 3}, "no document has the key 'YEAR' in its metadata; the nearest is 'year'"),
        (
            AllOf([Compare("year", "gt", 1), Not(Compare("tpye", "ne", 1))]),
            ".*'tpye' .*; the nearest is 'type'",
        ),
        ({"xylophone": 3}, "no document has the key 'xylophone' in its metadata$"),
        ({"gone": 1}, "no document has the key 'gone' in its metadata$"),
    ],
)
def test_a_key_that_no_document_has_is_said_with_the_nearest(where: Any, said: str) -> None:
    index = keyed({"year": 3, "_hidden": 1}, {"type": "pdf"}, {"gone": 1})
    index.delete(["2"])
    with pytest.warns(UnknownKeyWarning, match=said):
        warn_of_unknown_keys(index.snapshot, as_filter(where))


@pytest.mark.filterwarnings("error::s3_retriever.errors.UnknownKeyWarning")
def test_keys_that_are_there_or_may_be_missing_are_not_warned_of() -> None:
    warn_of_unknown_keys(
        keyed({"year": 3}).snapshot, AllOf([Compare("year", "ne", 3), Compare("tags", "is_empty")])
    )
    warn_of_unknown_keys(Index(LAYOUT, {}).snapshot, Compare("year", "eq", 3))


def test_a_warning_names_the_users_line_also_beside_the_package() -> None:
    """A script in a folder whose name begins with that of the package is no part of it."""
    script = f"{Path(s3_retriever.__file__).parent}_demo.py"
    names = {"ask": warn_of_unknown_keys, "corpus": keyed({"year": 3}).snapshot, "where": as_filter({"y": 1})}
    with pytest.warns(UnknownKeyWarning) as warned:
        exec(compile("ask(corpus, where)", script, "exec"), names)  # noqa: S102
    assert warned[0].filename == script
