"""Questions and evidence as files give them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.training.pairs import Pair, read_pairs, read_texts, shipped_pairs, split_pairs

TEXT = "One fish, two fish.\u2028Red\x85 fish 🐟, blue fish."
DOCUMENTS = {"fish": Document("fish", TEXT)}


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "lines.jsonl"
    text = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_bytes("".join(f"{line}\n" for line in text).encode())
    return path


def entry(*evidence: Any, **fields: Any) -> dict[str, Any]:
    return {"question": "Which?", "doc_id": "fish", "evidence": list(evidence), **fields}


def test_quotes_and_ranges_are_located_exactly_whatever_breaks_lines_elsewhere(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        entry("two fish.\u2028Red\x85", [4, 8], question="What\u2028then\x85?"),
        "",
        entry("🐟", "blue"),
    )
    first, second = read_pairs(path, DOCUMENTS)
    assert [TEXT[a:b] for a, b in first.evidence] == ["two fish.\u2028Red\x85", "fish"]
    assert [TEXT[a:b] for a, b in second.evidence] == ["🐟", "blue"]
    assert first.question == "What\u2028then\x85?"
    assert first.doc_id == "fish"


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(f"\ufeff{json.dumps(entry('One'))}\r\n\r\n".encode())
    assert read_pairs(path, DOCUMENTS) == [Pair("Which?", "fish", ((0, 3),))]


def test_other_documents_and_quotes_that_are_not_there_once_are_passed_over(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        entry("One", doc_id="fowl"),
        entry("fish"),
        entry("green"),
        entry("One", "green"),
        entry("One", question="kept"),
    )
    assert [pair.question for pair in read_pairs(path, DOCUMENTS)] == ["kept"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object, not list"),
        ({"doc_id": "fish", "evidence": ["One"]}, "no field 'question'"),
        (entry("One", question=" "), "'question' is empty"),
        (entry("One", doc_id=5), "'doc_id' must be a string, not 5"),
        (entry(), "'evidence' must be"),
        ({**entry(), "evidence": "One"}, "'evidence' must be"),
        (entry(""), "not ''"),
        (entry([0, 1.5]), "not [0, 1.5]"),
        (entry([0, 1, 2]), "not [0, 1, 2]"),
        (entry([8, 4]), "range [8, 4] is not within the document's 43 characters"),
        (entry([-1, 4]), "range [-1, 4]"),
        (entry([0, 44]), "range [0, 44]"),
    ],
)
def test_a_wrong_pair_is_named_by_file_and_line(tmp_path: Path, line: Any, reason: str) -> None:
    path = write(tmp_path, "", entry("One"), line)
    with pytest.raises(InvalidInputError, match=re.escape(f"{path}, line 3: ")) as raised:
        read_pairs(path, DOCUMENTS)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff", "not UTF-8"),
        (b"{}", "no field 'text'"),
        (b'{"text": 5}', "'text' must be a string, not 5"),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_a_wrong_text_is_named_by_file_and_line(
    tmp_path: Path, line: bytes, reason: str, before: int
) -> None:
    path = tmp_path / "text.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * before + line)
    with pytest.raises(InvalidInputError, match=re.escape(f"{path}, line {before + 1}: ")) as raised:
        list(read_texts(path))
    assert reason in str(raised.value)


def test_texts_come_lazily_with_their_ids_or_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "a\u2028b"}, {"_id": "x", "text": ""}, "", {"text": "c"}, "no JSON")
    texts = read_texts(path)
    assert [next(texts) for _ in range(3)] == [
        Document("0", "a\u2028b"),
        Document("x", ""),
        Document("2", "c"),
    ]
    with pytest.raises(InvalidInputError, match="line 5: "):
        next(texts)


@pytest.mark.parametrize("read", [lambda path: list(read_texts(path)), lambda path: read_pairs(path, {})])
def test_a_missing_file_is_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl"):
        read(tmp_path / "nowhere.jsonl")


def test_the_shipped_pairs_are_found_in_the_reference_of_this_python() -> None:
    documents, pairs = shipped_pairs()
    texts = {document.id: document.text for document in documents}
    assert len(texts) == len(documents) > 50
    assert len(pairs) >= 200
    assert len({pair.question for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert pair.question.strip()
        assert all(texts[pair.doc_id][start:end].strip() for start, end in pair.evidence)


def test_held_out_pairs_share_no_document_with_the_others() -> None:
    _, pairs = shipped_pairs()
    kept, out = split_pairs(pairs, 0.3, seed=0)
    assert sorted(kept + out, key=pairs.index) == pairs
    assert not {pair.doc_id for pair in kept} & {pair.doc_id for pair in out}
    assert 0.1 < len(out) / len(pairs) < 0.5
    assert split_pairs(pairs, 0.3, seed=0) == (kept, out)
    assert split_pairs(pairs, 0.3, seed=1) != (kept, out)
