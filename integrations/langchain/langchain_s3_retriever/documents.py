"""LangChain documents in, LangChain documents out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from langchain_core.documents import Document

from s3_retriever import Document as CoreDocument
from s3_retriever import InvalidDocumentError, InvalidInputError, Span
from s3_retriever.integration import check, content_id, instance, optional, refuse_single

OURS = "s3_retriever"
"""Metadata key of a result: a mapping with all that the retriever says of the passage, and nothing else."""

_PLACE = ("start_index", "end_index")  # offsets in the source text; they say something together only

RESERVED = (OURS, "doc_id", "passage_id", *_PLACE, "start", "end")


def checked(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass documents on, lazily.

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
        yield document


def to_core(documents: Iterable[Document]) -> Iterator[tuple[Document, CoreDocument]]:
    """Turn LangChain documents into the core's, lazily, and yield both; see :func:`document_id`.

    Raises:
        InvalidDocumentError: An item is no LangChain document, or has a metadata key that results need.
    """
    for document in checked(documents):
        if OURS in document.metadata:
            msg = (
                f"document {document_id(document)!r}: the metadata key {OURS!r} is for results; "
                "rename it, or take it out of results that shall be indexed"
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

    What we say stands under :data:`OURS`, and beside it under its own keys where the document has none of
    that name. What an earlier stage of ours said is replaced.

    ``page`` and ``pages`` say on which pages it stands, where the document has any, counted from 1.
    What the passage is stands under :data:`OURS` only: see :attr:`s3_retriever.Span.structure`.

    ``start_index`` and ``end_index`` count in the text the document was cut from, where its metadata says
    where it began there (``start_index``, as LangChain's splitters write it), else in its own text.
    """
    theirs = copy.deepcopy(dict(metadata))
    for key, value in dict(theirs.pop(OURS, {})).items():
        if key in theirs and theirs[key] == value:
            del theirs[key]
    begin = theirs.get("start_index")
    if isinstance(begin, bool) or not isinstance(begin, int) or begin < 0:  # splitters write -1 for "unknown"
        begin = 0
    ours = {
        "doc_id": span.doc_id,
        "passage_id": span.id,
        "start": span.start,
        "end": span.end,
        "start_index": begin + span.start,
        "end_index": begin + span.end,
    }
    ours |= span.places
    if score_key is not None:
        ours[score_key] = span.score
    ours |= span.structure
    hidden = {"start", "end", *span.structure, *(_PLACE if any(key in theirs for key in _PLACE) else ())}
    shown = {key: value for key, value in ours.items() if key not in hidden}
    return Document(id=span.id, page_content=span.text, metadata={**shown, **theirs, OURS: ours})


def within(document: Document, span: Span) -> Span:
    """Return a span of a document's text as one of the document that it was cut from.

    Args:
        document: Anybody's; a result of this package is a passage of a longer one.
        span: A span of its ``page_content``.

    Raises:
        InvalidDocumentError: Its metadata has our key, and something else under it.
    """
    key, begin, pages = document_id(document), 0, span.pages
    if OURS in document.metadata:
        place = document.metadata[OURS]
        fits = isinstance(place, Mapping) and isinstance(place.get("doc_id"), str)
        if not fits or not isinstance(place.get("start"), int):
            msg = f"document {key!r}: the metadata key {OURS!r} is for results of this package; rename it"
            raise InvalidDocumentError(msg)
        key, begin = place["doc_id"], place["start"]
        if isinstance(place.get("pages"), list) and len(place["pages"]) == 1:
            pages = tuple(place["pages"])  # of several, nobody knows here on which one it stands
    start, end = begin + span.start, begin + span.end
    return replace(span, id=f"{key}:{start}-{end}", doc_id=key, start=start, end=end, pages=pages)


def from_texts(
    texts: Iterable[str],
    metadatas: Iterable[Mapping[str, Any] | None] | None,
    ids: Iterable[str] | None,
) -> Iterator[Document]:
    """Join texts with their metadata and ids, lazily.

    Raises:
        InvalidInputError: There are more or fewer metadatas or ids than texts, one of the three is a single
            value, or a metadata is no mapping.
        InvalidDocumentError: A text is no ``str``.
    """
    missing = object()
    columns = {"metadatas": metadatas, "ids": ids}
    given = {"texts": texts, **{name: column for name, column in columns.items() if column is not None}}
    for name, column in given.items():
        check(name, column, _several)
    for position, row in enumerate(zip_longest(*given.values(), fillvalue=missing)):
        short = [name for name, value in zip(given, row, strict=True) if value is missing]
        if short:
            msg = f"{' and '.join(short)} end after {position}; give as many as there are of the others"
            raise InvalidInputError(msg)
        values = dict(zip(given, row, strict=True))
        if not isinstance(values["texts"], str):
            msg = f"text {position} is a {type(values['texts']).__name__}, not a str"
            raise InvalidDocumentError(msg)
        metadata = values.get("metadatas")
        check(f"metadata {position}", metadata, optional(instance(Mapping, "a mapping")))
        yield Document(id=values.get("ids"), page_content=values["texts"], metadata=dict(metadata or {}))


def _several(value: object) -> str:
    single = isinstance(value, (str, Mapping)) or not isinstance(value, Iterable)
    return "a list or another iterable" if single else ""
