"""What each part of the retriever is worth: variants that leave one out or change it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.config import Mode, ScoringName
from s3_retriever.encode.artifact import Artifact
from s3_retriever.evaluation.hosts import AskedOnceHost
from s3_retriever.evaluation.methods import Built, Corpus, Method, System, searcher
from s3_retriever.evaluation.rivals.windows import RRF_K
from s3_retriever.index import Index
from s3_retriever.retriever import S3Retriever
from s3_retriever.search.density import Float32
from s3_retriever.search.rank import Fuse
from s3_retriever.search.scoring import Scoring
from s3_retriever.training.density import TEMPERATURE

REFERENCE = "s3"
"""What the variants are compared with: S3 without BM25, as shipped."""

_FEATURES = (8, 16, 32, 64, 192)
_KEPT = (2, 4)  # features per key
_Z_WEIGHT = 0.25  # of BM25 in the sum of z-scores


@dataclass(frozen=True, eq=False)
class Variant:
    """A retriever that differs from the one that ships.

    Attributes:
        name: What is different.
        artifact: With the taps and SAEs of the index.
        mode: Of the retriever.
        scoring: Of the retriever.
        fuse: Joins the densities in mode "hybrid".
        rarity: Whether a question's rare tokens count more than common ones.
    """

    name: str
    artifact: Artifact
    mode: Mode = "s3"
    scoring: ScoringName = "attention"
    fuse: Fuse = np.add
    rarity: bool = True


class VariantSystem:
    """Variants that search one index.

    Args:
        artifact: Whose taps and SAEs make the index.
        variants: At least one.
    """

    budget: int | None = None

    def __init__(self, artifact: Artifact, variants: Sequence[Variant]) -> None:
        self.methods = tuple(Method(variant.name) for variant in variants)
        self._artifact, self._variants = artifact, variants

    def build(self, corpus: Corpus) -> Built:
        """Scan and index once."""
        base = S3Retriever.from_documents(
            corpus.documents, host=AskedOnceHost(corpus.host), artifact=self._artifact
        )
        return searcher(
            base, {one.name: (_variant(base, one), one.mode, one.scoring) for one in self._variants}
        )


def _variant(base: S3Retriever, variant: Variant) -> S3Retriever:
    """Return a retriever over the index of another one."""
    scoring = Scoring.from_json(variant.artifact.scoring)
    ranker = replace(base.ranker, scoring=scoring, rarity=variant.rarity, fuse=variant.fuse)
    index = Index(base.index.layout, {})  # it belongs to the variant
    index.snapshot = base.index.snapshot
    return S3Retriever(
        host=base.host, artifact=variant.artifact, index=index, config=base.config, ranker=ranker
    )


def make_ablations(artifact: Artifact) -> list[System]:
    """Return the variants of an artifact that need no training: heads, scales, features, scoring, fusion."""
    scoring = Scoring.from_json(artifact.scoring)
    same_index = [
        Variant(REFERENCE, artifact),
        Variant("published scoring", artifact, scoring="paper"),
        *_heads(artifact, scoring),
        *_scales(artifact, scoring),
        *(
            Variant(f"{n} features looked up", _scored(artifact, replace(scoring, n_features=n)))
            for n in _FEATURES
        ),
        Variant("all question tokens alike", artifact, rarity=False),
        Variant("fusion: sum (hybrid)", artifact, mode="hybrid"),
        Variant("fusion: reciprocal ranks", artifact, mode="hybrid", fuse=fuse_ranks),
        Variant("fusion: z-scores", artifact, mode="hybrid", fuse=fuse_z_scores),
        Variant("BM25 alone", artifact, mode="bm25"),
    ]
    systems: list[System] = [VariantSystem(artifact, same_index)]
    for k in _KEPT:
        if any(k < codec.sae.k for codec in artifact.codecs):
            fewer = _with_k(artifact, k)
            systems.append(VariantSystem(fewer, [Variant(f"{k} features per key", fewer)]))
    return systems


def fuse_ranks(s3: Float32, bm25: Float32) -> Float32:
    """Add 1 / (60 + rank) of both, ranks from 1 (Cormack, Clarke and Büttcher, SIGIR 2009)."""
    total = np.zeros(len(s3), np.float32)
    for density in (s3, bm25):
        order = np.argsort(-density, kind="stable")
        total[order] += (1 / (RRF_K + np.arange(1, len(order) + 1))).astype(np.float32)
    return total


def fuse_z_scores(s3: Float32, bm25: Float32) -> Float32:
    """Add both in standard deviations from their means, BM25 with a weight of 0.25."""
    parts = [(side - side.mean()) / (side.std() or np.float32(1)) for side in (s3, bm25)]
    fused: Float32 = parts[0] + np.float32(_Z_WEIGHT) * parts[1]
    return fused


def _heads(artifact: Artifact, scoring: Scoring) -> list[Variant]:
    """Return each head alone, all of them with one weight, and all of them as before calibration."""
    alone = [
        Variant(
            f"head {query.head.layer}.{query.head.head} alone",
            replace(
                artifact,
                queries=(query,),
                scoring=replace(scoring, head_weights=(scoring.head_weights[number],)).to_json(),
            ),
        )
        for number, query in enumerate(artifact.queries)
    ]
    ones = tuple(tuple(1.0 for _ in weights) for weights in scoring.head_weights)
    equal = replace(scoring, head_weights=ones)
    plain = TEMPERATURE * np.eye(artifact.queries[0].map.shape[0], dtype=np.float32)
    unlearned = tuple(replace(query, map=plain) for query in artifact.queries)
    return [
        *alone,
        Variant("all heads, equal weights", _scored(artifact, equal)),
        Variant("all heads, no learned maps", replace(artifact, queries=unlearned, scoring=equal.to_json())),
    ]


def _scales(artifact: Artifact, scoring: Scoring) -> list[Variant]:
    """Return each scale alone."""
    return [
        Variant(
            f"scale {'document' if math.isinf(scale.sigma) else f'{scale.sigma:g}'} alone",
            _scored(
                artifact,
                replace(
                    scoring,
                    scales=(scale,),
                    head_weights=tuple((weights[number],) for weights in scoring.head_weights),
                ),
            ),
        )
        for number, scale in enumerate(scoring.scales)
    ]


def _scored(artifact: Artifact, scoring: Scoring) -> Artifact:
    return replace(artifact, scoring=scoring.to_json())


def _with_k(artifact: Artifact, k: int) -> Artifact:
    codecs = tuple(replace(codec, sae=replace(codec.sae, k=min(k, codec.sae.k))) for codec in artifact.codecs)
    return replace(artifact, codecs=codecs)
