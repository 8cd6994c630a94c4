"""Questions made from documents."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.training.pairs import make_pairs, shipped_pairs

DOCUMENTS = shipped_pairs()[0][:12]
TEXTS = {document.id: document.text for document in DOCUMENTS}


def test_a_question_is_made_of_some_words_of_its_evidence_but_not_of_all() -> None:
    pairs = make_pairs(DOCUMENTS, max_pairs=60)
    assert len(pairs) == 60
    for pair in pairs:
        ((start, end),) = pair.evidence
        evidence = TEXTS[pair.doc_id][start:end]
        assert evidence == evidence.strip()
        asked = re.fullmatch(r"What (.+)\?", pair.question)
        assert asked
        words = asked[1].split(" ")
        shared = [word for word in words if word in evidence]
        assert len(shared) >= min(3, len(words) - 1)
        assert len(words) < len(set(re.findall(r"\w+", evidence)))


def test_the_seed_fixes_the_questions() -> None:
    assert make_pairs(DOCUMENTS, max_pairs=20) == make_pairs(DOCUMENTS, max_pairs=20)
    assert make_pairs(DOCUMENTS, max_pairs=20) != make_pairs(DOCUMENTS, max_pairs=20, seed=1)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=300), max_size=4), more=st.integers(1, 30))
def test_any_text_gives_pairs_within_it_or_an_error(texts: list[str], more: int) -> None:
    documents = [Document(str(i), text * 3) for i, text in enumerate(texts)]
    try:
        pairs = make_pairs(documents, max_pairs=more)
    except InvalidInputError as error:
        assert "telling words" in str(error)
        return
    assert 1 <= len(pairs) <= more
    for pair in pairs:
        ((start, end),) = pair.evidence
        assert 0 <= start < end <= len(documents[int(pair.doc_id)].text)


@pytest.mark.parametrize(
    ("documents", "max_pairs", "part"), [([], 5, "none of 0 sentences"), (DOCUMENTS, 0, "max_pairs")]
)
def test_what_gives_no_question_is_named(documents: list[Document], max_pairs: int, part: str) -> None:
    with pytest.raises(InvalidInputError, match=part):
        make_pairs(documents, max_pairs=max_pairs)


HINDI = "बस संख्या पाँच रविवार सुबह पहाड़ी गाँव से नदी पार बाज़ार तक जाती है और शाम को लौटती है।"
CHINESE = (
    "黄河全长约五千四百公里，从青海高原向东流去，先后经过九个省级行政区，"
    "沿途灌溉大片农田，最后在山东半岛北面注入渤海。"
)
THAI = "เรือข้ามฟากออกจากท่าเรือเก่าทุกเช้าเวลาเจ็ดโมงครึ่งและกลับมาถึงฝั่งก่อนพระอาทิตย์ตก"


@pytest.mark.parametrize(("text", "longest"), [(HINDI, 8), (CHINESE, 2), (THAI, 6)], ids=["hi", "zh", "th"])
def test_words_have_their_marks_and_are_no_whole_sentences(text: str, longest: int) -> None:
    """In scripts with vowel signs, and in those without spaces, a pair of characters with what is on them."""
    pair = make_pairs([Document("one", text)])[0]
    asked = pair.question.removeprefix("What ").removesuffix("?").split()
    assert asked
    for word in asked:
        assert len(word) <= longest
        assert word in text
    if text is HINDI:
        assert set(asked) <= set(re.findall(r"[^\s।]+", HINDI))


ROWS = [
    f"| Harbour {name} | {100 + i} boats | harbour keeper {name}son | ferry to {name}holm every {i} hours |"
    for i, name in enumerate(["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel"], 2)
]
TABLE = "| place | boats | keeper | ferry |\n| --- | --- | --- | --- |\n" + "\n".join(ROWS) + "\n"
STATEMENTS = [
    f'    {name}_total = sum(read_{name}(path).values()) + offsets["{name}_shift"] - missing_{name}'
    for name in ("salary", "bonus", "refund", "travel", "pension", "overtime")
]
CODE = "import csv\n\n\ndef combine(path, offsets):\n" + "\n".join(STATEMENTS) + "\n    return salary_total\n"


@pytest.mark.parametrize(("text", "units"), [(TABLE, ROWS), (CODE, STATEMENTS)], ids=["table", "code"])
def test_a_question_about_a_table_or_code_is_about_one_row_or_statement(text: str, units: list[str]) -> None:
    pairs = make_pairs([Document("one", text)])
    assert len(pairs) >= len(units) - 1
    for pair in pairs:
        ((start, end),) = pair.evidence
        evidence = text[start:end]
        assert evidence in {unit.strip() for unit in units}
        words = pair.question.removeprefix("What ").removesuffix("?").split()
        assert words
        assert all(word in evidence for word in words)
