"""From a host to an artifact in two steps, each of which gives one that works.

:func:`train_artifact` trains an SAE per tap; queries meet keys unchanged, with the constants below.
:func:`calibrate_artifact` learns from question/evidence pairs, on dense keys: learning on the keys as the
SAEs reconstruct them was tried, and came out worse on text of other kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.features.artifact import PROBE_TEXT, Artifact, Probe, QueryCodec, TapCodec
from s3_retriever.features.bank import fill_bank
from s3_retriever.features.calibrate import CalibrateConfig, calibrate
from s3_retriever.features.heads import TEMPERATURE, HeadChoice, choose_heads
from s3_retriever.features.pairs import Pair, held_out
from s3_retriever.features.queries import ask, tap_of
from s3_retriever.features.sae import Floats, center_and_normalize
from s3_retriever.features.train import TrainConfig, train_sae
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, ScannedPiece, scan
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.search.density import Scale
from s3_retriever.search.scoring import Scoring

_SCALES = (Scale(1.0), Scale(4.0), Scale(12.0))
_HEAD_WEIGHT = 0.1
_BM25 = {0.5: 0.05, 2.0: 0.05, 6.0: 0.05}


def find_heads(
    host: Host,
    documents: Iterable[Document],
    pairs: Sequence[Pair],
    *,
    max_layer: int,
    n_taps: int,
    n_heads: int,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> HeadChoice:
    """Choose query heads of the layers 0 to ``max_layer``.

    Raises:
        InvalidInputError: ``max_layer`` is not a layer, there are no pairs, or no head finds anything.
    """
    if not 0 <= max_layer < host.n_layers:
        msg = f"max_layer must be between 0 and {host.n_layers - 1}, not {max_layer}"
        raise InvalidInputError(msg)
    layers = [layer for layer in host.attention_layers if layer <= max_layer]
    heads = [QueryHead(layer, head) for layer in layers for head in range(host.n_query_heads)]
    bank = fill_bank(host, documents, pairs, heads, scan_config=scan_config, progress=progress)
    return choose_heads(bank, bank.examples, n_taps=n_taps, n_heads=n_heads)


def train_artifact(
    host: Host,
    name: str,
    heads: Sequence[QueryHead],
    texts: Iterable[Document],
    questions: Sequence[str],
    *,
    config: TrainConfig | None = None,
    max_tokens: int = 500_000,
    provenance: Mapping[str, Any] | None = None,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> Artifact:
    """Train an SAE for each tap that the query heads ask.

    Args:
        host: The host.
        name: Name of the artifact.
        heads: Query heads.
        texts: Text like that to be indexed; read until ``max_tokens``.
        questions: Typical questions, for the mean query of each head.
        config: Settings of the SAEs.
        max_tokens: Tokens to train on.
        provenance: How the artifact is made, JSON-able.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        progress: Show progress bars.

    Raises:
        InvalidInputError: A head is not in the host, or the texts or questions are too few.
    """
    config = config or TrainConfig()
    host.project([], heads=heads)  # refuses a head that is not there now, not after the scan
    taps = sorted({tap_of(host, head) for head in heads})
    keys = _keys(host, scan(texts, host, taps, scan_config, progress=progress), taps, max_tokens)
    if len(keys) < 10 * config.n_features or not questions:
        msg = (
            f"{len(keys)} tokens of text and {len(questions)} questions are too few to train "
            f"{config.n_features} features: give at least {10 * config.n_features} tokens and a question"
        )
        raise InvalidInputError(msg)
    codecs = []
    for t, tap in enumerate(taps):
        mean: Floats = keys[:, t].mean(axis=0, dtype=np.float64).astype(np.float32)
        sae, report = train_sae(center_and_normalize(keys[:, t], mean), config, progress=progress)
        codecs.append(TapCodec(tap, mean, sae, report.held_out))
    means = np.concatenate([ask(host, question, heads)[0] for question in questions]).mean(axis=0)
    unlearned = np.float32(TEMPERATURE) * np.eye(host.head_dim, dtype=np.float32)
    scoring = Scoring(_SCALES, tuple(len(_SCALES) * (_HEAD_WEIGHT,) for _ in heads), _BM25)
    trained = Artifact(
        name=name,
        host=host.identity,
        codecs=tuple(codecs),
        queries=tuple(
            QueryCodec(head, tap_of(host, head), mean, unlearned)
            for head, mean in zip(heads, means, strict=True)
        ),
        probe=Probe(host.keys([host.encode(PROBE_TEXT).ids], taps)[0].astype(np.float16)),
        scoring=scoring.to_json(),
        provenance=dict(provenance or {}),
    )
    return trained.as_stored()


def calibrate_artifact(
    host: Host,
    artifact: Artifact,
    documents: Iterable[Document],
    pairs: Sequence[Pair],
    *,
    config: CalibrateConfig | None = None,
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> Artifact:
    """Learn the maps, the mean queries and the scoring constants of an artifact from pairs.

    Args:
        host: The artifact's host.
        artifact: Where to start; its SAEs stay.
        documents: The corpus of the pairs.
        pairs: Questions with their evidence.
        config: Settings.
        name: Name of the new artifact; that of ``artifact`` if None.
        provenance: Added to the artifact's.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        progress: Show progress bars.

    Raises:
        InvalidInputError: There are no pairs, or a pair's document is missing.
        ArtifactError: The artifact belongs to another host.
    """
    probe = host.keys([host.encode(artifact.probe.text).ids], artifact.taps)[0]
    artifact.check_host(host.identity, probe)
    bank = fill_bank(
        host,
        documents,
        pairs,
        artifact.query_heads,
        key_means={codec.tap: codec.mean for codec in artifact.codecs},
        scan_config=scan_config,
        progress=progress,
    )
    config = config or CalibrateConfig()
    kept, _ = held_out(pairs, config.held_out, config.seed)
    known = set(kept or pairs)  # with a single document, all are learned from
    learn = [example for pair, example in zip(pairs, bank.examples, strict=True) if pair in known]
    rest = [example for pair, example in zip(pairs, bank.examples, strict=True) if pair not in known]
    learned = calibrate(bank, learn, config, held_out=rest, progress=progress)
    queries = tuple(
        replace(codec, mean=mean, map=map_)
        for codec, mean, map_ in zip(artifact.queries, bank.query_means, learned.maps, strict=True)
    )
    made = dict(provenance or {})
    losses = {"losses": list(learned.losses), "held_out_losses": list(learned.held_out or ())}
    made["calibrate"] = {**made.get("calibrate", {}), **losses}
    calibrated = replace(
        artifact,
        name=name or artifact.name,
        queries=queries,
        scoring=learned.scoring.to_json(),
        provenance={**artifact.provenance, **made},
    )
    return calibrated.as_stored()


def _keys(
    host: Host, scanned: Iterable[ScannedPiece], taps: Sequence[Tap], max_tokens: int
) -> npt.NDArray[np.float16]:
    """Return raw keys, (n, T, d), of the first ``max_tokens`` tokens."""
    pieces, n = [], 0
    for piece in scanned:
        pieces.append(piece.keys.astype(np.float16))
        n += len(piece.keys)
        if n >= max_tokens:
            break
    empty = np.zeros((0, len(taps), host.head_dim), np.float16)
    return np.concatenate([empty, *pieces])[:max_tokens]
