"""Inputs of the commands, and what their tests ask of all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TEXTS = [
    {"_id": "harbour", "text": "Ships sail. " * 150 + "The keeper stores oil in the cellar."},
    {"_id": "bakery", "text": "Bread is baked at four. The baker sings.\u2028 " * 60},
]
PAIRS = [
    {"question": "Where is the oil?", "doc_id": "harbour", "evidence": ["stores oil in the cellar"]},
    {"question": "When is bread baked?", "doc_id": "bakery", "evidence": [[0, 23]]},
]
TOPICS = ("python-reference/pass", "python-reference/break", "python-reference/assert")
CORPUS = [
    {
        "_id": "harbour",
        "title": "The harbour",
        "text": "Ships. " * 40 + "The keeper stores oil in the cellar.",
    },
    {
        "_id": "ugly",
        "title": "",
        "text": "\u001b[31mred\u001b[0m 🧑‍🚀 keeper \ud83d oil\r\n" * 9,
        "lang": "x",
    },
    {"_id": "bread", "text": "Bread is baked at four. " * 9, "metadata": {"page": 3}},
]
QUESTIONS = [{"_id": "q2", "text": "Where is the oil?"}, {"_id": "q1", "text": "When is bread baked?"}]


def write_lines(path: Path, lines: list[Any]) -> Path:
    text = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    return path


def write_corpus(path: Path, documents: list[Any]) -> Path:
    """In ASCII: half of a surrogate pair can only be written as an escape."""
    return write_lines(path, [json.dumps(document) for document in documents])


def assert_mistake(status: int, err: str, *parts: str) -> None:
    assert status == 2
    assert re.fullmatch(r"s3-retriever: error: .+\n", err), err
    for part in parts:
        assert part in err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def index_arguments(folder: Path, out: Path, *more: str) -> list[str]:
    arguments = ["index", str(folder / "corpus.jsonl"), "--out", str(out), *more]
    return [*arguments, "--host", str(folder / "host"), "--artifact", str(folder / "artifact")]
