"""The retriever as a document index, which ``langchain_core.indexing.index`` keeps up to date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.indexing import DocumentIndex, UpsertResponse
from langchain_core.indexing.base import DeleteResponse
from pydantic import ConfigDict

from langchain_s3_retriever.documents import checked, document_id, from_core
from langchain_s3_retriever.spans import SpanRetriever
from s3_retriever import InvalidInputError, UnknownDocumentError
from s3_retriever.integration import as_ids


class S3DocumentIndex(SpanRetriever, DocumentIndex):
    """Stores whole documents by id, and returns passages of them for a question.

    As a retriever it is like :class:`S3Retriever`, with the same settings, construction (an empty one is
    ``S3DocumentIndex.from_documents([])``) and persistence. The asynchronous methods run in another thread.
    """

    model_config = ConfigDict(extra="forbid")  # again: of several bases, the last one's settings win

    def upsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """Add documents, or replace those with their ids; all of them or, on error, none.

        A document without an id gets one from its text and metadata. Of several with one id, the last counts.

        Args:
            items: The documents.
            **kwargs: ``show_progress``: show a progress bar.

        Returns:
            The ids, in the order of the documents. None ever fails by itself.

        Raises:
            InvalidDocumentError: An item is no document, or its metadata is not of JSON.
            InvalidInputError: An argument is unknown.
        """
        show_progress = bool(kwargs.pop("show_progress", False))
        _refuse("upsert", kwargs)
        documents = list(checked(items))
        ids = [document_id(document) for document in documents]
        latest = dict(zip(ids, documents, strict=True))
        self._update(latest.values(), show_progress)
        return UpsertResponse(succeeded=ids, failed=[])

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """Delete documents by id; ids that are not there are passed over.

        Returns:
            The ids that were deleted.

        Raises:
            InvalidInputError: ``ids`` are no list of texts, or an argument is unknown.
        """
        _refuse("delete", kwargs)
        deleted = self._delete_present(as_ids(ids))
        return DeleteResponse(succeeded=deleted, num_deleted=len(deleted), failed=[], num_failed=0)

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Return the documents that are there, equal to those given, in the order of the ids.

        Raises:
            InvalidInputError: ``ids`` are no list of texts, or an argument is unknown.
        """
        _refuse("get", kwargs)
        found = map(self._find, dict.fromkeys(as_ids(ids)))
        return [document for document in found if document is not None]

    def _find(self, key: str) -> Document | None:
        try:
            return from_core(self.core.document(key))
        except UnknownDocumentError:
            return None

    def _delete_present(self, ids: list[str]) -> list[str]:
        while True:
            present = [key for key in dict.fromkeys(ids) if key in self.core]
            try:
                self.core.delete(present)
            except UnknownDocumentError:  # another thread deleted one since
                continue
            return present


def _refuse(method: str, unknown: dict[str, Any]) -> None:
    if unknown:
        msg = f"{method} takes no argument {next(iter(unknown))!r}"
        raise InvalidInputError(msg)
