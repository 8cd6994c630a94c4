"""LlamaIndex's metadata filters as filters of s3_retriever."""

from __future__ import annotations

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from s3_retriever import AllOf, AnyOf, Compare, InvalidInputError, Not

Filter = Compare | AllOf | AnyOf | Not

OPERATORS = {
    FilterOperator.EQ: "eq",
    FilterOperator.NE: "ne",
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
    FilterOperator.IN: "in",
    FilterOperator.NIN: "nin",
    FilterOperator.ANY: "any",
    FilterOperator.ALL: "all",
    FilterOperator.TEXT_MATCH: "text_match",
    FilterOperator.TEXT_MATCH_INSENSITIVE: "text_match_insensitive",
    FilterOperator.CONTAINS: "contains",
    FilterOperator.IS_EMPTY: "is_empty",
}
"""Every operator of LlamaIndex by its name in s3_retriever."""

# A filter over no filters is a constant; the core has none, so these are built from any one key.
_UNSET = Compare("", "is_empty")
NOTHING: Filter = AllOf([_UNSET, Not(_UNSET)])
EVERYTHING: Filter = AnyOf([_UNSET, Not(_UNSET)])


def to_filter(filters: MetadataFilters) -> Filter:
    """Translate a tree of filters.

    A group over no filters means what its condition says of none: "and" and "not" let everything pass, "or"
    nothing. "not" means that none of the group's filters matches, as in LlamaIndex.

    Raises:
        InvalidInputError: It is something else, or a value does not fit its operator.
    """
    if not isinstance(filters, MetadataFilters):
        msg = f"filters must be MetadataFilters, not {filters!r:.80}; wrap a filter in MetadataFilters"
        raise InvalidInputError(msg)
    try:
        members = [_member(one) for one in filters.filters]
    except RecursionError as error:
        msg = "filters nest too deeply, or hold themselves; give their parts to one MetadataFilters"
        raise InvalidInputError(msg) from error
    if filters.condition == FilterCondition.OR:
        return AnyOf(members) if members else NOTHING
    if not members:
        return EVERYTHING
    return Not(AnyOf(members)) if filters.condition == FilterCondition.NOT else AllOf(members)


def join(filters: list[MetadataFilters]) -> Filter | None:
    """Return a filter that all of several pass, or None where there are none."""
    members = [to_filter(one) for one in filters]
    return AllOf(members) if members else None


def _member(one: MetadataFilter | MetadataFilters) -> Filter:
    if isinstance(one, MetadataFilters):
        return to_filter(one)
    operator = OPERATORS.get(one.operator)
    if operator is None:
        msg = f"filter on {one.key!r}: the operator {one.operator.value!r} is newer than this package"
        raise InvalidInputError(msg)
    # LlamaIndex makes callers give a value even where there is nothing to compare with.
    return Compare(one.key, operator, None if operator == "is_empty" else one.value)
