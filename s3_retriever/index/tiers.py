"""When segments are merged without being asked: any series of adds leaves few, and rewrites little.

What is added is merged with the segments before it that are less than twice as large, as digits carry in a
binary counter. So each segment is at least twice as large as the one after it, and n documents of one size
leave at most log2(n) + 1 of them. What is rewritten comes into a segment 1.5 times as large at least, so that
each document is rewritten O(log n) times.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3_retriever.index.builder import merge
from s3_retriever.index.layout import Layout
from s3_retriever.index.snapshot import LiveSegment


def settled(layout: Layout, parts: Sequence[LiveSegment]) -> list[LiveSegment]:
    """Return the parts after one was added at their end, some merged; their live documents stay in order.

    Args:
        layout: Of all the segments.
        parts: At least one.
    """
    first = len(parts) - 1
    size = _size(parts[first])
    while first and _size(parts[first - 1]) < 2 * size:
        first -= 1
        size += _size(parts[first])
    kept, last = list(parts[:first]), parts[first:]
    if len(last) == 1:
        return [*kept, *last]
    return [*kept, LiveSegment(merge(layout, [(part.segment, part.alive) for part in last]))]


def _size(part: LiveSegment) -> int:
    """Return about what a part costs to rewrite; a document without a token is not free either."""
    return len(part.cells) + len(part)
