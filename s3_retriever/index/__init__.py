"""The inverted index: which features of a tap fire on which tokens, in memory and on disk.

A :class:`SegmentBuilder` turns streamed documents into an immutable :class:`Segment`; an
:class:`Index` holds segments, adds, deletes, merges, saves and loads; a :class:`Snapshot` is one
consistent version of it, and what a search reads.
"""

from s3_retriever.index.builder import SegmentBuilder
from s3_retriever.index.index import Index
from s3_retriever.index.layout import BLOCK, CELL, Layout
from s3_retriever.index.segment import Segment
from s3_retriever.index.snapshot import Snapshot

__all__ = ["BLOCK", "CELL", "Index", "Layout", "Segment", "SegmentBuilder", "Snapshot"]
