"""Ablations that trained features cannot show: dense keys of heads, centred and normalised or not.

Nothing here is learned: a head's score is the product of query and key, as when heads are chosen
(:mod:`s3_retriever.training.survey`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s3_retriever.encode.artifact import Artifact
from s3_retriever.encode.question import encode_question, tap_of
from s3_retriever.encode.sae import Floats
from s3_retriever.evaluation.methods import Built, Corpus, Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.host.model import Host
from s3_retriever.host.taps import QueryHead
from s3_retriever.index.layout import CELL
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import select_spans
from s3_retriever.structure import find_units
from s3_retriever.training.corpus import CellKeys
from s3_retriever.training.density import head_density
from s3_retriever.training.pairs import shipped_pairs

_TINY = 1e-6


@dataclass(frozen=True)
class DenseVariant:
    """Which heads are asked, and what is done to their queries and keys.

    Attributes:
        name: What is different.
        heads: The heads.
        centred: Whether the mean is taken from keys and from queries.
        normalised: Whether every key has length 1; otherwise all are scaled alike, to a mean length of 1.
    """

    name: str
    heads: tuple[QueryHead, ...]
    centred: bool = True
    normalised: bool = True


def dense_variants(artifact: Artifact, host: Host, seed: int = 0) -> list[DenseVariant]:
    """Return the variants: an artifact's heads, the best one, as many random ones, all of the same layers.

    Args:
        artifact: Whose heads are asked; the best one is that with the greatest weights.
        host: Its host.
        seed: Of the random heads, which are any of the layers up to the deepest.
    """
    own = artifact.query_heads
    weights = [sum(row) for row in artifact.scoring["head_weights"]]
    layers = sorted({head.layer for head in own})
    among = [layer for layer in host.attention_layers if layer <= layers[-1]]
    others = [head for layer in among for head in host.query_heads(layer)]
    others = [head for head in others if head not in own]
    drawn = np.random.default_rng(seed).permutation(len(others))[: len(own)]
    every = tuple(head for layer in layers for head in host.query_heads(layer))
    return [
        DenseVariant("dense keys, untrained", own),
        DenseVariant("dense, not centred", own, centred=False),
        DenseVariant("dense, not normalised", own, normalised=False),
        DenseVariant("dense, neither", own, centred=False, normalised=False),
        DenseVariant("dense, best head", (own[int(np.argmax(weights))],)),
        DenseVariant("dense, random heads", tuple(others[i] for i in drawn)),
        DenseVariant("dense, all heads of these layers", every),
    ]


class DenseSystem:
    """Searches dense keys, which takes a hundred times the space of an index.

    Args:
        variants: At least one.
    """

    budget: int | None = None

    def __init__(self, variants: Sequence[DenseVariant]) -> None:
        self.methods = tuple(Method(variant.name) for variant in variants)
        self._variants = {variant.name: variant for variant in variants}
        self._query_means: dict[QueryHead, Floats] = {}

    def build(self, corpus: Corpus) -> Built:
        """Scan and keep all keys."""
        heads = list(dict.fromkeys(head for one in self._variants.values() for head in one.heads))
        if not self._query_means:
            _, pairs = shipped_pairs()
            questions = [encode_question(corpus.host, pair.question, heads)[0] for pair in pairs]
            self._query_means = dict(zip(heads, np.concatenate(questions).mean(axis=0), strict=True))
        return _BuiltDense(corpus, self._variants, self._query_means)


class _BuiltDense:
    def __init__(
        self, corpus: Corpus, variants: dict[str, DenseVariant], query_means: dict[QueryHead, Floats]
    ) -> None:
        host = corpus.host
        self._host, self._variants, self._query_means = host, variants, query_means
        taps = tuple(sorted({tap_of(host, head) for head in query_means}))
        self._cells = CellKeys.read(host, corpus.documents, taps)
        used = {
            (tap_of(host, head), variant.centred, variant.normalised)
            for variant in variants.values()
            for head in variant.heads
        }
        raw, real = self._cells.keys, np.arange(CELL) < self._cells.tokens[:, None]
        self._keys = {
            (tap, centred, normalised): _prepare(raw[taps.index(tap)], real, centred, normalised)
            for tap, centred, normalised in used
        }
        self._last: tuple[str, str, Floats] | None = None
        self.nbytes: int | None = sum(keys.nbytes for keys in self._keys.values())

    def find(self, method: Method, question: str, budget: int) -> list[Region]:
        found = select_spans(
            self._density(self._variants[method.name], question),
            self._cells.document_cells,
            budget=budget,
            document=self._page,
            count_tokens=self._host.count_tokens,
        )
        return [Region(self._cells.documents[span.doc].id, span.start, span.end) for span in found]

    def _page(self, number: int) -> Page:
        document = self._cells.documents[number]
        units = find_units(document.text, document.pages)
        return Page(document.text, self._cells.starts[number].astype(np.uint32), units)

    def _density(self, variant: DenseVariant, question: str) -> Floats:
        """Return the sum of the heads' densities, float32 (C,); that of the last question is remembered."""
        if self._last is not None and self._last[:2] == (variant.name, question):
            return self._last[2]
        encoded = encode_question(self._host, question, variant.heads)
        queries, ids = encoded.queries, encoded.ids
        (weights,) = self._cells.token_weights([ids])
        tokens, document_cells = self._cells.tokens, self._cells.document_cells
        total = np.zeros(len(tokens), np.float32)
        for h, head in enumerate(variant.heads):
            asked = queries[:, h] - self._query_means[head] if variant.centred else queries[:, h]
            keys = self._keys[tap_of(self._host, head), variant.centred, variant.normalised]
            total += head_density(asked, keys, tokens, weights, document_cells)
        self._last = (variant.name, question, total)
        return total


def _prepare(
    raw: npt.NDArray[np.float16], real: npt.NDArray[np.bool_], centred: bool, normalised: bool
) -> npt.NDArray[np.float16]:
    """Return the keys of a tap as they are compared, (C, CELL, d); zero where a cell has no token."""
    keys = raw.astype(np.float32)
    if centred:
        keys -= keys[real].mean(axis=0)
    norms = np.linalg.norm(keys, axis=-1, keepdims=True)
    keys /= np.maximum(norms, _TINY) if normalised else norms[real].mean()
    return (keys * real[..., None]).astype(np.float16)
