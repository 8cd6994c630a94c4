"""From a host to an artifact, in one of several orders, each of which gives one that works.

:func:`train_artifact` trains an SAE per tap; queries meet keys unchanged, with the constants below.
:func:`calibrate_artifact` learns from question/evidence pairs, on dense keys: learning on the keys as the
SAEs reconstruct them was tried, and came out worse on text of other kinds. The other way round, a
:class:`~s3_retriever.features.calibration.Calibration` comes first, and :func:`train_calibration` or, on the
keys it was learned on, :func:`train_bank` gives it SAEs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.features.artifact import Artifact, TapCodec
from s3_retriever.features.bank import Bank, fill_bank
from s3_retriever.features.calibrate import CalibrateConfig
from s3_retriever.features.calibrate_host import learn, learned_report, query_codecs, read_probe
from s3_retriever.features.calibration import Calibration
from s3_retriever.features.epochs import Epoch
from s3_retriever.features.heads import TEMPERATURE
from s3_retriever.features.pairs import Pair
from s3_retriever.features.queries import ask, tap_of
from s3_retriever.features.querycodec import QueryCodec
from s3_retriever.features.sae import Floats
from s3_retriever.features.train import TrainConfig, train_sae
from s3_retriever.features.training_folder import TrainingFolder, train_taps
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import Scale
from s3_retriever.search.scoring import Scoring

_SCALES = (Scale(1.0), Scale(4.0), Scale(12.0))
_HEAD_WEIGHT = 0.1
_BM25 = {0.5: 0.05, 2.0: 0.05, 6.0: 0.05}


@dataclass(frozen=True)
class Training:
    """How SAEs are trained, whatever for.

    Attributes:
        config: Settings of every SAE.
        max_tokens: Tokens to train on.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        folder: Where keys and checkpoints are kept, so that an interrupted run goes on from there; they stay,
            and who no longer needs them deletes them. None keeps them in a temporary folder.
        source: What the texts are; a folder with keys of another one is refused.
        on_epoch: Called with the tap after each epoch.
        progress: Show progress bars.
    """

    config: TrainConfig = field(default_factory=TrainConfig)
    max_tokens: int = 500_000
    scan_config: ScanConfig | None = None
    folder: Path | None = None
    source: str = ""
    on_epoch: Callable[[Tap, Epoch], None] | None = None
    progress: bool = False


def train_artifact(
    host: Host,
    name: str,
    heads: Sequence[QueryHead],
    texts: Iterable[Document],
    questions: Sequence[str],
    training: Training | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Artifact:
    """Train an SAE for each tap that the query heads ask.

    Args:
        host: The host.
        name: Name of the artifact.
        heads: Query heads.
        texts: Text like that to be indexed; read until there are enough tokens.
        questions: Typical questions, for the mean query of each head.
        training: Settings.
        provenance: How the artifact is made, JSON-able.

    Raises:
        InvalidInputError: A head is not in the host, or the texts or questions are too few.
        CheckpointError: The folder of ``training`` belongs to another run.
    """
    if not questions:
        msg = "training needs a typical question at least, for the mean query of each head; got none"
        raise InvalidInputError(msg)
    host.project([], heads=heads)  # refuses a head that is not there now, not after the scan
    taps = sorted({tap_of(host, head) for head in heads})
    asked = np.concatenate([ask(host, question, heads)[0] for question in questions])
    means = asked.mean(axis=0)
    unlearned = np.float32(TEMPERATURE) * np.eye(host.head_dim, dtype=np.float32)
    queries = tuple(
        QueryCodec(head, tap_of(host, head), mean, unlearned) for head, mean in zip(heads, means, strict=True)
    )
    codecs = _train(host, taps, texts, None, tap_queries(queries, asked), training or Training())
    scoring = Scoring(_SCALES, tuple(len(_SCALES) * (_HEAD_WEIGHT,) for _ in heads), _BM25)
    trained = Artifact(
        name=name,
        host=host.identity,
        codecs=codecs,
        queries=queries,
        probe=read_probe(host, taps),
        scoring=scoring.to_json(),
        provenance=dict(provenance or {}),
    )
    return trained.as_stored()


def train_calibration(
    host: Host,
    name: str,
    calibration: Calibration,
    texts: Iterable[Document],
    questions: Sequence[str],
    training: Training | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Artifact:
    """Train an SAE for each tap of a calibration; takes what :func:`train_artifact` does.

    Raises:
        InvalidInputError: The texts are too few.
        ArtifactError: The calibration belongs to another host.
        CheckpointError: The folder of ``training`` belongs to another run.
    """
    probe = host.keys([host.encode(calibration.probe.text).ids], calibration.taps)[0]
    calibration.check_host(host.identity, probe)
    asked = np.concatenate([ask(host, question, calibration.query_heads)[0] for question in questions])
    means = dict(zip(calibration.taps, calibration.key_means, strict=True))
    queries = tap_queries(calibration.queries, asked)
    codecs = _train(host, calibration.taps, texts, means, queries, training or Training())
    return calibration.with_saes(name, codecs, provenance)


def train_bank(
    name: str,
    calibration: Calibration,
    bank: Bank,
    config: TrainConfig | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
    on_epoch: Callable[[Tap, Epoch], None] | None = None,
    progress: bool = False,
) -> Artifact:
    """Train an SAE for each tap of a calibration on the keys that it was learned on.

    Args:
        name: Name of the artifact.
        calibration: Learned on ``bank``.
        bank: Dense keys.
        config: Settings of the SAEs.
        provenance: Added to the calibration's.
        on_epoch: Called with the tap after each epoch.
        progress: Show progress bars.

    Raises:
        InvalidInputError: The bank has too few tokens.
    """
    config = config or TrainConfig()
    check_enough(int(bank.tokens.sum()), config)
    real = (np.arange(CELL) < bank.tokens[:, None]).reshape(-1)
    asked = np.concatenate([example.queries for example in bank.examples]) + bank.query_means
    queries = tap_queries(calibration.queries, asked)
    codecs = []
    for tap, mean, keys in zip(bank.taps, bank.key_means, bank.keys, strict=True):
        sae, report = train_sae(
            keys.reshape(len(real), -1)[real],
            config,
            queries=queries[tap],
            on_epoch=partial(on_epoch, tap) if on_epoch else None,
            progress=progress,
        )
        codecs.append(TapCodec(tap, mean, sae, report.held_out))
    return calibration.with_saes(name, tuple(codecs), provenance)


def tap_queries(codecs: Sequence[QueryCodec], asked: Floats) -> dict[Tap, Floats]:
    """Return the queries that meet each tap's keys, float32 (n, d), centred and mapped.

    Args:
        codecs: Query heads, H.
        asked: Their queries at tokens of questions, float32 (n, H, d).
    """
    found: dict[Tap, list[Floats]] = {}
    for h, codec in enumerate(codecs):
        mapped = np.matmul(asked[:, h] - codec.mean, codec.map, dtype=np.float32)
        found.setdefault(codec.tap, []).append(mapped)
    return {tap: np.concatenate(parts) for tap, parts in found.items()}


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
    learned = learn(bank, pairs, config or CalibrateConfig(), progress=progress)
    made = dict(provenance or {})
    made["calibrate"] = {**made.get("calibrate", {}), **learned_report(learned)}
    calibrated = replace(
        artifact,
        name=name or artifact.name,
        queries=query_codecs(bank, learned.maps),
        scoring=learned.scoring.to_json(),
        provenance={**artifact.provenance, **made},
    )
    return calibrated.as_stored()


def _train(
    host: Host,
    taps: Sequence[Tap],
    texts: Iterable[Document],
    means: Mapping[Tap, Floats] | None,
    queries: Mapping[Tap, Floats],
    training: Training,
) -> tuple[TapCodec, ...]:
    """Scan texts and train each tap's SAE on keys centred by the means given, or their own."""
    scan_config = training.scan_config or ScanConfig()
    scanned = scan(texts, host, taps, scan_config, progress=training.progress)
    settings = {"host": host.identity, "scan": asdict(scan_config), "source": training.source}
    with tempfile.TemporaryDirectory() as temporary:
        path = training.folder or Path(temporary)
        folder = TrainingFolder.collect(path, scanned, taps, training.max_tokens, settings)
        check_enough(folder.n_keys, training.config)
        trained = train_taps(
            folder,
            training.config,
            means=means,
            queries=queries,
            on_epoch=training.on_epoch,
            progress=training.progress,
        )
    return tuple(TapCodec(one.tap, one.mean, one.sae, one.report.held_out) for one in trained)


def check_enough(n_tokens: int, config: TrainConfig) -> None:
    """Refuse text that is too short to train on.

    Raises:
        InvalidInputError: There are fewer than ten tokens per feature.
    """
    if n_tokens < 10 * config.n_features:
        msg = (
            f"{n_tokens} tokens of text are too few to train {config.n_features} features: give at least "
            f"{10 * config.n_features} tokens"
        )
        raise InvalidInputError(msg)
