"""Which layer of a host attends to the answer: ``python -m s3_retriever.evaluation.rivals.reading_layers``.

For InfiniRetri, which reads the last one unless it is told another. It asks the pairs that come with this
package, never the questions of an evaluation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from statistics import fmean

import numpy as np
from tqdm import tqdm

from s3_retriever.documents import Document
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.methods import Corpus
from s3_retriever.evaluation.metrics import Region, evidence_recall
from s3_retriever.evaluation.rivals.attention import AttentionReader
from s3_retriever.evaluation.rivals.infiniretri import (
    AskingPrompt,
    InfiniRetriConfig,
    best_sentences,
    cut_sentences,
)
from s3_retriever.host.model import Host
from s3_retriever.training.pairs import Pair, shipped_pairs

_CHARS = 6000  # of a document, around the evidence: about what a chunk and a budget have together


def recall_by_layer(
    host: Host, documents: Sequence[Document], pairs: Sequence[Pair], budget: int = 256, seed: int = 0
) -> dict[int, float]:
    """Return by layer how much of the evidence the sentences hold to which the question attends most.

    Args:
        host: The host.
        documents: With the evidence.
        pairs: Questions; those whose evidence is scattered over more than a passage are passed over.
        budget: Tokens to return of a passage.
        seed: Of where in its passage the evidence stands.
    """
    texts = {document.id: document.text for document in documents}
    layers = host.attention_layers
    reader = AttentionReader(host, layers)
    rng = np.random.default_rng(seed)
    found: dict[int, list[float]] = {layer: [] for layer in layers}
    for pair in tqdm(pairs, unit=" questions", disable=None, leave=False):
        first, last = min(start for start, _ in pair.evidence), max(end for _, end in pair.evidence)
        if last - first > _CHARS:
            continue
        start = max(0, first - int(rng.integers(_CHARS - (last - first) + 1)))
        passage = Document(pair.doc_id, texts[pair.doc_id][start : start + _CHARS])
        gold = [Region(pair.doc_id, a - start, b - start) for a, b in pair.evidence]
        read = cut_sentences(Corpus((passage,), host))
        received = AskingPrompt(host, pair.question).attention(reader, read)
        for layer, own in zip(layers, received, strict=True):
            chosen = best_sentences(read, own, InfiniRetriConfig().phrase, budget)
            found[layer].append(evidence_recall([one.region for one in chosen], gold))
    return {layer: fmean(values) for layer, values in found.items()}


def main(arguments: list[str] | None = None) -> int:
    """Write each layer's recall on the shipped pairs; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation.rivals.reading_layers",
        description="Evidence recall of InfiniRetri within 256 tokens of a passage, by the layer it reads.",
    )
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")
    parser.add_argument("--questions", type=int, default=60, metavar="N", help="shipped pairs (default: 60)")
    options = parser.parse_args(arguments)
    documents, pairs = shipped_pairs()
    some = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(options.questions, len(pairs))).astype(int)]
    try:
        recalls = recall_by_layer(Host.load(options.host), documents, some)
    except S3RetrieverError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for layer, recall in recalls.items():
        sys.stdout.write(f"{layer}\t{recall:.3f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
