"""Where a unit that is longer than the budget is cut: in no character, number or address."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import regex
from linear_work import work

from s3_retriever import Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.names import Mode
from s3_retriever.search.passages import Page
from s3_retriever.search.pieces import piece_around
from s3_retriever.search.text import splits_address, splits_character, splits_number
from s3_retriever.structure import find_units

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
TOLD = "the keeper of the old lamp in the harbour wrote it down for all of them and {} is what he "
NUMBERS = [
    "1,234,567.89",
    "2.345.678,90",
    "1 234 567",
    "1\u202f234,50",
    "12'345.60",
    "10:30:15",
    "2024-05-03",
    "03/05/2024",
    "192.168.0.17",
    "2010–2012",
    "555-1234",
    "१,२३४.५",
    "١٢٣٫٤٥",
    "１，２３４．５",
    "$1,250",
    "-12.5 %",
    "99.5%",
    "1.250,00 €",
]
ADDRESSES = [
    "anna.lane-smith@harbour.example.com",
    "https://www.harbour.example.com/lamps/of/the_old/tower.html?lamp=12&oil=3,4#top",
    "www.harbour.example/a-b",
    "ftp://harbour.example/lamps,old/",
    "http://bücher.example/über_uns",
]


@pytest.mark.parametrize("whole", [*NUMBERS, *ADDRESSES])
def test_a_number_or_an_address_is_not_cut_where_the_piece_has_room_for_more(whole: str) -> None:
    text = TOLD.format(whole) * 2
    places = [match.span() for match in re.finditer(re.escape(whole), text)]
    starts = np.array([match.start() for match in re.finditer(r"\s?\w{1,4}|\s?[^\w\s]|\s", text)], np.uint32)
    page = Page(text, starts, find_units(text))
    longest = int(np.max([np.count_nonzero((starts >= a) & (starts < b)) for a, b in places])) + 1
    for size in range(longest + 4, len(starts)):
        for core in range(len(starts)):
            for at in piece_around(page, (core, core + 1), size):
                assert not any(begin < at < end for begin, end in places)


@pytest.mark.parametrize("mark", [",", ", ", ";", " "])
def test_lists_of_figures_are_cut_between_them(mark: str) -> None:
    text = mark.join(map(str, range(1, 200)))
    page = Page(text, np.arange(len(text), dtype=np.uint32), find_units(text))
    for size in range(12, 60):
        start, end = piece_around(page, (300, 301), size)
        assert set(re.findall(r"\d+", text[start:end])) <= set(map(str, range(1, 200)))
        assert text[start:end] in f"{mark}{text}{mark}"
        assert not (text[start - 1].isdigit() and text[start].isdigit())
        assert not (text[end - 1].isdigit() and text[end].isdigit())


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("in 2010, 300 of 5.", []),
        ("am 3. Mai, 7; 8", []),
        ("of 1,5 or -2", [4, 5, 11]),
        ("a-2 3 % 4", [5, 6]),
        ("1 234 5678", [1, 2, 3, 4, 7, 8, 9]),
    ],
)
def test_what_is_inside_a_number(text: str, inside: list[int]) -> None:
    words = [at for at in range(1, len(text)) if re.match(r"\d\d", text[at - 1 : at + 1])]
    found = [at for at in range(len(text) + 2) if splits_number(text, at)]
    assert [at for at in found if at not in words] == [at for at in inside if at not in words]


def test_the_mark_behind_an_address_is_no_part_of_it() -> None:
    text = "See https://harbour.example/a. Or (anna@harbour.example), www.lamp.example!"
    whole = ["https://harbour.example/a", "anna@harbour.example", "www.lamp.example"]
    places = [(text.index(one), text.index(one) + len(one)) for one in whole]
    found = {at for at in range(len(text) + 2) if splits_address(text, at)}
    assert found == {at for begin, end in places for at in range(begin + 1, end)}


@pytest.mark.parametrize("unit", ["1", "1,", "a@", "a.", "http://", "www.", "-", "1 234 ", "a/"])
@pytest.mark.parametrize("splits", [splits_number, splits_address])
def test_a_border_costs_no_more_in_a_longer_text(splits: object, unit: str) -> None:
    def look(text: str) -> None:
        splits(text, len(text) // 2)  # type: ignore[operator]

    assert work(look, unit * 4000) < work(look, unit * 2000) + 200


PARTS = {
    "Thai": "น้ำ ที่ กรุงเทพ ประเทศ ไทย ๆ ก็ เกี่ยว 2567 ๒๕๖๗",
    "Khmer": "ប្រ ទេស កម្ពុជា ស្ត្រី ខ្ញុំ ។ ៗ",
    "Burmese": "မြန် မာ ကျွန် တော် နိုင်ငံ ။ ၊ က္က",
    "Tibetan": "བོད ་ ཡིག རྒྱ ། སྒྲུབ ༄༅",
    "Lao": "ນ້ຳ ທີ່ ປະເທດ ລາວ ເປັນ",
    "Devanagari": "क्षे त्र हिन्दी में श्री । स्त्री र्क",
    "Tamil": "க்ஷ ஸ்ரீ தமிழ் நான் .",
    "Malayalam": "ക്ഷ ന്\u200d മലയാളം സ്ത്രീ",
    "jamo": "한 ᄒ ᅡ ᆫ 국 어 ᄀ .",
    "emoji": "👩\u200d👩\u200d👧\u200d👦 👍🏽 🇳🇴 🇩🇪 1\ufe0f\u20e3 ❤\ufe0f 🤷🏽\u200d♀\ufe0f ☺ ok .",
    "marks": "Z\u0338\u0322\u031b\u032b\u034d\u0331a\u0337 e\u0301 a\u0323\u0302 .",
    "Hebrew": "שָׁלוֹם בְּרֵאשִׁית .",
    "Arabic": "مُحَمَّد كِتَاب لا ؟ ۔ ١٢٣٫٤",
    "Japanese": "が か\u3099 ㌔ 禰\U000e0100 ﾊﾟ 。 「 」 葛\U000e0101 漢",
}


@pytest.mark.parametrize("script", PARTS)
def test_no_passage_breaks_a_character_that_the_budget_has_room_for(
    script: str, tiny_host: Host, tiny_artifact: Artifact
) -> None:
    """With a tokenizer that gives each byte of these scripts a token."""
    rng = random.Random(script)  # noqa: S311
    parts = PARTS[script].split(" ")
    texts = ["".join(rng.choices([*parts, *parts, " "], k=k)).strip() for k in (20, 60, 160)]
    texts += ["".join(rng.choices(parts, k=k)) for k in (30, 90)]
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    retriever = S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    found = 0
    for budget in [*range(1, 60), *range(60, 600, 18)]:
        mode: Mode = "hybrid" if budget % 2 else "bm25"
        for span in retriever.retrieve(rng.choice(texts)[:20], budget, mode=mode):
            found += 1
            text = texts[int(span.doc_id)]
            assert span.text == text[span.start : span.end]
            for at in (span.start, span.end):
                if splits_character(text, at):
                    (broken,) = (m for m in regex.finditer(r"\X", text) if m.start() < at < m.end())
                    assert len(broken[0].encode()) > budget
    assert found > 30
