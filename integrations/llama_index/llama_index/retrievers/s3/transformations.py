"""Transformations of documents before they are indexed: run, given ids that stay, saved and read back."""

from __future__ import annotations

import importlib
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, RelatedNodeInfo, TransformComponent

from llama_index.retrievers.s3.nodes import Source, source_of
from s3_retriever import InvalidDocumentError, InvalidInputError
from s3_retriever.integration import each, instance, optional, refuse_single

STEPS = optional(each(instance(TransformComponent, "a TransformComponent"), least=0))
"""What transformations have to be."""


def transform(
    documents: Iterable[Any], transformations: Sequence[TransformComponent], show_progress: bool
) -> Iterator[tuple[BaseNode, Source]]:
    """Yield the nodes to index with the documents they come from; lazily where nothing is transformed.

    Raises:
        InvalidDocumentError: An item is no LlamaIndex document or node, or one that LlamaIndex cannot hash.
    """
    given = checked(documents)
    if not transformations:
        for node in given:
            yield node, source_of(node)
        return
    inputs = list(given)
    # Before they run: a transformation may change its input.
    sources = {node.node_id: source_of(node) for node in inputs}
    try:
        made = run_transformations(inputs, transformations, show_progress=show_progress)
    except UnicodeEncodeError as error:
        broken = next((node.node_id for node in inputs if not _is_text(node)), None)
        msg = (
            f"document {broken!r} holds half a character ({error.object[error.start : error.end]!a}), which "
            "transformations of LlamaIndex cannot hash; replace it in the text, or leave transformations out"
        )
        raise InvalidDocumentError(msg) from error
    for node in with_stable_ids(made, sources):
        own = source_of(node)
        yield node, sources.get(node.node_id) or sources.get(own.ref_doc_id) or own


def checked(documents: Iterable[Any]) -> Iterator[BaseNode]:
    """Pass documents on, lazily.

    Raises:
        InvalidDocumentError: An item is no LlamaIndex document or node.
    """
    refuse_single(documents, (str, BaseNode, Mapping))
    for position, item in enumerate(documents):
        if not isinstance(item, BaseNode):
            msg = (
                f"document {position} is a {type(item).__name__}; expected a LlamaIndex document or node, "
                "such as Document(text=...)"
            )
            raise InvalidDocumentError(msg)
        yield item


def with_stable_ids(nodes: Iterable[BaseNode], given: Iterable[str] = ()) -> list[BaseNode]:
    """Replace random ids by ``"{id of the source}#{number}"``, so that indexing twice gives the same ids.

    Relationships follow. Ids in ``given``, ids that are no random UUID, and those of nodes without a source
    stay as they are.
    """
    nodes, known = list(nodes), set(given)
    numbers: Counter[str] = Counter()
    names: dict[str, str] = {}
    for node in nodes:
        source = node.ref_doc_id
        if source is not None and node.node_id not in known and _is_random(node.node_id):
            names[node.node_id] = f"{source}#{numbers[source]}"
            numbers[source] += 1
    return [_renamed(node, names) for node in nodes]


def to_json(transformation: TransformComponent) -> dict[str, Any] | None:
    """Return what :func:`from_json` needs, or None where it could not make an equal one from JSON.

    Functions inside a transformation (a tokenizer, say) are not part of what LlamaIndex serialises.
    """
    kind = type(transformation)
    fields = {
        name: value
        for name, value in transformation.to_dict().items()
        if name in kind.model_fields and not callable(getattr(transformation, name))
    }
    saved = {"class": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}
    try:
        same = from_json(saved).to_dict() == transformation.to_dict()
    except InvalidInputError:
        return None
    return saved if same else None


def from_json(saved: Mapping[str, Any]) -> TransformComponent:
    """Make the transformation that :func:`to_json` described.

    What was saved may come from anyone and must not choose code to run: only modules of ``llama_index.core``
    are imported for it, all others have to be imported already.

    Raises:
        InvalidInputError: Its class was not found, is no transformation, or refuses the values.
    """
    try:
        return _class(str(saved["class"]))(**saved["fields"])
    except (ImportError, KeyError, TypeError, ValueError) as error:
        name = saved.get("class") if isinstance(saved, Mapping) else saved
        msg = f"the transformation {name} cannot be made again ({error}); give transformations="
        raise InvalidInputError(msg) from error


def _class(name: str) -> type[TransformComponent]:
    module, _, attribute = name.partition(":")
    if module not in sys.modules:
        # Not all of llama_index: that is a namespace, to which a folder of the working directory may belong.
        if not re.fullmatch(r"llama_index\.core(\.\w+)+", module):
            msg = f"import {module} first; a file does not choose what is imported"
            raise ImportError(msg)
        importlib.import_module(module)
    kind = vars(sys.modules[module]).get(attribute)  # getattr could import more, in modules that are lazy
    if not (isinstance(kind, type) and issubclass(kind, TransformComponent)):
        msg = f"{name} is no transformation"
        raise TypeError(msg)
    if issubclass(kind, BaseEmbedding):
        msg = f"{attribute} is an embedding model, whose settings may name code to trust"
        raise TypeError(msg)
    return kind


def _is_text(node: BaseNode) -> bool:
    """Whether LlamaIndex can hash a node: nothing in it is half of a surrogate pair."""
    try:
        return bool(node.hash)
    except UnicodeEncodeError:
        return False


def _is_random(node_id: str) -> bool:
    try:
        return uuid.UUID(node_id).version == 4
    except ValueError:
        return False


def _renamed(node: BaseNode, names: Mapping[str, str]) -> BaseNode:
    """Return a copy with other ids: the transformation may have handed out nodes that somebody else holds."""

    def follow(related: RelatedNodeInfo) -> RelatedNodeInfo:
        return related.model_copy(update={"node_id": names.get(related.node_id, related.node_id)})

    relationships = {
        kind: [follow(one) for one in related] if isinstance(related, list) else follow(related)
        for kind, related in node.relationships.items()
    }
    new = {"id_": names.get(node.node_id, node.node_id), "relationships": relationships}
    return node.model_copy(update=new)
