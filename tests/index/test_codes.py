"""What a question names as a code, and what it does not."""

from __future__ import annotations

import pytest

from s3_retriever.index.codes import CODE, DESIGNATED, MOST_CODES, NUMBER, WHOLE, codes
from s3_retriever.index.designations import DESIGNATION


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("What is the status of order A1293?", ["a1293"]),
        ("Is BRG-204-17 in stock?", ["brg 204 17"]),
        ("torque of xr-500", ["xr 500"]),
        ("why does it say 0x80070005", ["0x80070005"]),
        ("ORA-00942: table or view does not exist", ["ora 00942"]),
        ("Is CVE-2021-44228 mended?", ["cve 2021 44228"]),
        ("see RFC 2616 and ISO 27001", ["2616", "27001"]),
        ("invoice 4500123456", ["4500123456"]),
        ("ISO 9001:2015 and DIN EN 60204-1", ["9001 2015", "60204 1"]),
        ("which machine has 192.168.1.10", ["192.168.1.10"]),
        ("new in v2.10.1", ["v2.10.1 2.10.1"]),
        ("10.1038/nature12373", ["10.1038 nature12373 nature 12373"]),
        ("error E45 and again E45", ["e45"]),
        ("Was kostet Teil Ä-1204?", ["ä 1204"]),
        ("第A1293号订单的状态是什么？", ["a1293"]),
    ],
)
def test_a_code_is_one_term_of_all_its_words(question: str, terms: list[str]) -> None:
    found = [one for one in codes(question) if not one.term.startswith(DESIGNATION)]
    assert [one.term for one in found] == terms
    for one in found:
        assert any(c.isdecimal() for c in question[one.start : one.end])
        assert one.is_name


@pytest.mark.parametrize(
    "question",
    [
        "When did the 2nd of the 3 ferries leave in 1998?",
        "A 50mm lens, 10kg, 24h, the 90s, 3D and 4K",
        "From 1990-1995, on 2024-05-06 at 10:30, 1,200 people and 5.5 percent",
        "a 3-day tour, the top-10, type-2, mid-1990s",
        "生活在公元973年间最早的地质学家",
        "Who is Anna Keller?",
        "-".join(f"a{i}" for i in range(40)),
        "",
    ],
)
def test_dates_measures_ordinals_years_and_what_is_long_are_none(question: str) -> None:
    assert all(one.weight < CODE and one.term.startswith(DESIGNATION) for one in codes(question))


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("Is BRG-204-17 in stock?", [("@brg 204 17", WHOLE)]),
        ("torque of the XR 500", [("@xr 500", DESIGNATED), ("@500", NUMBER)]),
        ("see RFC 2616", [("@rfc 2616", DESIGNATED)]),
        (
            "What does § 12 say of section 4.3?",
            [("@§ 12", 0.5), ("@12", 1.0), ("@section 4 3", 0.5), ("@4.3", 1.0)],
        ),
        ("Was XR-500 an XR500?", [("@xr 500", WHOLE)]),
        ("order A1293", [("@a 1293", DESIGNATED)]),
    ],
)
def test_what_stands_together_counts_beside_it(question: str, terms: list[tuple[str, float]]) -> None:
    found = [one for one in codes(question) if one.term.startswith(DESIGNATION)]
    assert [(one.term, one.weight) for one in found] == terms
    assert all(one.is_name for one in found)


def test_of_a_stack_trace_the_first_ones_count() -> None:
    found = codes(" ".join(f"at 0x{i:08x}" for i in range(500)))
    whole = [one.term for one in found if not one.term.startswith(DESIGNATION)]
    assert whole == [f"0x{i:08x}" for i in range(MOST_CODES)]
    assert len(found) == 2 * MOST_CODES
