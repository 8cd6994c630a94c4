#!/usr/bin/env bash
# LlamaIndex's QueryFusionRetriever writes its scores into the results of the retrievers that it fuses.
#
# Seen with llama-index-core 0.14.25 on Python 3.11. The modes reciprocal_rerank, relative_score and dist_based_score set the
# score of each NodeWithScore that a retriever has returned, and reciprocal_rerank and the others rank by these scores. So a
# retriever that keeps its results, say in a cache by query, is asked the same question again and hands on the scores of the
# fusion as its own. The fusion then fuses its own scores: the second answer to one question is not the first, in score, in
# order, and here in what is at the top. The kept results are no longer in the order of their scores, and what
# reads them beside the fusion, such as a cutoff by score, sees small numbers that are no similarities. Mode simple writes
# only the greater score of what two have found. Way out: a retriever that keeps results returns copies,
# [one.model_copy() for one in kept].
#
# Output seen:
#   relative_score, kept: n0 0.5, n2 0.5, n1 0.1, n3 0.0
#   relative_score, kept, asked again: n2 1.0, n0 0.5, n1 0.0, n3 0.0
#   relative_score, kept, results of the first retriever: n0 0.5, n1 0.0, n2 1.0
#   relative_score, copied: n0 0.5, n2 0.5, n1 0.1, n3 0.0
#   relative_score, copied, asked again: n0 0.5, n2 0.5, n1 0.1, n3 0.0
#   relative_score, copied, results of the first retriever: n0 0.9, n1 0.5, n2 0.4
#   order, asked twice: reciprocal_rerank differs, dist_based_score differs, simple the same
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'llama-index-core==0.14.25'
cat > "$folder/run.py" <<'PY'
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import NodeWithScore, TextNode

QUESTION = "When is the lamp lit?"
NODES = [TextNode(text=f"passage {i}", id_=f"n{i}") for i in range(4)]


class Keeping(BaseRetriever):
    """Finds once for each question, and keeps what it found."""

    def __init__(self, scores, copies):
        super().__init__()
        self.scores, self.copies, self.kept = scores, copies, {}

    def _retrieve(self, query_bundle):
        question = query_bundle.query_str
        if question not in self.kept:
            self.kept[question] = [NodeWithScore(node=NODES[i], score=score) for i, score in self.scores.items()]
        found = self.kept[question]
        return [one.model_copy() for one in found] if self.copies else found


def make(mode, copies):
    parts = [Keeping({0: 0.9, 1: 0.5, 2: 0.4}, copies), Keeping({2: 12.0, 3: 9.0}, copies)]
    fusion = QueryFusionRetriever(
        parts, llm=MockLLM(), mode=mode, num_queries=1, similarity_top_k=4, use_async=False
    )
    return parts[0], fusion


def show(found):
    return ", ".join(f"{one.node_id} {one.score:.1f}" for one in found)


for name, copies in (("kept", False), ("copied", True)):
    first, fusion = make("relative_score", copies)
    print(f"relative_score, {name}: {show(fusion.retrieve(QUESTION))}")
    print(f"relative_score, {name}, asked again: {show(fusion.retrieve(QUESTION))}")
    print(f"relative_score, {name}, results of the first retriever: {show(first.retrieve(QUESTION))}")
verdicts = []
for mode in ("reciprocal_rerank", "dist_based_score", "simple"):
    fusion = make(mode, False)[1]
    orders = [[one.node_id for one in fusion.retrieve(QUESTION)] for _ in range(2)]
    verdicts.append(f"{mode} {'the same' if orders[0] == orders[1] else 'differs'}")
print(f"order, asked twice: {', '.join(verdicts)}")
PY
seen=$("$folder/venv/bin/python" "$folder/run.py" 2> "$folder/log") || { tail -5 "$folder/log"; exit 1; }
echo "$seen"
expected='relative_score, kept: n0 0.5, n2 0.5, n1 0.1, n3 0.0
relative_score, kept, asked again: n2 1.0, n0 0.5, n1 0.0, n3 0.0
relative_score, kept, results of the first retriever: n0 0.5, n1 0.0, n2 1.0
relative_score, copied: n0 0.5, n2 0.5, n1 0.1, n3 0.0
relative_score, copied, asked again: n0 0.5, n2 0.5, n1 0.1, n3 0.0
relative_score, copied, results of the first retriever: n0 0.9, n1 0.5, n2 0.4
order, asked twice: reciprocal_rerank differs, dist_based_score differs, simple the same'
[ "$seen" = "$expected" ]
