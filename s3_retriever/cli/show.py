"""Spans as people read them: in a terminal, coloured, with the question's words standing out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3_retriever.terminal import printable

_SHOWN = 5  # other places of a passage
_INDENT = "   "  # of what stands below a heading

if TYPE_CHECKING:
    from rich.text import Text

    from s3_retriever.documents import Copy, Explanation, Span


_ROWS = 8  # of an explanation


def show(question: str, spans: Sequence[Span], titles: Sequence[str]) -> None:
    """Print spans; coloured where standard output is a terminal."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from s3_retriever.index.words import asked

    console = Console(soft_wrap=True)

    def below(text: Text) -> None:
        """Print what belongs to a heading, no line of which can pass for one, wrapped ones included."""
        if console.is_terminal:
            console.print(Padding(text, (0, 0, 0, len(_INDENT))), soft_wrap=False)
        else:
            console.print(Text("\n").join(Text(_INDENT).append_text(line) for line in text.split("\n")))

    wanted = {one.term for one in asked(question)}
    if not spans:
        console.print(Text("no span found"))
    for rank, (span, title) in enumerate(zip(spans, titles, strict=True), 1):
        heading = Text(f"{rank}. {printable(title)}".rstrip(), style="bold cyan")
        place = f"{printable(span.doc_id)}{_pages(span.pages)} [{span.start}:{span.end}]"
        heading.append(f"  {place}", style="not bold dim")
        heading.append(f"  score {span.score:.3f}", style="not bold green")
        console.print(heading)
        below(_marked(Text(printable(span.text.replace("\r\n", "\n"), lines=True)), wanted))
        if span.also_in:
            below(Text(_elsewhere(span.also_in), style="dim"))
        if span.explanation is not None:
            below(Text(printable(_reasons(span.explanation), lines=True), style="dim"))
        console.print()


def _elsewhere(copies: Sequence[Copy]) -> str:
    places = [f"{printable(one.doc_id)} [{one.start}:{one.end}]" for one in copies[:_SHOWN]]
    more = f" and {len(copies) - _SHOWN} more" if len(copies) > _SHOWN else ""
    return f"also in {', '.join(places)}{more}"


def _pages(pages: Sequence[int]) -> str:
    """Return pages as a citation has them: ``, p. 3`` or ``, pp. 3-4``."""
    if len(pages) > 1:
        return f", pp. {pages[0]}-{pages[-1]}"
    return f", p. {pages[0]}" if pages else ""


def _marked(text: Text, wanted: set[str]) -> Text:
    """Make the question's words stand out."""
    from s3_retriever.index.words import placed_words

    for term, start, end in placed_words(text.plain):
        if term in wanted:
            text.stylize("bold yellow", start, end)
    return text


def _reasons(explanation: Explanation) -> str:
    from s3_retriever.shown import ABOVE, grouped, percents

    s3, bm25 = percents([explanation.s3, explanation.bm25])
    groups = grouped(explanation.words)[:_ROWS]
    lines = [f"S3 {s3} %, BM25 {bm25} % of the score"]
    if explanation.named:
        lines.append(f"  named by a better passage: {explanation.named!r}")
    for one, percent in zip(groups, percents([group.share for group in groups]), strict=True):
        times = f", {one.places} times" if one.places > 1 else ""
        times += f", in {ABOVE[one.field]}" if one.field in ABOVE else ""
        by = " and ".join(name for name, value in (("S3", one.s3), ("BM25", one.bm25)) if value)
        lines.append(f"  {percent:3} %  {one.word!r} met {one.text!r}{times} (by {by})")
    return "\n".join(lines)
