"""Search: BM25, densities over cells, filters, spans under a token budget. Knows nothing of torch."""

from s3_retriever.search.bm25 import BM25, BM25S, RankBM25
from s3_retriever.search.cells import CELL, cell_terms
from s3_retriever.search.filters import AllOf, AnyOf, Compare, Filter, Not
from s3_retriever.search.spans import SelectedSpan, SpanConfig, select_spans
from s3_retriever.search.text import sentences, words

__all__ = [
    "BM25",
    "BM25S",
    "CELL",
    "AllOf",
    "AnyOf",
    "Compare",
    "Filter",
    "Not",
    "RankBM25",
    "SelectedSpan",
    "SpanConfig",
    "cell_terms",
    "select_spans",
    "sentences",
    "words",
]
