"""What stands together as one designation, however it is written."""

from __future__ import annotations

import random
import time

import pytest

from s3_retriever.index.designations import DESIGNATION, designations


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Take BRG-226-10, not BRG/226.11.", {"brg 226 10": "BRG-226-10", "brg 226 11": "BRG/226.11"}),
        ("the XR 500", {"xr 500": "XR 500"}),
        ("the XR-500", {"xr 500": "XR-500"}),
        ("the XR500", {"xr 500": "XR500"}),
        ("the xr\u2011500", {"xr 500": "xr\u2011500"}),
        ("the xr_500", {"xr 500": "xr_500"}),
        ("the ＸＲ\xa0５００", {"xr 500": "ＸＲ\xa0５００"}),
        ("see §12 and § 13", {"§ 12": "§12", "§ 13": "§ 13"}),
        ("Articles 12(3), Art. 7", {"article 12": "Articles 12", "art 7": "Art. 7"}),
        ("Section 4.3.", {"section 4 3": "Section 4.3"}),
        ("ticket #471, No. 5", {"ticket 471": "ticket #471", "no 5": "No. 5"}),
        ("ISO 9001:2015", {"iso 9001 2015": "ISO 9001:2015"}),
        ("at 192.168.1.10", {"at 192 168 1 10": "at 192.168.1.10"}),
        ("(192.168.1.10)", {"192 168 1 10": "192.168.1.10"}),
        ("根据合同第12条，第 13 条", {"第 12": "第12", "第 13": "第 13"}),
        ("धारा १२", {"धारा 12": "धारा १२"}),
        ("المادة ١٢", {"المادة 12": "المادة ١٢"}),
        ("Статья 12", {"статья 12": "Статья 12"}),
        ("H5N1", {"h 5 n 1": "H5N1"}),
        ("in\n5", {}),
        ("the 2nd, a 50mm lens, 1,200 of 3'000", {}),
        ("| 226 | 10 | 4.26 |", {}),
        ("226,10", {}),
        ("12", {}),
        ("", {}),
        ("-".join(f"a{i}" for i in range(40)), {}),
    ],
)
def test_its_parts_are_one_term_with_its_place(text: str, found: dict[str, str]) -> None:
    assert {one.term: text[one.start : one.end] for one in designations(text)} == {
        DESIGNATION + term: written for term, written in found.items()
    }


@pytest.mark.parametrize("seed", range(20))
def test_a_text_has_those_that_it_was_made_of(seed: int) -> None:
    """At their places, in their order, whatever stands between them."""
    draw = random.Random(seed)  # noqa: S311
    text, expected = "", []
    for _ in range(200):
        text += draw.choice(["", "grey", "of the, ", "and so on.\n", "(", "|", "好，", "\n\n", "é\u0301 – "])
        if draw.random() < 0.5:
            word, number = draw.choice(["XR", "Step", "pier", "Kühl"]), str(draw.randint(1, 9999))
            joint = draw.choice(["-", " ", "", "/", "\xa0", " #"])
            text += " "
            expected.append((f"{DESIGNATION}{word.casefold()} {number}", len(text)))
            text += f"{word}{joint}{number}"
            expected[-1] += (len(text),)
            text += draw.choice(["; ", ")", " – ", "\n", "，"])
    assert [one[:3] for one in designations(text)] == expected
    for one in designations(text):
        assert one.start <= one.number < one.end
        assert text[one.number : one.end].lstrip("0123456789") in ("", text[one.start : one.end])


@pytest.mark.parametrize(
    "text", ["1", "a-", "a1-", "1 ", "§1", "1.", "a1 ", "word 1 ", "1,", "第1", "a", " #", "\u0301", "_1"]
)
def test_it_takes_time_in_proportion_to_the_text(text: str) -> None:
    def seconds(times: int) -> float:
        long, begin = text * times + "1", time.process_time()
        for _ in designations(long):
            pass
        return time.process_time() - begin

    seconds(1000)
    assert seconds(160_000) < 60 * (seconds(10_000) + 0.01)
