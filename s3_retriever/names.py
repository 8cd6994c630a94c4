"""Names that settings and calls take as text; importing them loads nothing else."""

from __future__ import annotations

from typing import Literal, get_args

Mode = Literal["hybrid", "s3", "bm25"]
"""What is searched with: S3 and BM25, or one of them."""

ScoringName = Literal["attention", "paper"]
"""How S3 scores: like attention, or by shared features as published (arXiv 2601.17702)."""

BM25Name = Literal["rank_bm25", "bm25s"]
"""What computes BM25."""

ChangeMode = Literal["append", "overwrite", "upsert"]
"""What becomes of the documents that are there: all stay, none, or those without a new version."""

SpanKind = Literal["prose", "heading", "list", "table", "code", "data", "furniture"]
"""What a passage is; see :class:`s3_retriever.Span`."""

MatchField = Literal["text", "title", "path", "heading", "opening", "page"]
"""Where a word stands that one of the question met; see :class:`s3_retriever.WordMatch`."""

SPAN_KINDS: tuple[SpanKind, ...] = get_args(SpanKind)
MODES: tuple[Mode, ...] = get_args(Mode)
SCORINGS: tuple[ScoringName, ...] = get_args(ScoringName)
BM25_NAMES: tuple[BM25Name, ...] = get_args(BM25Name)
CHANGE_MODES: tuple[ChangeMode, ...] = get_args(ChangeMode)

TOKEN_VARIABLE = "S3_RETRIEVER_TOKEN"  # noqa: S105 - the name of a variable, not a token
"""The environment variable that server and client read the token from."""

DATASET_FORMATS = ("parquet", "jsonl", "files")
"""What the files may be that a cluster reads."""
