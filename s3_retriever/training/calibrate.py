"""Calibration: learns from question/evidence pairs how the heads' queries should meet the keys.

What is learned is small and linear: one map per query head, a weight per head and scale, and a saturation
per scale. The loss is the cross-entropy of a softmax over cells; the logits are the density that search
computes in mode "s3", and the target is the evidence. BM25 takes no part: trained beside it, S3 would learn
only what the words of these questions do not say already, and find little by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from s3_retriever.checks import check_settings, each, number, whole
from s3_retriever.documents import Document
from s3_retriever.encode.calibration import Calibration
from s3_retriever.encode.fingerprint import Fingerprint
from s3_retriever.encode.sae import Floats
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.memory import peak_bytes
from s3_retriever.search.scoring import Scoring
from s3_retriever.training.corpus import DenseCorpus, Example, read_dense_corpus
from s3_retriever.training.density import CELLS, HeadScores, LearnedDensity
from s3_retriever.training.pairs import Pair, split_pairs


def _width(value: object) -> str:
    return (
        "" if isinstance(value, int | float) and value > 0 else "a number above 0, inf for the whole document"
    )


@dataclass(frozen=True)
class CalibrateConfig:
    """Settings of one calibration.

    Attributes:
        sigmas: Widths at which the text is looked at, in cells; ``inf`` means the document.
        epochs: Times every pair is seen.
        batch_size: Pairs per optimiser step.
        map_rate: Learning rate of the maps.
        constant_rate: Learning rate of everything else.
        temperature: Initial factor of the maps, the inverse temperature of the softmax.
        passage_cells: Cells of each passage that a question is compared with.
        passages: Number of these passages, those with evidence among them.
        seed: Fixes the order of the pairs and the passages.
        held_out_share: Share of the pairs, by document, that are measured and not learned from.

    Raises:
        InvalidInputError: A value is out of range.
    """

    sigmas: tuple[float, ...] = (1.0, 4.0, 12.0, math.inf)
    epochs: int = 3
    batch_size: int = 8
    map_rate: float = 1e-3
    constant_rate: float = 1e-2
    temperature: float = 3.0
    passage_cells: int = 128
    passages: int = 8
    seed: int = 0
    held_out_share: float = 0.1

    def __post_init__(self) -> None:
        check_settings(
            self,
            sigmas=each(_width),
            epochs=whole(1),
            batch_size=whole(1),
            map_rate=number(above=0),
            constant_rate=number(above=0),
            temperature=number(above=0),
            passage_cells=whole(1),
            passages=whole(2),
            seed=whole(),
            held_out_share=number(0, below=1),
        )


FROM_SCRATCH = CalibrateConfig(batch_size=2, constant_rate=3e-2, passages=6, held_out_share=0.2)
"""Settings for heads that were never calibrated. A thousand pairs teach as much in small steps as three
thousand in large ones. More pairs are held out, since they also tell whether the heads are any good."""


class Measured(NamedTuple):
    """Means over examples, each compared with passages that are the same every time.

    Attributes:
        loss: In nats.
        recall: Share of the evidence in the cells that are densest by S3 alone, as heads are chosen by.
    """

    loss: float
    recall: float


@dataclass(frozen=True, eq=False)
class Learned:
    """What calibration learned.

    Attributes:
        maps: float32 (H, d, d): ``centred query @ map`` meets the unit keys.
        scoring: Weights and constants of the density.
        losses: Mean loss of each epoch, in nats.
        validation: Of the validation examples, before and after learning; empty without any.
    """

    maps: Floats
    scoring: Scoring
    losses: tuple[float, ...]
    validation: tuple[Measured, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Return the losses and what was measured, as artifacts keep them."""
        return {
            "losses": list(self.losses),
            "held_out_losses": [one.loss for one in self.validation],
            "held_out_recalls": [one.recall for one in self.validation],
        }


