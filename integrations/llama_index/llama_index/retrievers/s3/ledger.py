"""Which indexed nodes belong to which LlamaIndex document."""

from __future__ import annotations

from collections.abc import Iterable

from llama_index.retrievers.s3.nodes import Source, stored_source
from s3_retriever import Client
from s3_retriever import S3Retriever as Engine


class Ledger:
    """A view of the engine's documents by source, brought up to date whenever it is asked.

    Not safe to share between threads without a lock.
    """

    def __init__(self, engine: Engine | Client) -> None:
        self._engine = engine
        self._sources: dict[str, Source] = {}

    def nodes_of(self, ref_doc_ids: Iterable[str]) -> list[str]:
        """Return the ids of the indexed nodes that come from some documents, in order of addition."""
        wanted = set(ref_doc_ids)
        return [node_id for node_id, source in self._known().items() if source.ref_doc_id in wanted]

    def hashes(self) -> dict[str, str | None]:
        """Return the hash of every document when it was indexed, by its id."""
        return {source.ref_doc_id: source.hash for source in self._known().values()}

    def forget(self, node_ids: Iterable[str]) -> None:
        """Read these nodes again when next asked: they have been replaced."""
        for node_id in node_ids:
            self._sources.pop(node_id, None)

    def _known(self) -> dict[str, Source]:
        known = self._sources
        self._sources = {
            node_id: known.get(node_id) or stored_source(self._engine.document(node_id))
            for node_id in self._engine.document_ids
        }
        return self._sources
