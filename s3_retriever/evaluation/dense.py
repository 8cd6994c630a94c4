"""Ablations that trained features cannot show: dense keys of heads, centred and normalised or not.

Nothing here is learned: a head's score is the product of query and key, as when heads are chosen
(:mod:`s3_retriever.features.heads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.documents import Document
from s3_retriever.evaluation.methods import Built, Corpus, Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.features.artifact import Artifact
from s3_retriever.features.heads import TEMPERATURE
from s3_retriever.features.pairs import shipped_pairs
from s3_retriever.features.queries import ask, tap_of
from s3_retriever.features.sae import Floats
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.index.kernels import cell_frequencies
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import Scale, coactivation, mass_ratios, token_weights
from s3_retriever.search.spans import select_spans

_SCALES = (Scale(1.0), Scale(4.0), Scale(12.0))
_MAX_SCORE = 20.0
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
    others = [QueryHead(layer, head) for layer in among for head in range(host.n_query_heads)]
    others = [head for head in others if head not in own]
    drawn = np.random.default_rng(seed).permutation(len(others))[: len(own)]
    every = tuple(QueryHead(layer, head) for layer in layers for head in range(host.n_query_heads))
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
            questions = [ask(corpus.host, pair.question, heads)[0] for pair in pairs]
            self._query_means = dict(zip(heads, np.concatenate(questions).mean(axis=0), strict=True))
        return _BuiltDense(corpus, self._variants, self._query_means)


class _BuiltDense:
    def __init__(
        self, corpus: Corpus, variants: dict[str, DenseVariant], query_means: dict[QueryHead, Floats]
    ) -> None:
        host = corpus.host
        self._host, self._variants, self._query_means = host, variants, query_means
        self._documents = corpus.documents
        self._starts = [starts.astype(np.uint32) for starts in corpus.token_starts]
        lengths = np.array([len(starts) for starts in self._starts], np.int64)
        ids = [host.encode(document.text).ids for document in corpus.documents]
        self._ids, self._pointers = np.concatenate(ids).astype(np.uint32), np.append(0, np.cumsum(lengths))
        self._document_cells = np.append(0, np.cumsum(-(-lengths // CELL)))
        taps = tuple(sorted({tap_of(host, head) for head in query_means}))
        raw, self._tokens = _lay_out(corpus.documents, host, taps, self._document_cells, lengths)
        used = {
            (tap_of(host, head), variant.centred, variant.normalised)
            for variant in variants.values()
            for head in variant.heads
        }
        real = np.arange(CELL) < self._tokens[:, None]
        self._keys = {
            (tap, centred, normalised): _prepare(raw[taps.index(tap)], real, centred, normalised)
            for tap, centred, normalised in used
        }
        self._real = torch.from_numpy(real)
        self._last: tuple[str, str, Floats] | None = None
        self.nbytes: int | None = sum(keys.nbytes for keys in self._keys.values())

    def find(self, method: Method, question: str, budget: int) -> list[Region]:
        found = select_spans(
            self._density(self._variants[method.name], question),
            self._document_cells,
            budget=budget,
            document=lambda i: (self._documents[i].text, self._starts[i]),
            count_tokens=self._host.count_tokens,
        )
        return [Region(self._documents[span.doc].id, span.start, span.end) for span in found]

    def _density(self, variant: DenseVariant, question: str) -> Floats:
        """Return the sum of the heads' densities, float32 (C,); that of the last question is remembered."""
        if self._last is not None and self._last[:2] == (variant.name, question):
            return self._last[2]
        queries, _, ids = ask(self._host, question, variant.heads)
        frequencies = cell_frequencies(self._ids, self._pointers, np.arange(len(self._documents)), ids)
        weights = token_weights(frequencies, len(self._tokens))
        total = np.zeros(len(self._tokens), np.float32)
        for h, head in enumerate(variant.heads):
            asked = queries[:, h] - self._query_means[head] if variant.centred else queries[:, h]
            keys = self._keys[tap_of(self._host, head), variant.centred, variant.normalised]
            scores = (
                torch.from_numpy(TEMPERATURE * asked)
                @ torch.from_numpy(keys).float().view(-1, keys.shape[-1]).T
            )
            extra = torch.expm1(scores.clamp_(max=_MAX_SCORE)).view(len(asked), -1, CELL) * self._real
            ratios = mass_ratios(extra.sum(-1).numpy(), self._tokens)
            for scale in _SCALES:
                total += coactivation(ratios, weights, self._document_cells, scale)
        self._last = (variant.name, question, total)
        return total


def _lay_out(
    documents: Sequence[Document],
    host: Host,
    taps: Sequence[Tap],
    document_cells: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int32]]:
    """Scan; return raw keys in cells, float16 (T, C, CELL, d), and the tokens of each cell, int32 (C,)."""
    n_cells = int(document_cells[-1])
    keys = np.zeros((len(taps), n_cells * CELL, host.head_dim), np.float16)
    tokens = np.full(n_cells, CELL, np.int32)
    for first, length in zip(document_cells[1:], lengths, strict=True):
        if length % CELL:
            tokens[first - 1] = length % CELL
    doc, at = -1, 0
    for piece in scan(documents, host, taps, ScanConfig(), progress=False):
        if piece.first:
            doc += 1
            at = int(document_cells[doc]) * CELL
        keys[:, at : at + len(piece.starts)] = piece.keys.swapaxes(0, 1)
        at += len(piece.starts)
    return keys.reshape(len(taps), n_cells, CELL, host.head_dim), tokens


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
