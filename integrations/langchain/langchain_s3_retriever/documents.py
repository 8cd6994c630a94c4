"""LangChain documents in, LangChain documents out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from langchain_core.documents import Document

from s3_retriever import Document as CoreDocument
from s3_retriever import Span
from s3_retriever.documents import content_id, refuse_single
from s3_retriever.errors import InvalidDocumentError, InvalidInputError

DOC_ID = "doc_id"
"""Metadata key of a result: id of the document that the passage is from."""

START = "start_index"
"""Metadata key of a result: offset of its first character."""

END = "end_index"
"""Metadata key of a result: offset of one past its last character."""

RESERVED = (DOC_ID, START, END)


def to_core(documents: Iterable[Document]) -> Iterator[tuple[Document, CoreDocument]]:
    """Turn LangChain documents into the core's, lazily, and yield both; see :func:`document_id`.

    Raises:
        InvalidDocumentError: An item is no LangChain document.
    """
    refuse_single(documents, (str, Document))
    for position, document in enumerate(documents):
        if not isinstance(document, Document):
            msg = (
                f"document {position} is a {type(document).__name__}, not a LangChain Document; "
                "for plain texts there are from_texts and add_texts"
            )
            raise InvalidDocumentError(msg)
        # Copied deeply: what the caller does to the metadata later must not reach the index.
        metadata = copy.deepcopy(document.metadata)
        yield document, CoreDocument(document_id(document), document.page_content, metadata=metadata)


def document_id(document: Document) -> str:
    """Return a document's id, or one derived from text and metadata: the same in every run.

    Metadata takes part because loaders give equal texts from different places (blank pages, footers).
    """
    if document.id is not None:
        return document.id
    if not document.metadata:
        return content_id(document.page_content)  # as the core does
    metadata = json.dumps(document.metadata, sort_keys=True, default=str)
    return content_id(f"{document.page_content}\0{metadata}")


def from_core(document: CoreDocument) -> Document:
    """Turn a document of the index back into LangChain's, equal to the one given."""
    metadata = copy.deepcopy(dict(document.metadata))
    return Document(id=document.id, page_content=document.text, metadata=metadata)


def as_result(span: Span, metadata: Mapping[str, Any], score_key: str | None) -> Document:
    """Turn a span into a result; ``metadata`` is the document's, and is copied.

    Offsets count in the text the document was cut from, where its metadata says where it began there
    (``start_index``, as LangChain's splitters write it), else in the document's own text.
    """
    begin = metadata.get(START)
    if isinstance(begin, bool) or not isinstance(begin, int) or begin < 0:  # splitters write -1 for "unknown"
        begin = 0
    found = {DOC_ID: span.doc_id, START: begin + span.start, END: begin + span.end}
    if score_key is not None:
        found[score_key] = span.score
    return Document(id=span.id, page_content=span.text, metadata={**copy.deepcopy(dict(metadata)), **found})


def from_texts(
    texts: Iterable[str],
    metadatas: Iterable[Mapping[str, Any] | None] | None,
    ids: Iterable[str] | None,
) -> Iterator[Document]:
    """Join texts with their metadata and ids, lazily.

    Raises:
        InvalidInputError: There are more or fewer metadatas or ids than texts.
        InvalidDocumentError: A text is no ``str``.
    """
    if isinstance(texts, str):
        msg = "texts must be an iterable of texts, not a single text; wrap it in a list"
        raise InvalidInputError(msg)
    missing = object()
    columns = {"texts": texts, "metadatas": metadatas, "ids": ids}
    given = {name: column for name, column in columns.items() if column is not None}
    for position, row in enumerate(zip_longest(*given.values(), fillvalue=missing)):
        short = [name for name, value in zip(given, row, strict=True) if value is missing]
        if short:
            msg = f"{' and '.join(short)} end after {position}; give as many as there are of the others"
            raise InvalidInputError(msg)
        values = dict(zip(given, row, strict=True))
        if not isinstance(values["texts"], str):
            msg = f"text {position} is a {type(values['texts']).__name__}, not a str"
            raise InvalidDocumentError(msg)
        yield Document(
            id=values.get("ids"), page_content=values["texts"], metadata=dict(values.get("metadatas") or {})
        )
