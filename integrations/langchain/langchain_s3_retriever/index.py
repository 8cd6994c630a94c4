"""The retriever as a document index, which ``langchain_core.indexing.index`` keeps up to date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.indexing import DocumentIndex, UpsertResponse
from langchain_core.indexing.base import DeleteResponse
from pydantic import ConfigDict

from langchain_s3_retriever.documents import document_id, from_core
from langchain_s3_retriever.spans import SpanRetriever
from s3_retriever.errors import InvalidInputError, UnknownDocumentError


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
        ids = [document_id(item) if isinstance(item, Document) else "" for item in items]
        latest = dict(zip(ids, items, strict=True))
        self._update(latest.values(), show_progress)
        return UpsertResponse(succeeded=ids, failed=[])

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """Delete documents by id; ids that are not there are passed over.

        Returns:
            The ids that were deleted.

        Raises:
            InvalidInputError: No ids are given, or an argument is unknown.
        """
        _refuse("delete", kwargs)
        if ids is None or isinstance(ids, str):
            msg = f"delete needs a list of ids, not {ids!r}"
            raise InvalidInputError(msg)
        deleted = self._delete_present(ids)
        return DeleteResponse(succeeded=deleted, num_deleted=len(deleted), failed=[], num_failed=0)

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Return the documents that are there, equal to those given, in the order of the ids.

        Raises:
            InvalidInputError: ``ids`` is a single text, or an argument is unknown.
        """
        _refuse("get", kwargs)
        if isinstance(ids, str):
            msg = f"get needs a list of ids, not {ids!r}"
            raise InvalidInputError(msg)
        found = map(self._find, dict.fromkeys(ids))
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
