"""Spans, explanations and profiles as HTML: what a notebook shows of them.

Texts of documents and questions are always text: what could be markup is escaped, what is invisible or turns
the direction of writing is named. There is no script, and nothing is loaded.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3_retriever.shown import ABOVE, grouped, hidden, percents, stretches

if TYPE_CHECKING:
    from s3_retriever.documents import Explanation, Span
    from s3_retriever.search.profile import Profile

_BINS = 240
_WIDTH, _HEIGHT = 720, 56
_ROWS = 8
_COPIES = 4  # other places that are named
_S3, _BM25 = "0,114,178", "213,94,0"  # blue and vermilion, which the colour-blind tell apart

_STYLE = f"""<style>
.s3r {{ font-size: .95em; line-height: 1.5; text-align: left; }}
.s3r table {{ border-collapse: collapse; width: 100%; }}
.s3r th, .s3r td {{ text-align: left; vertical-align: top; padding: .4em .7em .4em 0; background: none;
  border: 0; border-bottom: 1px solid rgba(128,128,128,.3); }}
.s3r .n {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.s3r .t {{ white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }}
.s3r mark {{ color: inherit; border-radius: .2em; }}
.s3r .c {{ font: .75em monospace; border: 1px dotted; padding: 0 .2em; opacity: .7; }}
.s3r .bar {{ display: inline-block; vertical-align: middle; width: 6em; height: .6em; }}
.s3r .a {{ fill: rgb({_S3}); }} .s3r .b {{ fill: rgb({_BM25}); }}
.s3r details {{ margin-top: .4em; }} .s3r summary {{ cursor: pointer; }}
.s3r .k {{ opacity: .75; font-size: .9em; }}
</style>"""
_KEY = (
    f'<p class="k"><mark style="background:rgba({_S3},.3)">filled</mark>: met by S3, the model\'s attention; '
    f'<mark style="background:none;border-bottom:.2em solid rgba({_BM25},.9)">underlined</mark>: '
    "met by BM25, the same word</p>"
)


def spans_html(spans: Sequence[Span]) -> str:
    """Return a table of spans, their words lit where they were explained."""
    if not spans:
        return f'{_STYLE}<div class="s3r">no span found</div>'
    explained = any(span.explanation is not None for span in spans)
    rows = "".join(f"<tr>{_cells(rank, span)}</tr>" for rank, span in enumerate(spans, 1))
    head = '<tr><th scope="col">#</th><th scope="col">passage</th><th scope="col">score</th></tr>'
    return (
        f'{_STYLE}<div class="s3r"><table><thead>{head}</thead><tbody>{rows}</tbody></table>'
        f"{_KEY if explained else ''}</div>"
    )


def explanation_html(explanation: Explanation) -> str:
    """Return what S3 and BM25 gave, and which word met which, as tables."""
    return f'{_STYLE}<div class="s3r">{_sides(explanation)}{_matches(explanation)}</div>'


def profile_html(profile: Profile) -> str:
    """Return a profile as a strip: the height is the density, S3 below BM25."""
    shown = profile.binned(_BINS)
    name = f"<b>{visible(profile.doc_id)}</b>"
    if not len(shown):
        return f'{_STYLE}<div class="s3r">{name}: no text</div>'
    floors = {name: least for name, (least, _) in profile.ranges.items()}
    sides = [
        [0.0] * len(shown) if side is None else [max(0.0, value - floors[which]) for value in side.tolist()]
        for which, side in (("s3", shown.s3), ("bm25", shown.bm25))
    ]
    highest = max(map(sum, zip(*sides, strict=True))) or 1.0
    width = _WIDTH / len(shown)
    bars = []
    for i, (s3, bm25) in enumerate(zip(*sides, strict=True)):
        low, high = (_HEIGHT * value / highest for value in (s3, bm25))
        for kind, top, tall in (("a", _HEIGHT - low, low), ("b", _HEIGHT - low - high, high)):
            place = f'x="{i * width:.2f}" y="{top:.2f}" width="{width:.2f}" height="{tall:.2f}"'
            bars.append(f'<rect class="{kind}" {place}/>')
    best = int(shown.density.argmax())
    label = (
        f"density of {profile.doc_id}, highest at characters {shown.starts[best]} to {shown.ends[best]} "
        f"of {profile.ends[-1]}"
    )
    picture = (
        f'<svg role="img" aria-label="{visible(label, markup=False)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="100%" height="{_HEIGHT}" preserveAspectRatio="none">{"".join(bars)}</svg>'
    )
    key = '<p class="k">blue: S3; orange, on top of it: BM25</p>'
    return f'{_STYLE}<div class="s3r">{name}{picture}{key}</div>'


def visible(text: str, *, markup: bool = True) -> str:
    """Return a text as HTML in which it is only text; hidden characters are named.

    Args:
        text: Any text.
        markup: Whether the names may stand out; an attribute has no room for that.
    """
    form = '<span class="c">{}</span>' if markup else "[{}]"
    return "".join(form.format(name) if (name := hidden(one)) else html.escape(one) for one in text)


def _cells(rank: int, span: Span) -> str:
    place = f"{visible(span.doc_id)} <span class='k n'>[{span.start}:{span.end}]</span>"
    why = span.explanation
    lit, reasons = visible(span.text), ""
    if why is not None:
        lit = _lit(span, why)
        reasons = (
            f"<details><summary>why</summary>{_sides(why)}{_matches(why)}</details>" if why.words else ""
        )
    return (
        f'<td class="n">{rank}</td><td><b>{place}</b><div class="t" dir="auto">{lit}</div>'
        f"{_copies(span)}{reasons}</td>"
        f'<td class="n">{span.score:.3f}</td>'
    )


def _copies(span: Span) -> str:
    """Return where else a passage stands."""
    named = [f"{visible(one.doc_id)} [{one.start}:{one.end}]" for one in span.also_in[:_COPIES]]
    left = len(span.also_in) - len(named)
    more = f" and {left} more" if left else ""
    return f'<div class="k">also in {", ".join(named)}{more}</div>' if named else ""


def _lit(span: Span, why: Explanation) -> str:
    """Return a passage, its words the stronger lit the more they met."""
    highest = {side: max((getattr(one, side) for one in why.words), default=0) for side in ("s3", "bm25")}
    parts = []
    for text, matches in stretches(span.text, span.start, why.words):
        if not matches:
            parts.append(visible(text))
            continue
        s3, bm25 = (
            min(1.0, sum(getattr(one, side) for one in matches) / (highest[side] or 1))
            for side in ("s3", "bm25")
        )
        style = f"background:rgba({_S3},{0.5 * s3:.2f})"
        if bm25:
            style += f";border-bottom:.2em solid rgba({_BM25},{0.3 + 0.7 * bm25:.2f})"
        told = "; ".join(f"{one.word}: {one.share:.0%}" for one in matches)
        parts.append(
            f'<mark style="{style}" title="met {visible(told, markup=False)}">{visible(text)}</mark>'
        )
    return "".join(parts)


def _sides(why: Explanation) -> str:
    s3, bm25 = percents([why.s3, why.bm25])
    named = f", named by a better passage: <bdi>{visible(why.named)}</bdi>" if why.named else ""
    return f'<div class="n">S3 {s3} %, BM25 {bm25} % of the score{named} {_bar(why.s3, why.bm25)}</div>'


def _matches(why: Explanation) -> str:
    groups = grouped(why.words)[:_ROWS]
    if not groups:
        return ""
    largest = groups[0].share
    rows = "".join(
        f'<tr><td class="n">{percent} %</td><td>{_bar(one.s3 / largest, one.bm25 / largest)}</td>'
        f"<td><bdi>{visible(one.word)}</bdi></td><td><bdi>{visible(one.text)}</bdi>"
        f"{f' × {one.places}' if one.places > 1 else ''}"
        f"{f', in {ABOVE[one.field]}' if one.field in ABOVE else ''}</td></tr>"
        for one, percent in zip(groups, percents([one.share for one in groups]), strict=True)
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("share", "", "of the question", "met"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _bar(s3: float, bm25: float) -> str:
    """Return a bar of two colours, as long as both values are together, of at most 1."""
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="a" width="{100 * s3:.1f}" height="10"/>'
        f'<rect class="b" x="{100 * s3:.1f}" width="{100 * bm25:.1f}" height="10"/></svg>'
    )
