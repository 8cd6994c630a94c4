"""From a host to an artifact, in one of several orders.

:func:`train_artifact` trains an SAE per tap; queries meet keys unchanged, with fixed constants.
:func:`calibrate_artifact` then learns from question/evidence pairs, on dense keys. (Keys as the SAEs
reconstruct them were tried, and gave worse results on other kinds of text.) The other way round, a
:class:`~s3_retriever.encode.calibration.Calibration` comes first. :func:`train_calibration` gives it SAEs;
:func:`train_corpus` trains them on the keys that the calibration was learned on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_settings, instance, optional, whole
from s3_retriever.documents import Document
from s3_retriever.encode.artifact import Artifact, KeyCodec, QueryMap
from s3_retriever.encode.calibration import Calibration
from s3_retriever.encode.fingerprint import Fingerprint
from s3_retriever.encode.question import encode_question, tap_of
from s3_retriever.encode.sae import Floats, center_and_normalize
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.index.layout import CELL
from s3_retriever.search.scoring import Scoring
from s3_retriever.training.calibrate import CalibrateConfig, calibrate_heads
from s3_retriever.training.corpus import DenseCorpus
from s3_retriever.training.density import SCALES, TEMPERATURE
from s3_retriever.training.pairs import Pair
from s3_retriever.training.resume import TrainingFolder
from s3_retriever.training.sae_training import Epoch, TrainConfig, train_sae

_HEAD_WEIGHT = 0.1
_BM25 = {0.5: 0.05, 2.0: 0.05, 6.0: 0.05}


@dataclass(frozen=True)
class SAEOptions:
    """How SAEs are trained, for whatever purpose.

    Attributes:
        config: Settings of every SAE.
        max_tokens: Tokens to train on.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        folder: Where keys and checkpoints are kept, so that an interrupted run goes on from there. They stay
            after the run; the caller deletes them. None keeps them in a temporary folder.
        source: What the texts are; a folder with keys of another source is refused.
        on_epoch: Called with the tap after each epoch.
        show_progress: Show progress bars.

    Raises:
        InvalidInputError: A value is of another type or out of range.
    """

    config: TrainConfig = field(default_factory=TrainConfig)
    max_tokens: int = 500_000
    scan_config: ScanConfig | None = None
    folder: Path | None = None
    source: str = ""
    on_epoch: Callable[[Tap, Epoch], None] | None = None
    show_progress: bool = False

    def __post_init__(self) -> None:
        check_settings(
            self,
            config=instance(TrainConfig, "a TrainConfig"),
            max_tokens=whole(1),
            scan_config=optional(instance(ScanConfig, "a ScanConfig")),
            folder=optional(instance(Path, "a Path")),
            on_epoch=optional(instance(Callable, "a function")),
        )


def train_artifact(
    host: Host,
    name: str,
    heads: Sequence[QueryHead],
    texts: Iterable[Document],
    questions: Sequence[str],
    options: SAEOptions | None = None,
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
        options: How SAEs are trained.
        provenance: How the artifact is made, JSON-able.

    Raises:
        InvalidInputError: A head is not in the host, or the texts or questions are too few.
        CheckpointError: The folder of ``options`` belongs to another run.
    """
    if not questions:
        msg = "training needs a typical question at least, for the mean query of each head; got none"
        raise InvalidInputError(msg)
    host.project([], heads=heads)  # refuses a head that is not there now, not after the scan
    asked = _ask(host, questions, heads)
    unlearned = np.float32(TEMPERATURE) * np.eye(host.head_dim, dtype=np.float32)
    queries = tuple(
        QueryMap(head, tap_of(host, head), mean, unlearned)
        for head, mean in zip(heads, asked.mean(axis=0), strict=True)
    )
    taps = sorted({query.tap for query in queries})
    codecs = _train(host, taps, texts, {}, tap_queries(queries, asked), options or SAEOptions())
    scoring = Scoring(SCALES, tuple(len(SCALES) * (_HEAD_WEIGHT,) for _ in heads), _BM25)
    trained = Artifact(
        name=name,
        host=host.identity,
        codecs=codecs,
        queries=queries,
        fingerprint=Fingerprint.read(host, taps),
        scoring=scoring.to_json(),
        provenance=dict(provenance or {}),
    )
    return trained.quantized()


