"""LlamaIndex nodes as documents of s3_retriever, and spans as nodes.

What a node has besides its id, text and metadata (relationships, exclusion lists, templates) is kept as one
string in the stored document's metadata, so that it is added, deleted and saved together with the text.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from llama_index.core.schema import (
    BaseNode,
    Document,
    IndexNode,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)

from s3_retriever import Document as StoredDocument
from s3_retriever import InvalidDocumentError, Span
from s3_retriever.integration import content_id

RECORD_KEY = "_llama_index"
"""The metadata key that holds a node's record; taken out of what is handed back."""

_UNSAID = ("kind", "lines")  # of a passage's structure: for programs, not for prompts

_KEPT = (
    "excluded_embed_metadata_keys",
    "excluded_llm_metadata_keys",
    "metadata_template",
    "metadata_separator",
    "text_template",
    "mimetype",
    "index_id",
)


class Source(NamedTuple):
    """The LlamaIndex document that an indexed node comes from.

    Attributes:
        ref_doc_id: Its id; the node's own where it comes from nothing else.
        hash: LlamaIndex's hash of it when it was indexed; None where nobody knows.
    """

    ref_doc_id: str
    hash: str | None


def hash_of(node: BaseNode) -> str:
    """Return LlamaIndex's hash of a node; one of ours where the text or metadata holds a lone surrogate.

    LlamaIndex cannot hash these (0.14), and extractors of PDF text write them.
    """
    try:
        return node.hash
    except UnicodeEncodeError:
        metadata = json.dumps(node.metadata, sort_keys=True, default=str)
        return content_id(f"{node.get_content(metadata_mode=MetadataMode.NONE)}\0{metadata}")


def source_of(node: BaseNode) -> Source:
    """Return where a node comes from, by its relationships. A :class:`Document` is its own source."""
    source = None if isinstance(node, Document) else node.source_node
    return Source(node.node_id, hash_of(node)) if source is None else Source(source.node_id, source.hash)


def to_stored(node: BaseNode, source: Source) -> StoredDocument:
    """Return a node as it is indexed: its bare text, without metadata, so that offsets stay true.

    Raises:
        InvalidDocumentError: Its metadata has the key that is reserved here.
    """
    if RECORD_KEY in node.metadata:
        msg = f"node {node.node_id!r}: the metadata key {RECORD_KEY!r} is reserved; rename it"
        raise InvalidDocumentError(msg)
    relationships = {
        kind.value: _dump(related)
        for kind, related in node.relationships.items()
        if not (kind == NodeRelationship.SOURCE and isinstance(node, Document))
    }
    record = {
        "source": source,
        "type": node.get_type(),
        "start": getattr(node, "start_char_idx", None),
        "relationships": relationships,
        "fields": {name: getattr(node, name) for name in _KEPT if hasattr(node, name)},
    }
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    metadata = {**node.metadata, RECORD_KEY: json.dumps(record)}
    return StoredDocument(node.node_id, text, metadata=metadata)


def stored_source(document: StoredDocument) -> Source:
    """Return where an indexed node comes from; one that was not indexed by LlamaIndex is its own source."""
    record = document.metadata.get(RECORD_KEY)
    return Source(document.id, None) if record is None else Source(*json.loads(record)["source"])


def to_node(span: Span) -> NodeWithScore:
    """Return a span as a new node that shares nothing with any other.

    Offsets count in the source document; None if the node's place there is unknown. The metadata says what
    the passage is and, counted from 1, on which pages it stands (``page``, ``pages``), under keys that the
    node's own does not have: see :attr:`s3_retriever.Span.structure`. Of these, a prompt is given the pages,
    the heading path and the header. ``also_in`` has where the passage stands elsewhere too, in the ids and
    offsets of the engine.
    """
    passage = _Passage(span.id, span.doc_id, span.text, span.start, span.end)
    node = _node(passage, {**span.places, **span.metadata})
    ours = {key: value for key, value in span.structure.items() if key not in node.metadata}
    node.metadata.update(ours)
    for hidden in (node.excluded_llm_metadata_keys, node.excluded_embed_metadata_keys):
        hidden.extend(key for key in _UNSAID if key in ours)
    return NodeWithScore(node=node, score=span.score)


def whole_node(document: StoredDocument) -> TextNode:
    """Return an indexed node as it was given, as a text node."""
    passage = _Passage(document.id, document.id, document.text, 0, len(document.text))
    return _node(passage, document.metadata)


class _Passage(NamedTuple):
    """A piece of an indexed node: its own id, the node's, its text and where it lies in the node's."""

    id: str
    indexed_id: str
    text: str
    start: int
    end: int


def _node(passage: _Passage, stored_metadata: Mapping[str, Any]) -> TextNode:
    metadata = copy.deepcopy(dict(stored_metadata))
    record = json.loads(metadata.pop(RECORD_KEY, "{}"))
    relationships = dict(record.get("relationships", {}))
    has_source = NodeRelationship.SOURCE.value in relationships
    if not has_source:
        relationships[NodeRelationship.SOURCE.value] = RelatedNodeInfo(
            node_id=passage.indexed_id,
            node_type=record.get("type", ObjectType.DOCUMENT),
            metadata=copy.deepcopy(metadata),
            hash=record["source"][1] if record else None,
        )
    offset = record.get("start") if has_source else 0
    fields = record.get("fields", {})
    kind: type[TextNode] = IndexNode if "index_id" in fields else TextNode
    return kind(
        id_=passage.id,
        text=passage.text,
        metadata=metadata,
        relationships=relationships,
        start_char_idx=None if offset is None else offset + passage.start,
        end_char_idx=None if offset is None else offset + passage.end,
        **fields,
    )


def _dump(related: RelatedNodeInfo | list[RelatedNodeInfo]) -> Any:
    if isinstance(related, list):
        return [one.model_dump(mode="json") for one in related]
    return related.model_dump(mode="json")
