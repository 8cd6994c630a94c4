"""From a host and pairs to a calibration: heads chosen by a survey, then learned on their dense keys."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.features.bank import Bank, Example, fill_bank
from s3_retriever.features.calibrate import CalibrateConfig, Learned, calibrate
from s3_retriever.features.calibration import Calibration
from s3_retriever.features.pairs import Pair, held_out, limit
from s3_retriever.features.probe import PROBE_TEXT, Probe
from s3_retriever.features.querycodec import QueryCodec
from s3_retriever.features.sae import Floats
from s3_retriever.features.survey import Survey, SurveyConfig, survey
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.memory import peak_bytes

FROM_SCRATCH = CalibrateConfig(batch_size=2, constant_rate=3e-2, segments=6, held_out=0.2)
"""Settings for a host's heads: a thousand pairs teach as much in small steps as three times as many in large
ones, and more of them are held out, since they also tell whether the heads are any good."""


@dataclass(frozen=True)
class Sample:
    """How many of the pairs a survey asks: sketches of all heads tell soon which ones are any good.

    Attributes:
        pairs: Pairs to choose on at most, and half as many held out.
        tokens: Tokens of their documents at most.
        held_out: Share of the pairs, by document, that nothing is chosen on or learned from.
        seed: Fixes what is held out and what is asked.
    """

    pairs: int = 192
    tokens: int = 150_000
    held_out: float = FROM_SCRATCH.held_out
    seed: int = 0


def survey_host(
    host: Host,
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    config: SurveyConfig | None = None,
    *,
    sample: Sample | None = None,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> Survey:
    """Choose heads on some of the pairs, and compare them with random ones on pairs of other documents.

    Args:
        host: The host.
        documents: The corpus of the pairs.
        pairs: Questions with their evidence.
        config: Settings of the survey.
        sample: Which pairs are asked.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        progress: Show progress bars.

    Raises:
        InvalidInputError: There are no pairs, a pair's document is missing, or no head finds anything.
    """
    sample = sample or Sample()
    parts = []
    for part, share in zip(held_out(pairs, sample.held_out, sample.seed), (1, 2), strict=True):
        parts.append(
            limit(
                documents,
                part,
                max_pairs=sample.pairs // share,
                max_tokens=sample.tokens // (share + 1),
                count=host.count_tokens,
                seed=sample.seed,
            )
        )
    (learn_documents, learn), (other_documents, others) = parts
    return survey(
        host,
        [*learn_documents, *other_documents],
        learn,
        others,
        config,
        scan_config=scan_config,
        progress=progress,
    )


def calibrate_heads(
    host: Host,
    name: str,
    heads: Sequence[QueryHead],
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    *,
    config: CalibrateConfig | None = None,
    key_means: Mapping[Tap, Floats] | None = None,
    report: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> tuple[Calibration, Bank]:
    """Learn how heads should ask.

    Args:
        host: The host.
        name: Name of the calibration.
        heads: Query heads.
        documents: The corpus of the pairs, and any other text.
        pairs: Questions with their evidence.
        config: Settings; :data:`FROM_SCRATCH` if None.
        key_means: Mean key of each tap; the mean over ``documents`` if None.
        report: Added to the calibration's.
        provenance: How the calibration is made, JSON-able.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        progress: Show progress bars.

    Returns:
        The calibration, and the dense keys that it was learned on, centred by its means.

    Raises:
        InvalidInputError: There are no heads or pairs, a head is not in the host, or a pair's document is
            missing.
    """
    if not heads:
        msg = "calibration needs query heads, and got none"
        raise InvalidInputError(msg)
    began = time.perf_counter()
    config = config or FROM_SCRATCH
    bank = fill_bank(
        host, documents, pairs, heads, key_means=key_means, scan_config=scan_config, progress=progress
    )
    learned = learn(bank, pairs, config, progress=progress)
    merged: dict[str, Any] = {
        **(report or {}),
        "pairs": len(pairs),
        "tokens": int(bank.tokens.sum()),
        "learned": learned_report(learned),
        "learn_seconds": round(time.perf_counter() - began, 1),
        "peak_bytes": peak_bytes(),
    }
    calibration = Calibration(
        name=name,
        host=host.identity,
        taps=bank.taps,
        key_means=bank.key_means,
        queries=query_codecs(bank, learned.maps),
        probe=read_probe(host, bank.taps),
        scoring=learned.scoring.to_json(),
        report=merged,
        provenance=dict(provenance or {}),
    )
    return calibration, bank


def learn(bank: Bank, pairs: Sequence[Pair], config: CalibrateConfig, *, progress: bool = False) -> Learned:
    """Calibrate on the pairs that are not held out, and measure on the others."""
    kept, _ = held_out(pairs, config.held_out, config.seed)
    known = set(kept)
    sides: tuple[list[Example], list[Example]] = ([], [])
    for pair, example in zip(pairs, bank.examples, strict=True):
        sides[pair not in known].append(example)
    return calibrate(bank, sides[0], config, held_out=sides[1], progress=progress)


def learned_report(learned: Learned) -> dict[str, Any]:
    """Return the losses of each epoch, and what was measured on the pairs held out; JSON-able."""
    measured = learned.held_out or ()
    return {
        "losses": list(learned.losses),
        "held_out_losses": [one.loss for one in measured],
        "held_out_recalls": [one.recall for one in measured],
    }


def query_codecs(bank: Bank, maps: Floats) -> tuple[QueryCodec, ...]:
    """Return the bank's heads with their means and the maps (H, d, d) given."""
    return tuple(
        QueryCodec(head, bank.taps[tap], mean, map_)
        for head, tap, mean, map_ in zip(bank.heads, bank.head_taps, bank.query_means, maps, strict=True)
    )


def read_probe(host: Host, taps: Sequence[Tap]) -> Probe:
    """Return the host's fingerprint."""
    return Probe(host.keys([host.encode(PROBE_TEXT).ids], taps)[0].astype(np.float16))


def survey_report(found: Survey) -> dict[str, Any]:
    """Return what a survey found, JSON-able; heads are named "layer.head"."""
    gains = np.diff(found.choice.recalls, prepend=0.0)
    return {
        "heads": {f"{head.layer}.{head.head}": recall for head, recall in found.choice.alone.items()},
        "chosen": [
            {"head": f"{head.layer}.{head.head}", "recall": found.choice.alone[head], "gain": float(gain)}
            for head, gain in zip(found.choice.heads, gains, strict=True)
        ],
        "held_out": None
        if found.held_out is None
        else {**asdict(found.held_out), "useful": found.held_out.useful},
    }
