"""Measure what the adapter adds to a search: LangChain's ``invoke`` against the core's ``retrieve``.

Usage: python benchmarks/overhead.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pydoc_data.topics import topics
from typing import Any
from unittest import mock

from langchain_s3_retriever import S3Retriever

ROUNDS = 60
QUESTION = "When are the default values of a function's parameters evaluated?"
NAMES = ("calls", "class", "exceptions", "execmodel", "function", "import", "lambda", "try", "with", "yield")


def milliseconds(search: Callable[[], Any]) -> float:
    """Return how long a search takes, the median of several."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        search()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def main() -> None:
    """Time the core's search, then LangChain's around a core that answers at once with the same spans."""
    texts, sources = [topics[name] for name in NAMES], [{"source": name} for name in NAMES]
    retriever = S3Retriever.from_texts(texts, sources, list(NAMES))
    spans = retriever.core.retrieve(QUESTION, unit_scores=True)
    search = milliseconds(lambda: retriever.core.retrieve(QUESTION, unit_scores=True))
    with mock.patch.object(retriever.core, "retrieve", return_value=spans):
        added = milliseconds(lambda: retriever.invoke(QUESTION))
    sys.stdout.write(
        f"{len(spans)} spans: core {search:.1f} ms, added by LangChain {added:.2f} ms (medians)\n"
    )


if __name__ == "__main__":
    main()
