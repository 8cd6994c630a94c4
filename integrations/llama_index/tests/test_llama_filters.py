"""Metadata filters: every operator, every condition, before anything is selected."""

from __future__ import annotations

import pytest
from llama_corpus import METADATA, QUESTION, TEXTS, Make
from llama_index.core.schema import Document
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from llama_index.retrievers.s3 import S3QueryBundle, S3Retriever
from llama_index.retrievers.s3.filters import OPERATORS, to_filter
from s3_retriever.errors import InvalidInputError

Op, Value = FilterOperator, object

CASES: list[tuple[str, FilterOperator, Value, set[str]]] = [
    ("topic", Op.EQ, "sea", {"harbour", "rain"}),
    ("topic", Op.NE, "sea", {"bakery", "cjk"}),
    ("year", Op.GT, 2001, {"rain", "cjk"}),
    ("year", Op.GTE, 2001, {"bakery", "rain", "cjk"}),
    ("year", Op.LT, 2001, {"harbour"}),
    ("year", Op.LTE, 2001, {"harbour", "bakery"}),
    ("topic", Op.IN, ["sea", "mixed"], {"harbour", "rain", "cjk"}),
    ("year", Op.IN, [1997, 2020], {"harbour", "cjk"}),
    ("topic", Op.NIN, ["sea", "mixed"], {"bakery"}),
    ("tags", Op.ANY, ["oil", "food"], {"harbour", "bakery"}),
    ("tags", Op.ALL, ["oil", "ship"], {"harbour"}),
    ("topic", Op.TEXT_MATCH, "ea", {"harbour", "rain", "bakery"}),
    ("topic", Op.TEXT_MATCH, "SEA", set()),
    ("topic", Op.TEXT_MATCH_INSENSITIVE, "SEA", {"harbour", "rain"}),
    ("tags", Op.CONTAINS, "ship", {"harbour"}),
    ("tags", Op.IS_EMPTY, None, {"rain", "cjk"}),
    ("note", Op.IS_EMPTY, None, set(TEXTS)),
]


@pytest.fixture
def retriever(make: Make) -> S3Retriever:
    return make(token_budget=5000)


def one(key: str, operator: FilterOperator, value: object) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def topics(*names: str) -> list[MetadataFilter]:
    return [MetadataFilter(key="topic", value=name) for name in names]


def found(retriever: S3Retriever, filters: MetadataFilters) -> set[str]:
    results = retriever.retrieve(S3QueryBundle(QUESTION, filters=filters))
    return {str(result.node.ref_doc_id) for result in results}


def test_every_operator_of_llama_index_is_known() -> None:
    assert set(OPERATORS) == set(FilterOperator)
    assert {operator for _, operator, _, _ in CASES} == set(FilterOperator)


@pytest.mark.long
@pytest.mark.parametrize(("key", "operator", "value", "expected"), CASES)
def test_operator(
    retriever: S3Retriever, key: str, operator: FilterOperator, value: object, expected: set[str]
) -> None:
    assert found(retriever, one(key, operator, value)) == expected


@pytest.mark.parametrize(
    ("condition", "names", "expected"),
    [
        (FilterCondition.AND, ["sea"], {"harbour", "rain"}),
        (FilterCondition.AND, ["sea", "bread"], set()),
        (FilterCondition.OR, ["sea", "bread"], {"harbour", "rain", "bakery"}),
        (FilterCondition.NOT, ["sea", "bread"], {"cjk"}),
        (FilterCondition.AND, [], set(TEXTS)),
        (FilterCondition.NOT, [], set(TEXTS)),
        (FilterCondition.OR, [], set()),
        (None, ["sea"], {"harbour", "rain"}),
    ],
)
def test_condition(
    retriever: S3Retriever, condition: FilterCondition | None, names: list[str], expected: set[str]
) -> None:
    assert found(retriever, MetadataFilters(filters=topics(*names), condition=condition)) == expected


def test_nested_conditions(retriever: S3Retriever) -> None:
    old_sea = MetadataFilters(
        filters=[*topics("sea"), MetadataFilter(key="year", value=2000, operator=FilterOperator.LT)]
    )
    either = MetadataFilters(filters=[old_sea, *topics("bread")], condition=FilterCondition.OR)
    neither = MetadataFilters(filters=[either], condition=FilterCondition.NOT)
    assert found(retriever, either) == {"harbour", "bakery"}
    assert found(retriever, neither) == {"rain", "cjk"}
    both = MetadataFilters(filters=[either, neither])
    assert found(retriever, both) == set()


def test_a_query_narrows_the_filters_of_the_retriever(make: Make) -> None:
    retriever = make(filters=MetadataFilters(filters=topics("sea")), token_budget=5000)
    assert {r.node.ref_doc_id for r in retriever.retrieve(QUESTION)} == {"harbour", "rain"}
    assert found(retriever, one("year", FilterOperator.GT, 2000)) == {"rain"}
    assert found(retriever, one("topic", FilterOperator.EQ, "bread")) == set()


def test_filters_come_before_selection(make: Make) -> None:
    """The best document is filtered away, and the next one still fills the top k."""
    retriever = make(similarity_top_k=1)
    best = retriever.retrieve(QUESTION)[0].node
    others = one("topic", FilterOperator.NE, best.metadata["topic"])
    results = retriever.retrieve(S3QueryBundle(QUESTION, filters=others))
    assert len(results) == 1
    assert results[0].node.metadata["topic"] != best.metadata["topic"]


def test_metadata_of_chunks_is_what_is_filtered(make: Make) -> None:
    nodes = [Document(id_=str(i), text=TEXTS["rain"], metadata={"chapter": i}) for i in range(5)]
    assert found(make(nodes, unique=False), one("chapter", FilterOperator.GTE, 3)) == {"3", "4"}


def test_filters_that_make_no_sense_are_refused(retriever: S3Retriever) -> None:
    with pytest.raises(InvalidInputError, match="MetadataFilters"):
        to_filter(MetadataFilter(key="topic", value="sea"))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="year"):
        found(retriever, one("year", FilterOperator.GT, None))


def test_metadata_is_the_corpus_of_the_cases(retriever: S3Retriever) -> None:
    for key, metadata in METADATA.items():
        assert retriever.get_node(key).metadata == metadata
