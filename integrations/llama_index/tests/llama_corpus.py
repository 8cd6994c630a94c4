"""A small corpus, and the type of what makes retrievers of it (see the fixture ``make``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.schema import Document

from llama_index.retrievers.s3 import S3Retriever
from s3_retriever import RetrieverConfig, ScanConfig

Make = Callable[..., S3Retriever]

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))

TEXTS = {
    "harbour": "The harbour was quiet. " * 8 + "The lighthouse keeper stores the oil in the cellar.",
    "bakery": "Bread is baked at four in the morning. The baker sings. " * 6,
    "rain": "Rain forms when droplets in a cloud grow too heavy to stay aloft. It falls on the sea.",
    "cjk": "灯台守は油を地下室に保管する。パンは朝四時に焼かれる。",
}
METADATA: dict[str, dict[str, Any]] = {
    "harbour": {"topic": "sea", "year": 1997, "tags": ["oil", "ship"], "note": ""},
    "bakery": {"topic": "bread", "year": 2001, "tags": ["food"]},
    "rain": {"topic": "sea", "year": 2010, "tags": []},
    "cjk": {"topic": "mixed", "year": 2020},
}
QUESTION = "Where does the lighthouse keeper store the oil?"


def make_documents() -> list[Document]:
    """Return the corpus of these tests, new objects each time."""
    return [Document(id_=key, text=text, metadata=dict(METADATA[key])) for key, text in TEXTS.items()]
