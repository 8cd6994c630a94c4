"""A made-up evaluation set, small enough to be read at a glance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCUMENTS = {
    "lighthouse": "The lighthouse of Farholm was built in 1871. Its lamp burned whale oil until 1904. "
    "The keeper kept three goats and wrote a diary about the weather.",
    "bakery": "Ruth opened her bakery in a railway arch. She bakes rye bread at four in the morning. "
    "On Sundays the queue reaches the canal, and the ovens stay warm until noon.",
    "comet": "The comet returns every 76 years. Its tail is made of dust and ionised gas. "
    "Astronomers of the Han dynasty recorded it on silk.",
}
QUESTIONS = {
    "When was the lighthouse of Farholm built?": ("lighthouse", "built in 1871"),
    "What does Ruth bake at four in the morning?": ("bakery", "rye bread"),
    "What is the tail of the comet made of?": ("comet", "dust and ionised gas"),
}


def write_jsonl(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
