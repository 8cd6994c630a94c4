"""Spans as people read them: in a terminal, coloured, with the question's words standing out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3_retriever.terminal import printable

if TYPE_CHECKING:
    from rich.text import Text

    from s3_retriever.documents import Explanation, Span


def show(question: str, spans: Sequence[Span], titles: Sequence[str]) -> None:
    """Print spans; coloured where standard output is a terminal."""
    from rich.console import Console
    from rich.text import Text

    from s3_retriever.index.words import asked

    console = Console(soft_wrap=True)
    wanted = {one.term for one in asked(question)}
    if not spans:
        console.print(Text("no span found"))
    for rank, (span, title) in enumerate(zip(spans, titles, strict=True), 1):
        heading = Text(f"{rank}. {printable(title)}".rstrip(), style="bold cyan")
        heading.append(f"  {printable(span.doc_id)} [{span.start}:{span.end}]", style="not bold dim")
        heading.append(f"  score {span.score:.3f}", style="not bold green")
        console.print(heading)
        console.print(_marked(Text(printable(span.text, lines=True)), wanted))
        if span.explanation is not None:
            console.print(Text(printable(_reasons(span.explanation), lines=True), style="dim"))
        console.print()


def _marked(text: Text, wanted: set[str]) -> Text:
    """Make the question's words stand out."""
    from s3_retriever.index.words import placed_words

    for term, start, end in placed_words(text.plain):
        if term in wanted:
            text.stylize("bold yellow", start, end)
    return text


def _reasons(explanation: Explanation) -> str:
    lines = [f"S3 {explanation.s3:.0%}, BM25 {explanation.bm25:.0%}"]
    lines += [
        f"  {pair.share:4.0%}  {pair.token!r} met {pair.text!r} (tap {pair.tap}, feature {pair.feature})"
        for pair in explanation.features
    ]
    return "\n".join(lines)