def calibrate(
    corpus: DenseCorpus,
    examples: Sequence[Example],
    config: CalibrateConfig | None = None,
    *,
    validation: Sequence[Example] = (),
    show_progress: bool = False,
) -> Learned:
    """Learn maps and constants.

    Args:
        corpus: Keys and means.
        examples: Examples of the corpus to learn from.
        config: Settings.
        validation: Examples that only tell how well what was learned carries over.
        show_progress: Show a progress bar.

    Raises:
        InvalidInputError: There is no example, or the loss is not finite any more.
    """
    if not examples:
        msg = "calibration needs examples to learn from, and got none"
        raise InvalidInputError(msg)
    config = config or CalibrateConfig()
    rng = np.random.default_rng(config.seed)
    model = LearnedDensity(corpus, config.sigmas, config.temperature)
    constants = [p for name, p in model.named_parameters() if name != "maps"]
    optimizer = torch.optim.Adam(
        [{"params": [model.maps], "lr": config.map_rate}, {"params": constants, "lr": config.constant_rate}],
        betas=(0.9, 0.98),
    )
    steps = config.epochs * math.ceil(len(examples) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, 10 * (step + 1) / steps) * (1 - step / steps)
    )
    losses = []
    before = _measure(model, corpus, validation, config)
    with tqdm(total=steps, desc="calibrate", disable=not show_progress, unit="step") as bar:
        for _ in range(config.epochs):
            order = rng.permutation(len(examples))
            total = 0.0
            for first in range(0, len(order), config.batch_size):
                batch = [examples[i] for i in order[first : first + config.batch_size]]
                for example in batch:
                    cells = corpus.draw_passages(example, config.passage_cells, config.passages, rng)
                    loss = model.loss(example, cells)
                    (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
                    total += float(loss.detach())
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                bar.update()
            if not math.isfinite(total):
                msg = f"the loss became {total}; calibrate with rates below {config.map_rate} (map_rate) and "
                msg += f"{config.constant_rate} (constant_rate), or a temperature below {config.temperature}"
                raise InvalidInputError(msg)
            losses.append(total / len(examples))
            bar.set_postfix(loss=f"{losses[-1]:.3f}")
    after = _measure(model, corpus, validation, config)
    return Learned(model.maps.detach().numpy().copy(), model.scoring(), tuple(losses), (*before, *after))


def _measure(
    model: LearnedDensity, corpus: DenseCorpus, examples: Sequence[Example], config: CalibrateConfig
) -> tuple[Measured, ...]:
    """Return the means over examples; nothing without examples."""
    if not examples:
        return ()
    rng = np.random.default_rng(config.seed)
    losses, recalls = [], []
    with torch.no_grad():
        for example in examples:
            cells = corpus.draw_passages(example, config.passage_cells, config.passages, rng)
            losses.append(float(model.loss(example, cells)))
            density = model.density(example, cells).numpy()[None, cells >= 0]
            evidence = example.evidence(len(corpus.tokens))[cells[cells >= 0]]
            recalls.append(HeadScores(density, evidence).recall([0], CELLS))
    return (Measured(math.fsum(losses) / len(losses), math.fsum(recalls) / len(recalls)),)


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
    show_progress: bool = False,
) -> tuple[Calibration, DenseCorpus]:
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
        show_progress: Show progress bars.

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
    corpus = read_dense_corpus(
        host,
        documents,
        pairs,
        heads,
        key_means=key_means,
        scan_config=scan_config,
        show_progress=show_progress,
    )
    kept = set(split_pairs(pairs, config.held_out_share, config.seed)[0])
    examples, validation = (
        [example for pair, example in zip(pairs, corpus.examples, strict=True) if (pair in kept) is side]
        for side in (True, False)
    )
    learned = calibrate(corpus, examples, config, validation=validation, show_progress=show_progress)
    calibration = Calibration(
        name=name,
        host=host.identity,
        key_means=dict(zip(corpus.taps, corpus.key_means, strict=True)),
        queries=corpus.query_maps(learned.maps),
        fingerprint=Fingerprint.read(host, corpus.taps),
        scoring=learned.scoring.to_json(),
        report={
            **(report or {}),
            "pairs": len(pairs),
            "tokens": int(corpus.tokens.sum()),
            "learned": learned.to_json(),
            "learn_seconds": round(time.perf_counter() - began, 1),
            "peak_bytes": peak_bytes(),
        },
        provenance=dict(provenance or {}),
    )
    return calibration, corpus
