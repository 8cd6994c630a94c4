"""Index part of the Python language reference with a small language model, and ask it three questions.

Run it with ``make demo``, or ``python examples/demo.py`` once the package is installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from s3_retriever import Document, Host, S3Retriever, Span

# About 50,000 tokens; the names are those of help("...") at the Python prompt.
TOPICS = (
    *("assert", "assignment", "async", "attribute-access", "calls", "class", "comparisons"),
    *("context-managers", "customization", "debugger", "del", "exceptions", "execmodel", "formatstrings"),
    *("function", "global", "import", "lambda", "raise", "string-methods", "strings", "try"),
    *("typesmapping", "with", "yield"),
)

QUESTIONS = (
    "When are the default values of a function's parameters evaluated?",
    "In what order are exception handlers tried when an exception is raised?",
    "How do I set a breakpoint that only stops under a condition?",
)
BUDGET = 160

console = Console(highlight=False, soft_wrap=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    start = time.perf_counter()
    yield
    console.print(f"[green]✓[/] {name} [dim]({time.perf_counter() - start:.2f} s)[/]")


def peak_memory() -> str:
    """The most memory this process has held so far, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        try:
            import psutil
        except ImportError:
            return "not measured: install psutil"
        return f"{psutil.Process().memory_info().peak_wset / 1e6:,.0f} MB"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6:,.0f} MB"


def show(span: Span) -> None:
    """Print where a span is, its score and its text."""
    where = Text(f"{span.doc_id} [{span.start}:{span.end}]", style="bold cyan")
    console.print(
        Padding(where.append(f"  score {span.score:.2f}", style="not bold green"), (1, 0, 0, 2), expand=False)
    )
    console.print(Padding(Text(span.text), (0, 0, 0, 4), expand=False), soft_wrap=False)


def explain(retriever: S3Retriever, question: str) -> None:
    """Print why the best span was found."""
    span = retriever.retrieve(question, BUDGET, explain=True)[0]
    reason = span.explanation
    assert reason is not None  # noqa: S101 - explain=True was given
    console.print(f"\n[bold]Why {span.id}?[/] S3 gave {reason.s3:.0%} of the score, BM25 {reason.bm25:.0%}.")
    console.print("Which words of the question met which words of the text, and how much of all that was:")
    for match in reason.words[:8]:
        met = f"{match.word!r} met {match.text!r} at {match.start} (S3 {match.s3:.0%}, BM25 {match.bm25:.0%})"
        console.print(Text(f"  {match.share:4.0%}  {met}"))


def main() -> None:
    """Index, save, load, ask, explain."""
    documents = [Document(name, topics[name]) for name in TOPICS if name in topics]
    console.print(f"[bold]Scanning {len(documents)} topics of the Python language reference[/]\n")
    with step("host loaded"):
        host = Host.load()
    start = time.perf_counter()
    with step("documents scanned and indexed"):
        built = S3Retriever.from_documents(documents, host=host, show_progress=sys.stderr.isatty())
    speed = built.n_tokens / (time.perf_counter() - start)
    size = built.nbytes / built.n_tokens
    console.print(f"  {built.n_tokens:,} tokens, {speed:,.0f} tokens/s, {size:.1f} bytes of index per token")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "index"
        with step("index saved"):
            built.save(path)
        with step("index loaded"):
            retriever = S3Retriever.load(path, host=host)
        for question in QUESTIONS:
            console.print(f"\n[bold yellow]{question}[/]")
            with step("answered"):
                spans = retriever.retrieve(question, token_budget=BUDGET)
            for span in spans:
                show(span)
        explain(retriever, QUESTIONS[0])
    console.print(f"\npeak memory: {peak_memory()}")


if __name__ == "__main__":
    main()
