"""A language model that is its own retriever.

Documents stream through a host LLM once; the keys of a few attention heads become sparse features in an
inverted index; a question's queries find the spans the model's attention would look for.

Names are imported on first use, so that ``import s3_retriever`` does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3_retriever.config import RetrieverConfig
    from s3_retriever.documents import Document, Explanation, Span, TokenFeature
    from s3_retriever.errors import S3RetrieverError
    from s3_retriever.host.model import Host
    from s3_retriever.host.scan import ScanConfig
    from s3_retriever.retriever import S3Retriever
    from s3_retriever.search.filters import AllOf, AnyOf, Compare, Not
    from s3_retriever.search.spans import SpanConfig

__version__ = "0.1.0"

__all__ = [
    "AllOf",
    "AnyOf",
    "Compare",
    "Document",
    "Explanation",
    "Host",
    "Not",
    "RetrieverConfig",
    "S3Retriever",
    "S3RetrieverError",
    "ScanConfig",
    "Span",
    "SpanConfig",
    "TokenFeature",
]

_MODULES = {
    "AllOf": "search.filters",
    "AnyOf": "search.filters",
    "Compare": "search.filters",
    "Document": "documents",
    "Explanation": "documents",
    "Host": "host.model",
    "Not": "search.filters",
    "RetrieverConfig": "config",
    "S3Retriever": "retriever",
    "S3RetrieverError": "errors",
    "ScanConfig": "host.scan",
    "Span": "documents",
    "SpanConfig": "search.spans",
    "TokenFeature": "documents",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