def train_calibration(
    host: Host,
    name: str,
    calibration: Calibration,
    texts: Iterable[Document],
    questions: Sequence[str],
    options: SAEOptions | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Artifact:
    """Train an SAE for each tap of a calibration; the arguments are those of :func:`train_artifact`.

    Raises:
        InvalidInputError: The texts are too few.
        ArtifactError: The calibration belongs to another host.
        CheckpointError: The folder of ``options`` belongs to another run.
    """
    calibration.check_host(host)
    queries = tap_queries(calibration.queries, _ask(host, questions, calibration.query_heads))
    means = calibration.key_means
    codecs = _train(host, calibration.taps, texts, means, queries, options or SAEOptions())
    return calibration.with_saes(name, codecs, provenance)


def train_corpus(
    name: str,
    calibration: Calibration,
    corpus: DenseCorpus,
    options: SAEOptions | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Artifact:
    """Train an SAE for each tap of a calibration on the keys that it was learned on.

    Args:
        name: Name of the artifact.
        calibration: Learned on ``corpus``.
        corpus: Dense keys.
        options: How SAEs are trained; no text is read and nothing kept in a folder.
        provenance: Added to the calibration's.

    Raises:
        InvalidInputError: The corpus has too few tokens.
    """
    options = options or SAEOptions()
    check_enough(int(corpus.tokens.sum()), options.config)
    real = (np.arange(CELL) < corpus.tokens[:, None]).reshape(-1)
    asked = np.concatenate([example.queries for example in corpus.examples]) + corpus.query_means
    queries = tap_queries(calibration.queries, asked)
    codecs = tuple(
        _codec(tap, mean, keys.reshape(len(real), -1)[real], queries[tap], options)
        for tap, mean, keys in zip(corpus.taps, corpus.key_means, corpus.keys, strict=True)
    )
    return calibration.with_saes(name, codecs, provenance)


def calibrate_artifact(
    host: Host,
    artifact: Artifact,
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    *,
    config: CalibrateConfig | None = None,
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    scan_config: ScanConfig | None = None,
    show_progress: bool = False,
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
        show_progress: Show progress bars.

    Raises:
        InvalidInputError: There are no pairs, or a pair's document is missing.
        ArtifactError: The artifact belongs to another host.
    """
    artifact.check_host(host)
    calibration, _ = calibrate_heads(
        host,
        name or artifact.name,
        artifact.query_heads,
        documents,
        pairs,
        config=config or CalibrateConfig(),
        key_means=artifact.key_means,
        scan_config=scan_config,
        show_progress=show_progress,
    )
    made = dict(provenance or {})
    made["calibrate"] = {**made.get("calibrate", {}), **calibration.report["learned"]}
    calibrated = replace(
        artifact,
        name=calibration.name,
        queries=calibration.queries,
        scoring=calibration.scoring,
        provenance={**artifact.provenance, **made},
    )
    return calibrated.quantized()


def tap_queries(query_maps: Sequence[QueryMap], asked: Floats) -> dict[Tap, Floats]:
    """Return the queries that meet each tap's keys, float32 (n, d), centred and mapped.

    Args:
        query_maps: One per query head, H.
        asked: Raw queries of the heads at tokens of questions, float32 (n, H, d).
    """
    found: dict[Tap, list[Floats]] = {}
    for h, query_map in enumerate(query_maps):
        found.setdefault(query_map.tap, []).append(query_map.apply(asked[:, h]))
    return {tap: np.concatenate(parts) for tap, parts in found.items()}


def train_taps(
    folder: TrainingFolder, means: Mapping[Tap, Floats], queries: Mapping[Tap, Floats], options: SAEOptions
) -> tuple[KeyCodec, ...]:
    """Train an SAE for each tap, one after the other; memory holds one tap's keys at a time.

    The folder stays as it is: :meth:`TrainingFolder.remove` it when the result is saved.

    Args:
        folder: Keys, and where the runs keep their checkpoints.
        means: Mean keys to centre by, float32 (d,); a tap without one is centred by the mean of its keys.
        queries: Centred and mapped queries of each tap, float32 (n, d); see :func:`train_sae`.
        options: How SAEs are trained; the folder is the one given.

    Raises:
        InvalidInputError: As :func:`train_sae`.
        CheckpointError: Likewise; or a file of keys is damaged.
    """
    codecs = []
    for tap in folder.taps:
        keys = folder.keys(tap)
        mean = means[tap] if tap in means else keys.mean(axis=0, dtype=np.float64).astype(np.float32)
        unit = center_and_normalize(keys, mean)
        codecs.append(_codec(tap, mean, unit, queries.get(tap), options, folder.checkpoint(tap)))
    return tuple(codecs)


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


def _ask(host: Host, questions: Sequence[str], heads: Sequence[QueryHead]) -> Floats:
    """Return the raw queries of heads at the tokens of all questions, float32 (n, H, d)."""
    return np.concatenate([encode_question(host, question, heads).queries for question in questions])


def _train(
    host: Host,
    taps: Sequence[Tap],
    texts: Iterable[Document],
    means: Mapping[Tap, Floats],
    queries: Mapping[Tap, Floats],
    options: SAEOptions,
) -> tuple[KeyCodec, ...]:
    """Scan texts and train each tap's SAE; see :func:`train_taps`."""
    scan_config = options.scan_config or ScanConfig()
    scanned = scan(texts, host, taps, scan_config, show_progress=options.show_progress)
    settings = {"host": host.identity, "scan": asdict(scan_config), "source": options.source}
    with tempfile.TemporaryDirectory() as temporary:
        path = options.folder or Path(temporary)
        folder = TrainingFolder.collect(path, scanned, taps, options.max_tokens, settings)
        check_enough(folder.n_keys, options.config)
        return train_taps(folder, means, queries, options)


def _codec(
    tap: Tap,
    mean: Floats,
    keys: npt.NDArray[np.floating],
    queries: Floats | None,
    options: SAEOptions,
    checkpoint: Path | None = None,
) -> KeyCodec:
    """Train the SAE of one tap on its unit keys (n, d)."""
    sae, report = train_sae(
        keys,
        options.config,
        queries=queries,
        checkpoint=checkpoint,
        on_epoch=partial(options.on_epoch, tap) if options.on_epoch else None,
        show_progress=options.show_progress,
    )
    return KeyCodec(tap, mean, sae, report.quality)
