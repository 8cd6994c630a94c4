from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation import Region, evidence_recall, overlap

regions = st.lists(
    st.builds(
        lambda doc_id, start, length: Region(doc_id, start, start + length),
        st.sampled_from("ab"),
        st.integers(0, 30),
        st.integers(0, 10),
    ),
    max_size=6,
)


def characters(of: list[Region]) -> set[tuple[str, int]]:
    return {(doc_id, at) for doc_id, start, end in of for at in range(start, end)}


@pytest.mark.long
@given(found=regions, gold=regions.filter(characters))
def test_overlap_is_that_of_sets_of_characters(found: list[Region], gold: list[Region]) -> None:
    both, either = characters(found) & characters(gold), characters(found) | characters(gold)
    result = overlap(found, gold)
    assert result.recall == len(both) / len(characters(gold)) == evidence_recall(found, gold)
    assert result.precision == (len(both) / len(characters(found)) if characters(found) else 0)
    assert result.iou == len(both) / len(either)


def test_without_gold_there_is_no_recall() -> None:
    with pytest.raises(InvalidInputError, match="gold regions hold no character"):
        overlap([Region("a", 0, 5)], [Region("a", 3, 3)])
