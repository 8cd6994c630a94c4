from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation import load_sets

GOOD = {"_id": "q9", "text": "Who?", "evidence": [{"doc_id": "comet", "start": 0, "end": 3}]}


def test_a_set_is_read(data: Path) -> None:
    (village,) = load_sets(data)
    assert village.name == "village"
    texts = {document.id: document.text for document in village.documents}
    answers = [texts[gold.doc_id][gold.start : gold.end] for q in village.questions for gold in q.evidence]
    assert answers == ["built in 1871", "rye bread", "dust and ionised gas"]
    assert load_sets(data, ["village"]) == [village]


def test_a_set_is_read_as_the_command_line_reads_a_corpus(data: Path) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        path = data / "village" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Windows editors begin a file
    (village,) = load_sets(data)
    assert len(village.documents) == len(village.questions) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_id": "q0"}, "the id 'q0' is that of line 1"),
        ({"text": " "}, "the question must be text, not ' '"),
        ({"evidence": []}, "the question has no evidence"),
        ({"evidence": [{"doc_id": "nowhere", "start": 0, "end": 1}]}, "names document 'nowhere'"),
        ({"evidence": [{"doc_id": "comet", "start": 3, "end": 3}]}, r"evidence 3\.\.3 is not within"),
        ({"evidence": [{"doc_id": "comet", "start": 0, "end": 999}]}, r"evidence 0\.\.999 is not within"),
        ({"evidence": [{"doc_id": "comet", "start": 0}]}, "the field 'end' is missing"),
        ({"evidence": None}, "NoneType"),
        ({"answers": "Ada"}, "answers must be a list of texts, not 'Ada'"),
        ({"answers": ["Ada", " "]}, "answers must be a list of texts"),
    ],
)
def test_a_malformed_question_is_named(data: Path, change: dict[str, Any], message: str) -> None:
    path = data / "village" / "queries.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(GOOD | change) + "\n")
    with pytest.raises(InvalidInputError, match=f"{re.escape(str(path))}, line 4: .*{message}"):
        load_sets(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no lines"),
        (b'{"_id": "a", "text": "x"}\n{"_id"', "line 2: "),
        (b'\n{"_id": "a"}\n', "line 2: no field 'text'"),
        (b'{"_id": 1, "text": "x"}', "line 1: '_id' must be a string, not 1"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"[]", "line 1: expected a JSON object"),
        (b"\xff", "line 1: not UTF-8"),
    ],
)
def test_a_malformed_corpus_is_named(data: Path, content: bytes, message: str) -> None:
    path = data / "village" / "corpus.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"{re.escape(str(path))}.*{message}"):
        load_sets(data)


def test_what_is_absent_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no evaluation sets: expected one folder per set"):
        load_sets(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="holds no set 'town'; it has village"):
        load_sets(data, ["town"])
    (data / "village" / "corpus.jsonl").unlink()
    with pytest.raises(InvalidInputError, match=r"corpus\.jsonl cannot be read"):
        load_sets(data)


def test_a_folder_may_be_a_set(data: Path) -> None:
    assert load_sets(data / "village") == load_sets(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("query-id\tcorpus-id\tscore\nq0\tcomet\n", r"test\.tsv, line 2: expected question, document and"),
        ("q0\tcomet\tgood\n", r"test\.tsv, line 1: expected question, document and"),
        ("q0\tmissing\t1\nother\tcomet\t1\n", "no judgment in qrels joins a question"),
    ],
)
def test_malformed_judgments_are_named(data: Path, content: str, message: str) -> None:
    question = json.dumps({"_id": "q0", "text": "Which comet?"})
    (data / "village" / "queries.jsonl").write_text(f"{question}\n", encoding="utf-8")
    (data / "village" / "qrels").mkdir()
    (data / "village" / "qrels" / "test.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        load_sets(data)
