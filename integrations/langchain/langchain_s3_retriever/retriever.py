"""The retriever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import run_in_executor

from langchain_s3_retriever.documents import from_texts
from langchain_s3_retriever.spans import SpanRetriever


class S3Retriever(SpanRetriever):
    """Returns the passages that the host's own attention, fused with BM25, finds for a question.

    Results are documents whose text is the passage and whose id is ``"{doc_id}:{start}-{end}"``. Their
    metadata is the document's (``source`` and all), and ``s3_retriever``: a mapping with ``doc_id``,
    ``passage_id``, ``start``, ``end``, ``start_index``, ``end_index`` and ``score``. Most of these stand
    beside it too, where the document has no key of that name.

    Every call may replace ``k``, ``token_budget``, ``mode``, ``scoring``, ``unit_scores``, ``spans``
    and ``unique``, and narrow ``filter``: ``retriever.invoke(question, k=3, filter={"lang": "en"})``.

    Make one with :meth:`from_documents`, :meth:`from_texts` or :meth:`load_local`, or around a retriever of
    ``s3_retriever`` with ``S3Retriever(core=...)``. Threads may share it: a search sees the corpus before or
    after a change, never between.

    Examples:
        >>> from langchain_core.documents import Document
        >>> documents = [Document("The ferry leaves at nine.", id="ferry", metadata={"year": 2024})]
        >>> retriever = S3Retriever.from_documents(documents, k=1)
        >>> (found,) = retriever.invoke("When does it leave?", filter={"year": {"$gte": 2020}})
        >>> found.id, found.metadata["start_index"], found.page_content
        ('ferry:0-25', 0, 'The ferry leaves at nine.')
    """

    def add_documents(self, documents: Iterable[Document], *, show_progress: bool = False) -> list[str]:
        """Index more documents; all of them or, on error, none.

        Args:
            documents: As in :meth:`from_documents`.
            show_progress: Show a progress bar.

        Returns:
            The documents' ids, in order.

        Raises:
            InvalidDocumentError: An item is no document, or its metadata is not of JSON.
            DuplicateDocumentError: An id is already here or occurs twice.
        """
        return self._add(documents, show_progress)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any] | None] | None = None,
        ids: Iterable[str] | None = None,
        *,
        show_progress: bool = False,
    ) -> list[str]:
        """Index more texts; see :meth:`from_texts` and :meth:`add_documents`."""
        return self._add(from_texts(texts, metadatas, ids), show_progress)

    def update_documents(self, documents: Iterable[Document], *, show_progress: bool = False) -> list[str]:
        """Index documents in the place of those with their ids, in one step; new ones are added.

        Returns:
            The documents' ids, in order.

        Raises:
            InvalidDocumentError: An item is no document, or its metadata is not of JSON.
            DuplicateDocumentError: Two of the documents given have one id.
        """
        return self._update(documents, show_progress)

    def delete(self, ids: Iterable[str]) -> None:
        """Delete documents by id; all of them or, on error, none.

        Raises:
            UnknownDocumentError: There is no such document.
            InvalidInputError: ``ids`` is a single text, or one is no text.
        """
        self.core.delete(ids)

    async def aadd_documents(self, documents: Iterable[Document], **options: Any) -> list[str]:
        """Do as :meth:`add_documents` does, in another thread."""
        return await run_in_executor(None, partial(self.add_documents, documents, **options))

    async def aadd_texts(self, texts: Iterable[str], *args: Any, **options: Any) -> list[str]:
        """Do as :meth:`add_texts` does, in another thread."""
        return await run_in_executor(None, partial(self.add_texts, texts, *args, **options))

    async def aupdate_documents(self, documents: Iterable[Document], **options: Any) -> list[str]:
        """Do as :meth:`update_documents` does, in another thread."""
        return await run_in_executor(None, partial(self.update_documents, documents, **options))

    async def adelete(self, ids: Iterable[str]) -> None:
        """Do as :meth:`delete` does, in another thread."""
        await run_in_executor(None, self.delete, ids)
