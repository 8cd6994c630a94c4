"""Measure what the integrations add to a search, and how long an asynchronous one holds up the event loop.

What is added is the time of their search minus that of the core's, which it contains.

Usage: python integrations/overhead.py
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pydoc_data.topics import topics
from typing import Any
from unittest import mock

from langchain_s3_retriever import S3Retriever as LangChainRetriever
from llama_index.retrievers.s3 import S3Retriever as LlamaIndexRetriever
from s3_retriever import Document, S3Retriever

SEARCHES = 50
NAMES = ("calls", "class", "exceptions", "execmodel", "function", "import", "lambda", "try", "with", "yield")
QUESTIONS = (
    "When are the default values of a function's parameters evaluated?",
    "What happens to an exception that no handler takes?",
    "Which method does the with statement call at its end?",
    "How is a module found that has not been imported yet?",
    "What does a generator do when it is called?",
)


@contextmanager
def clocked(core: S3Retriever) -> Iterator[list[float]]:
    """Note how long each search of the core takes, in seconds."""
    times: list[float] = []
    retrieve = core.retrieve

    def timed(*args: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        found = retrieve(*args, **options)
        times.append(time.perf_counter() - begin)
        return found

    with mock.patch.object(core, "retrieve", timed):
        yield times


def measure(name: str, core: S3Retriever, search: Callable[[str], list[Any]]) -> str:
    """Return a line of medians; a difference within each search, as searches differ by more than it."""
    added, n_results = [], []
    for question in QUESTIONS:
        search(question)  # whatever is done on first use only
    with clocked(core) as inner:
        for number in range(SEARCHES):
            begin = time.perf_counter()
            found = search(QUESTIONS[number % len(QUESTIONS)])
            added.append(time.perf_counter() - begin - inner[-1])
            n_results.append(len(found))
    return (
        f"{name}: {1000 * statistics.median(added):.2f} ms added to {1000 * statistics.median(inner):.1f} ms "
        f"(medians of {SEARCHES} searches, {statistics.median(n_results):.0f} results each)\n"
    )


async def measure_pauses(name: str, search: Callable[[str], Awaitable[list[Any]]]) -> str:
    """Return a line with the longest time between two ticks of an event loop on which searches run."""

    async def searches() -> float:
        begin = time.perf_counter()
        for number in range(SEARCHES):
            await search(QUESTIONS[number % len(QUESTIONS)])
        return time.perf_counter() - begin

    searching = asyncio.create_task(searches())
    ticks = [time.perf_counter()]
    while not searching.done():
        await asyncio.sleep(0.001)
        ticks.append(time.perf_counter())
    pauses = [1000 * (after - before) for before, after in pairwise(ticks)]
    median, longest = statistics.median(pauses), max(pauses)
    return (
        f"{name}: the event loop ticked every {median:.1f} ms (median), at most after {longest:.1f} ms, "
        f"during {await searching:.1f} s of asynchronous searches\n"
    )


def main() -> None:
    """Put both integrations around one core, and search."""
    core = S3Retriever.from_documents(Document(name, topics[name], name) for name in NAMES)
    langchain, llama_index = LangChainRetriever(core=core), LlamaIndexRetriever(core)
    sys.stdout.write(measure("LangChain", core, langchain.invoke))
    sys.stdout.write(measure("LlamaIndex", core, llama_index.retrieve))
    sys.stdout.write(asyncio.run(measure_pauses("LangChain", langchain.ainvoke)))
    sys.stdout.write(asyncio.run(measure_pauses("LlamaIndex", llama_index.aretrieve)))


if __name__ == "__main__":
    main()
