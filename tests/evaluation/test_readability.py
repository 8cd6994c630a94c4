"""How passages read: what is counted as a fault of one."""

from __future__ import annotations

import pytest

from s3_retriever.documents import Document
from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.methods import Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.readability import Reader, readability
from s3_retriever.evaluation.records import Result

WHOLE = "The keeper of the harbour stores the oil for his lamp in the cellar below the tower."
TEXT = (
    f"{WHOLE} He fills it twice a day, before noon and again when the sun is about to set.\n\n---\n\nสวัสดีครับ"
)
SET = EvaluationSet(
    "harbour", (Document("a", TEXT),), (Question("q", "Where is the oil?", evidence=(Region("a", 0, 9),)),)
)


def faults(start: int, end: int, *, is_first: bool = True) -> set[str]:
    return set(Reader([SET]).faults("harbour", Region("a", start, end), is_first=is_first))


@pytest.mark.parametrize(
    ("passage", "found"),
    [
        (WHOLE, set()),
        (WHOLE[4:], {"begins_inside"}),
        (WHOLE[:-7], {"ends_inside"}),
        ("keeper of the harbour", {"short", "begins_inside", "ends_inside"}),
        (TEXT[: TEXT.index("---") + 3], {"furniture"}),
        (TEXT[: TEXT.index("ัสด")], {"furniture", "ends_inside", "splits_character"}),
    ],
)
def test_faults_of_a_passage(passage: str, found: set[str]) -> None:
    start = TEXT.index(passage)
    assert faults(start, start + len(passage)) == found
    later = {what for what in found if not what.endswith("inside")}
    assert faults(start, start + len(passage), is_first=False) == later


def test_shares_are_of_all_passages_or_of_first_ones() -> None:
    n = len(WHOLE)
    spans = (("a", 0, n), ("a", 4, 9), ("a", 4, 9), ("a", n + 1, n + 40))
    found = Result("harbour", "q", "hybrid", 0, 64, 40, spans, {}, 1.0)
    other = Result("harbour", "q", "hybrid", 0, 128, 40, spans[1:], {}, 1.0)
    nothing = Result("harbour", "q2", "hybrid", 0, 64, 0, (), {}, 1.0)
    (row,), worst = readability([SET], [found, other, nothing], 64, [Method("hybrid")])
    assert (row.n_questions, row.passages, row.short) == (1, 3, 0.75)
    assert (row.begins_inside, row.ends_inside, row.splits_character, row.furniture) == (0, 0, 0, 0)
    assert [fault.what for fault in worst[Method("hybrid")]] == ["short"] * 3
