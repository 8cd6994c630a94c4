"""The documents of a retriever, and how they change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseNode, Document, IndexNode, TextNode, TransformComponent
from llama_index.core.settings import Settings

from llama_index.retrievers.s3.ledger import Ledger
from llama_index.retrievers.s3.nodes import hash_of, to_stored, whole_node
from llama_index.retrievers.s3.transformations import STEPS, checked, transform
from s3_retriever import Client, UnknownDocumentError
from s3_retriever import Document as StoredDocument
from s3_retriever import S3Retriever as Engine
from s3_retriever.integration import FLAG, ThreadLock, Uncopyable, check, each, instance, optional

_OF_BASE = {
    "callback_manager": optional(instance(CallbackManager, "a CallbackManager")),
    "objects": optional(each(instance(IndexNode, "an IndexNode"), least=0)),
    "object_map": optional(instance(dict, "a dict")),
    "verbose": FLAG,
}


class LivingRetriever(Uncopyable, BaseRetriever):
    """A retriever whose documents are added, replaced and deleted; how it searches is its subclass's.

    Args:
        engine: Holds the documents.
        transformations: What documents go through before they are indexed.
        base: All that LlamaIndex's base class takes; its ``callback_manager`` is by default that of
            ``Settings``.

    Raises:
        InvalidInputError: A value is of another type.
    """

    instead = "threads may share it; for another process use persist() and from_persist_dir()"

    def __init__(
        self,
        engine: Engine | Client,
        transformations: Sequence[TransformComponent] | None,
        **base: Any,
    ) -> None:
        wanted = "an S3Retriever of s3_retriever (see from_documents), or a Client of a server"
        check("engine", engine, instance((Engine, Client), wanted))
        check("transformations", transformations, STEPS)
        for name, rule in _OF_BASE.items():
            check(name, base[name], rule)
        base["callback_manager"] = base["callback_manager"] or Settings.callback_manager
        super().__init__(**base)
        self.engine = engine
        self.transformations = list(transformations or ())
        self._ledger = Ledger(engine)
        self._changing = ThreadLock()

    def insert(self, document: Document, *, show_progress: bool = False) -> None:
        """Transform and index one more document.

        Raises:
            DuplicateDocumentError: It is indexed already; use :meth:`update_ref_doc`.
            InvalidDocumentError: It is no document.
        """
        with self.callback_manager.as_trace("insert"):
            self._add([document], show_progress=show_progress)

    def insert_nodes(self, nodes: Iterable[BaseNode], *, show_progress: bool = False) -> None:
        """Index more nodes, untransformed; all of them or, on error, none.

        Raises:
            DuplicateDocumentError: One is indexed already.
            InvalidDocumentError: One is no node.
        """
        with self.callback_manager.as_trace("insert_nodes"), self._changing:
            self.engine.add(self._stored(nodes, ()), show_progress=show_progress)

    def delete_ref_doc(self, ref_doc_id: str, *, raise_error: bool = True) -> None:
        """Delete a document: every indexed node that comes from it.

        Args:
            ref_doc_id: The document's id.
            raise_error: Whether a document that is not here is an error.

        Raises:
            UnknownDocumentError: There is no such document.
            InvalidInputError: The id is no text.
        """
        check("ref_doc_id", ref_doc_id, instance(str, "a str"))
        with self.callback_manager.as_trace("delete_ref_doc"), self._changing:
            gone = self._ledger.nodes_of([ref_doc_id])
            if not gone and raise_error:
                msg = f"no document has the id {ref_doc_id!r}; nothing was deleted"
                raise UnknownDocumentError(msg)
            self.engine.delete(gone)

    def delete_nodes(self, node_ids: Iterable[str]) -> None:
        """Delete indexed nodes; all of them or, on error, none.

        Raises:
            UnknownDocumentError: One is not here.
            InvalidInputError: They are no list of ids.
        """
        if isinstance(node_ids, Iterable) and not isinstance(node_ids, str):
            node_ids = list(node_ids)
        check("node_ids", node_ids, each(instance(str, "a str"), least=0))
        with self.callback_manager.as_trace("delete_nodes"), self._changing:
            self.engine.delete(node_ids)

    def update_ref_doc(self, document: Document, *, show_progress: bool = False) -> None:
        """Put a document in the place of the one that has its id, if any.

        A search sees the old text or the new one. Only where transformations cut documents can it see, for a
        moment, pieces of the old one that have no successor.

        Raises:
            InvalidDocumentError: It is no document.
        """
        with self.callback_manager.as_trace("update_ref_doc"):
            self._replace([document], show_progress)

    def refresh_ref_docs(self, documents: Iterable[Document], *, show_progress: bool = False) -> list[bool]:
        """Index the documents that are new or have changed, by LlamaIndex's hash of text and metadata.

        Returns:
            For each document, whether it was indexed.

        Raises:
            DuplicateDocumentError: Two of them have one id.
            InvalidDocumentError: One is no document.
        """
        with self.callback_manager.as_trace("refresh_ref_docs"), self._changing:
            given = list(checked(documents))
            known = self._ledger.hashes()
            stale = [known.get(document.node_id) != hash_of(document) for document in given]
            changed = [document for document, old in zip(given, stale, strict=True) if old]
            self._replace(changed, show_progress)
            return stale

    async def ainsert(self, document: Document, *, show_progress: bool = False) -> None:
        """Do as :meth:`insert` in a thread; the event loop goes on."""
        await asyncio.to_thread(self.insert, document, show_progress=show_progress)

    async def ainsert_nodes(self, nodes: Iterable[BaseNode], *, show_progress: bool = False) -> None:
        """Do as :meth:`insert_nodes` in a thread."""
        await asyncio.to_thread(self.insert_nodes, nodes, show_progress=show_progress)

    async def adelete_ref_doc(self, ref_doc_id: str, *, raise_error: bool = True) -> None:
        """Do as :meth:`delete_ref_doc` in a thread."""
        await asyncio.to_thread(self.delete_ref_doc, ref_doc_id, raise_error=raise_error)

    async def adelete_nodes(self, node_ids: Iterable[str]) -> None:
        """Do as :meth:`delete_nodes` in a thread."""
        await asyncio.to_thread(self.delete_nodes, node_ids)

    async def aupdate_ref_doc(self, document: Document, *, show_progress: bool = False) -> None:
        """Do as :meth:`update_ref_doc` in a thread."""
        await asyncio.to_thread(self.update_ref_doc, document, show_progress=show_progress)

    async def arefresh_ref_docs(
        self, documents: Iterable[Document], *, show_progress: bool = False
    ) -> list[bool]:
        """Do as :meth:`refresh_ref_docs` in a thread."""
        return await asyncio.to_thread(self.refresh_ref_docs, documents, show_progress=show_progress)

    def get_node(self, node_id: str) -> TextNode:
        """Return an indexed node, whole, as a text node.

        Raises:
            UnknownDocumentError: There is no such node.
            InvalidInputError: The id is no text.
        """
        check("node_id", node_id, instance(str, "a str"))
        return whole_node(self.engine.document(node_id))

    @property
    def ref_doc_ids(self) -> list[str]:
        """Ids of all documents, in order of addition."""
        with self._changing:
            return list(self._ledger.hashes())

    def _add(self, documents: Iterable[BaseNode], *, show_progress: bool) -> None:
        with self._changing:
            stored = self._stored(documents, self.transformations, show_progress=show_progress)
            self.engine.add(stored, show_progress=show_progress)

    def _replace(self, documents: Sequence[BaseNode], show_progress: bool) -> None:
        with self._changing:
            new = list(self._stored(documents, self.transformations, show_progress=show_progress))
            old = self._ledger.nodes_of(document.node_id for document in documents)
            kept = {document.id for document in new}
            gone = [node_id for node_id in old if node_id not in kept]
            self.engine.update(new, delete=gone, show_progress=show_progress)
            self._ledger.forget(kept)

    def _stored(
        self,
        nodes: Iterable[BaseNode],
        transformations: Sequence[TransformComponent],
        *,
        show_progress: bool = False,
    ) -> Iterator[StoredDocument]:
        """Yield what the engine indexes, and keep the objects that index nodes lead to."""
        for node, source in transform(nodes, transformations, show_progress):
            if isinstance(node, IndexNode) and node.obj is not None:
                self.object_map[node.index_id] = node.obj
            yield to_stored(node, source)
