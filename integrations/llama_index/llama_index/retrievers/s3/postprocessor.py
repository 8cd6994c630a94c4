"""From spans back to the nodes they were cut from."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index.retrievers.s3.base import S3Retriever
from s3_retriever.integration import Uncopyable, check, instance

_SPAN_ID = re.compile(r"(.+):\d+-\d+", re.DOTALL)


class IndexedNodePostprocessor(Uncopyable, BaseNodePostprocessor):
    """Replaces spans by the nodes that were indexed, each once, with the score of its best span.

    For what compares the ids of nodes with those of an evaluation set, or wants whole chunks. Nodes that are
    no spans of the retriever (another retriever's, say) pass unchanged.

    Args:
        retriever: Where the spans come from.

    Raises:
        InvalidInputError: It is no :class:`S3Retriever`.
    """

    instead: ClassVar[str] = "threads may share it; in another process make one for its retriever"

    model_config = ConfigDict(extra="forbid")
    _retriever: S3Retriever = PrivateAttr()

    def __init__(self, retriever: S3Retriever, **fields: Any) -> None:
        check("retriever", retriever, instance(S3Retriever, "an S3Retriever"))
        super().__init__(**fields)
        self._retriever = retriever

    @classmethod
    def class_name(cls) -> str:
        """Return LlamaIndex's name of this component."""
        return "IndexedNodePostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        kept: dict[str, NodeWithScore] = {}
        for found in nodes:
            match = _SPAN_ID.fullmatch(found.node_id)
            if not match or match[1] not in self._retriever.engine:
                kept.setdefault(found.node_id, found)
            elif match[1] not in kept:
                node = self._retriever.get_node(match[1])
                kept[match[1]] = NodeWithScore(node=node, score=found.score)
            elif found.get_score() > kept[match[1]].get_score():
                kept[match[1]].score = found.score
        return list(kept.values())
