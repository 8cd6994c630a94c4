"""What each head of a host finds, which ones to use, and whether they are any better than others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.features.bank import Bank, Example
from s3_retriever.features.heads import CELLS, HeadChoice, View, choose_heads, mean_recall, view
from s3_retriever.features.pairs import Pair
from s3_retriever.features.queries import tap_of
from s3_retriever.features.segments import draw_segments
from s3_retriever.features.sketch import mean_keys, sketch_bank
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig
from s3_retriever.host.taps import QueryHead

_LEAST_SHARE = 1 / 3
_ENOUGH_QUESTIONS = 8


@dataclass(frozen=True)
class SurveyConfig:
    """Settings of a survey.

    Attributes:
        max_layer: Deepest layer to choose from; None means the first third of the layers.
        n_taps: Taps to choose at most.
        n_heads: Query heads to choose at most.
        sketch_dim: Dimension of the sketches of keys.
        segment_cells: Cells of one piece of text that a question is compared with ...
        segments: ... and how many pieces, those with evidence among them.
        draws: Sets of random heads that the chosen ones are compared with.
        seed: Fixes the pieces and the random heads.

    Raises:
        InvalidInputError: A value is out of range.
    """

    max_layer: int | None = None
    n_taps: int = 5
    n_heads: int = 8
    sketch_dim: int = 32
    segment_cells: int = 128
    segments: int = 4
    draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        smallest = {"n_taps": 1, "n_heads": 1, "sketch_dim": 1, "segment_cells": 1, "segments": 2}
        for name, least in {**smallest, "draws": 1}.items():
            if getattr(self, name) < least:
                msg = f"SurveyConfig.{name} must be at least {least}, not {getattr(self, name)}"
                raise InvalidInputError(msg)


@dataclass(frozen=True)
class Comparison:
    """Evidence recall on questions whose documents no choice was made on.

    Attributes:
        questions: How many.
        chosen: Of the chosen heads together.
        random: Of as many random heads, the mean of several draws.
        every: Of all heads together.
        misled: Of the chosen heads when they are asked the question of another document: what they find
            because it stands out, whatever is asked.
        error: Standard error of the mean of ``chosen - random`` over the questions.
    """

    questions: int
    chosen: float
    random: float
    every: float
    misled: float
    error: float

    @property
    def beats_random(self) -> bool:
        """Whether the chosen heads are better than random ones, by two standard errors."""
        return self.chosen - self.random > 2 * self.error

    @property
    def useful(self) -> bool | None:
        """Whether the right question makes them find a third of what they miss with a wrong one.

        Heads of untrained hosts do not: some match words a little, by the luck of their weights. None where
        too few questions tell.
        """
        if self.questions < _ENOUGH_QUESTIONS:
            return None
        return self.chosen > self.misled + _LEAST_SHARE * (1 - self.misled)


@dataclass(frozen=True)
class Survey:
    """What a survey found.

    Attributes:
        choice: Heads chosen, and every head's recall alone, on the pairs to choose on.
        held_out: How the choice compares on others; None where there are none.
    """

    choice: HeadChoice
    held_out: Comparison | None


def candidates(host: Host, max_layer: int | None) -> list[QueryHead]:
    """Return the query heads of the layers 0 to ``max_layer``; of the first third of the layers if None.

    Raises:
        InvalidInputError: ``max_layer`` is not a layer.
    """
    last = math.ceil(host.n_layers / 3) - 1 if max_layer is None else max_layer
    if not 0 <= last < host.n_layers:
        msg = f"max_layer must be between 0 and {host.n_layers - 1}, not {max_layer}"
        raise InvalidInputError(msg)
    layers = [layer for layer in host.attention_layers if layer <= last]
    return [QueryHead(layer, head) for layer in layers for head in range(host.n_query_heads)]


def survey(
    host: Host,
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    held_out: Sequence[Pair] = (),
    config: SurveyConfig | None = None,
    *,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> Survey:
    """Let every head answer questions by itself, in one pass over the documents, and choose the best set.

    Keys are kept as sketches (:mod:`s3_retriever.features.sketch`), and each question is compared with a
    few pieces of the corpus, those with its evidence among them.

    Args:
        host: The host.
        documents: The corpus of both kinds of pairs.
        pairs: To choose on.
        held_out: To compare with random heads on; of documents that ``pairs`` do not ask about.
        config: Settings.
        scan_config: Chunks and batches.
        progress: Show progress bars.

    Raises:
        InvalidInputError: ``max_layer`` is not a layer, there are no pairs, a pair's document is missing,
            or no head finds anything.
    """
    config = config or SurveyConfig()
    heads = candidates(host, config.max_layer)
    taps = sorted({tap_of(host, head) for head in heads})
    bank = sketch_bank(
        host,
        documents,
        [*pairs, *held_out],
        heads,
        key_means=mean_keys(host, documents, taps, scan_config=scan_config),
        dim=config.sketch_dim,
        scan_config=scan_config,
        progress=progress,
    )
    rng = np.random.default_rng(config.seed)
    segments = [
        draw_segments(bank, example, config.segment_cells, config.segments, rng) for example in bank.examples
    ]
    bar = tqdm(bank.examples, "survey", unit=" questions", disable=not progress)
    views = [view(bank, example, cells) for example, cells in zip(bar, segments, strict=True)]
    n = len(pairs)
    choice = choose_heads(bank, views[:n], n_taps=config.n_taps, n_heads=config.n_heads)
    if not held_out:
        return Survey(choice, None)
    others = [_another(bank.examples[n:], i) for i in range(len(held_out))]
    misled = [
        view(bank, replace(example, queries=other.queries, token_weights=other.token_weights), cells)
        for example, other, cells in zip(bank.examples[n:], others, segments[n:], strict=True)
    ]
    return Survey(choice, _compare(bank, views[n:], misled, choice, config.draws, rng))


def _another(examples: Sequence[Example], i: int) -> Example:
    """Return the next example of another document, or the next one where all are of one document."""
    following = [examples[(i + k) % len(examples)] for k in range(1, len(examples) + 1)]
    return next((one for one in following if one.document != examples[i].document), following[0])


def _compare(
    bank: Bank,
    views: Sequence[View],
    misled: Sequence[View],
    choice: HeadChoice,
    n_draws: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare the chosen heads with random ones and with all, on views that were not chosen on."""
    chosen = [bank.heads.index(head) for head in choice.heads]
    draws = [rng.choice(len(bank.heads), len(chosen), replace=False).tolist() for _ in range(n_draws)]
    own = np.array([one.recall(chosen, CELLS) for one in views])
    others = np.array([[one.recall(heads, CELLS) for heads in draws] for one in views]).mean(axis=1)
    return Comparison(
        questions=len(views),
        chosen=float(own.mean()),
        random=float(others.mean()),
        every=mean_recall(views, range(len(bank.heads))),
        misled=mean_recall(misled, chosen),
        error=float((own - others).std(ddof=min(1, len(views) - 1)) / math.sqrt(len(views))),
    )
