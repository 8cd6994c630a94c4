"""What each head of a host finds, which ones to use, and whether they are better than others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from s3_retriever.checks import check, check_settings, number, optional, whole
from s3_retriever.documents import Document
from s3_retriever.encode.question import tap_of
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig
from s3_retriever.host.taps import QueryHead
from s3_retriever.training.calibrate import FROM_SCRATCH
from s3_retriever.training.corpus import DenseCorpus, Example, read_dense_corpus
from s3_retriever.training.density import CELLS, HeadScores
from s3_retriever.training.pairs import Pair, limit, split_pairs
from s3_retriever.training.sketch import mean_keys

_SHARP = 0.5  # recall of a candidate alone, at least, over that of the best head
_LEAST_SHARE = 1 / 3
_ENOUGH_QUESTIONS = 8


@dataclass(frozen=True)
class SurveyConfig:
    """Settings of a survey.

    Attributes:
        max_layer: Deepest layer to choose from; None means the first third of the layers.
        n_taps: Taps to choose at most: each costs space in the index.
        n_heads: Query heads to choose at most: each costs time per question.
        sketch_dim: Dimension of the sketches of keys.
        passage_cells: Cells of each passage that a question is compared with.
        passages: Number of these passages, those with evidence among them.
        draws: Sets of random heads that the chosen ones are compared with.
        pairs: Pairs to choose on at most; half as many are held out. Sketches of all heads soon tell which
            ones are any good.
        tokens: Tokens of the pairs' documents at most.
        held_out_share: Share of the pairs, by document, that nothing is chosen on.
        seed: Fixes which pairs are asked and held out, the passages and the random heads.

    Raises:
        InvalidInputError: A value is out of range.
    """

    max_layer: int | None = None
    n_taps: int = 5
    n_heads: int = 8
    sketch_dim: int = 32
    passage_cells: int = 128
    passages: int = 4
    draws: int = 20
    pairs: int = 192
    tokens: int = 150_000
    held_out_share: float = FROM_SCRATCH.held_out_share
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("n_taps", "n_heads", "sketch_dim", "passage_cells", "draws", "tokens")
        check_settings(
            self,
            max_layer=optional(whole()),
            **dict.fromkeys(counts, whole(1)),
            passages=whole(2),
            pairs=whole(2),
            held_out_share=number(0, below=1),
            seed=whole(),
        )


@dataclass(frozen=True)
class HeadChoice:
    """The heads chosen, and why.

    Attributes:
        heads: Chosen query heads, in the order in which they were added.
        recalls: Evidence recall after each was added.
        alone: Evidence recall of every candidate by itself.
    """

    heads: tuple[QueryHead, ...]
    recalls: tuple[float, ...]
    alone: dict[QueryHead, float]


@dataclass(frozen=True)
class HeadComparison:
    """Evidence recall on questions whose documents no choice was made on.

    Attributes:
        questions: Number of questions.
        chosen: Of the chosen heads together.
        random: Of as many random heads, the mean of several draws.
        every: Of all heads together.
        misled: Of the chosen heads when they are asked the question of another document. Such evidence
            stands out whatever is asked.
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
        """Whether the right question makes the heads find a third of what they miss with a wrong one.

        Heads of untrained hosts do not, although some match words a little by chance. None where there are
        too few questions to tell.
        """
        if self.questions < _ENOUGH_QUESTIONS:
            return None
        return self.chosen > self.misled + _LEAST_SHARE * (1 - self.misled)


@dataclass(frozen=True)
class Survey:
    """What a survey found.

    Attributes:
        choice: Heads chosen, and every head's recall alone, on the pairs to choose on.
        comparison: How the choice does on the validation pairs; None without any.
    """

    choice: HeadChoice
    comparison: HeadComparison | None

    def to_json(self) -> dict[str, Any]:
        """Return what was found, as calibrations report it; heads are named "layer.head"."""
        gains = np.diff(self.choice.recalls, prepend=0.0)
        compared = self.comparison
        return {
            "heads": {str(head): recall for head, recall in self.choice.alone.items()},
            "chosen": [
                {"head": str(head), "recall": self.choice.alone[head], "gain": float(gain)}
                for head, gain in zip(self.choice.heads, gains, strict=True)
            ],
            "held_out": None if compared is None else {**asdict(compared), "useful": compared.useful},
        }


def candidates(host: Host, max_layer: int | None) -> list[QueryHead]:
    """Return the query heads of the layers 0 to ``max_layer``; of the first third of the layers if None.

    Raises:
        InvalidInputError: ``max_layer`` is not a layer.
    """
    last = math.ceil(host.n_layers / 3) - 1 if max_layer is None else max_layer
    check("max_layer", last, whole(0, host.n_layers - 1))
    layers = [layer for layer in host.attention_layers if layer <= last]
    return [head for layer in layers for head in host.query_heads(layer)]


def survey_host(
    host: Host,
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    config: SurveyConfig | None = None,
    *,
    scan_config: ScanConfig | None = None,
    show_progress: bool = False,
) -> Survey:
    """Let every head answer questions by itself, and choose the set that is best together.

    The documents go through the host once, and keys are kept as sketches. Each question is compared with a
    few passages of the corpus, those with its evidence among them. The heads chosen are compared with random
    ones on pairs of other documents.

    Args:
        host: The host.
        documents: The corpus of the pairs.
        pairs: Questions with their evidence; a sample of them is asked.
        config: Settings.
        scan_config: Chunks and batches; needed for a host whose window is below 512 tokens.
        show_progress: Show progress bars.

    Raises:
        InvalidInputError: ``max_layer`` is not a layer, there are no pairs, a pair's document is missing,
            or no head finds anything.
    """
    config = config or SurveyConfig()
    heads = candidates(host, config.max_layer)
    (texts, chosen_on), (other_texts, validation_pairs) = (
        limit(
            documents,
            part,
            max_pairs=config.pairs // share,
            max_tokens=config.tokens // (share + 1),
            count=host.count_tokens,
            seed=config.seed,
        )
        for part, share in zip(split_pairs(pairs, config.held_out_share, config.seed), (1, 2), strict=True)
    )
    texts += other_texts
    taps = sorted({tap_of(host, head) for head in heads})
    corpus = read_dense_corpus(
        host,
        texts,
        [*chosen_on, *validation_pairs],
        heads,
        key_means=mean_keys(host, texts, taps, scan_config=scan_config),
        sketch_dim=config.sketch_dim,
        scan_config=scan_config,
        show_progress=show_progress,
    )
    rng = np.random.default_rng(config.seed)
    passages = [
        corpus.draw_passages(example, config.passage_cells, config.passages, rng)
        for example in corpus.examples
    ]
    bar = tqdm(corpus.examples, "survey", unit=" questions", disable=not show_progress)
    scores = [HeadScores.of(corpus, example, cells) for example, cells in zip(bar, passages, strict=True)]
    n = len(chosen_on)
    choice = choose_heads(corpus, scores[:n], n_taps=config.n_taps, n_heads=config.n_heads)
    if not validation_pairs:
        return Survey(choice, None)
    examples = corpus.examples[n:]
    others = [_another(examples, i) for i in range(len(examples))]
    misled = [
        HeadScores.of(
            corpus, replace(example, queries=other.queries, token_weights=other.token_weights), cells
        )
        for example, other, cells in zip(examples, others, passages[n:], strict=True)
    ]
    return Survey(choice, _compare(corpus, scores[n:], misled, choice, config.draws, rng))


def choose_heads(
    corpus: DenseCorpus,
    scores: Sequence[HeadScores],
    *,
    n_taps: int,
    n_heads: int,
    cells: Sequence[int] = CELLS,
) -> HeadChoice:
    """Add heads greedily, each time the one that raises evidence recall most, while any does.

    Only sharp heads are candidates. They are at least half as good alone as the best one; what the others
    would add is noise of the few questions. In the end, sharp heads of the chosen taps are added in any
    case: they cost the index nothing, and calibration weighs them.

    Args:
        corpus: Holds the candidates.
        scores: Of the questions to choose on.
        n_taps: Taps at most.
        n_heads: Query heads at most.
        cells: Recall is measured at these numbers of the densest cells, and averaged.

    Raises:
        InvalidInputError: No head finds anything, there are no scores, or a limit is below 1.
    """
    least = {"n_taps": n_taps, "n_heads": n_heads, "cells": min(cells), "the number of examples": len(scores)}
    for name, value in least.items():
        check(name, value, whole(1))
    single = np.array([_mean_recall(scores, [h], cells) for h in range(len(corpus.heads))])
    if not single.max() > 0:
        msg = (
            f"none of the {len(corpus.heads)} candidate heads finds any evidence: the host has no useful one"
        )
        raise InvalidInputError(msg)
    sharp = np.flatnonzero(single >= _SHARP * single.max())
    left = sharp[np.argsort(-single[sharp], kind="stable")].tolist()
    chosen: list[int] = []
    recalls: list[float] = []
    while len(chosen) < n_heads:
        taps = {corpus.head_taps[h] for h in chosen}
        known = [h for h in left if corpus.head_taps[h] in taps]
        allowed = left if len(taps) < n_taps else known
        together = [_mean_recall(scores, [*chosen, h], cells) for h in allowed]
        if recalls and max(together, default=0.0) <= recalls[-1]:
            allowed = known
            together = [_mean_recall(scores, [*chosen, h], cells) for h in known]
        if not allowed:
            break
        best = int(np.argmax(together))
        chosen.append(allowed[best])
        recalls.append(together[best])
        left.remove(allowed[best])
    alone = {head: float(recall) for head, recall in zip(corpus.heads, single, strict=True)}
    return HeadChoice(tuple(corpus.heads[h] for h in chosen), tuple(recalls), alone)


def _mean_recall(scores: Sequence[HeadScores], heads: Sequence[int], cells: Sequence[int] = CELLS) -> float:
    """Return the mean over questions of the evidence that some heads find together."""
    return sum(one.recall(heads, cells) for one in scores) / len(scores)


def _another(examples: Sequence[Example], i: int) -> Example:
    """Return the next example of another document, or the next one where all are of one document."""
    following = [examples[(i + k) % len(examples)] for k in range(1, len(examples) + 1)]
    return next((one for one in following if one.document != examples[i].document), following[0])


def _compare(
    corpus: DenseCorpus,
    scores: Sequence[HeadScores],
    misled: Sequence[HeadScores],
    choice: HeadChoice,
    n_draws: int,
    rng: np.random.Generator,
) -> HeadComparison:
    """Compare the chosen heads with random ones and with all, on questions that were not chosen on."""
    chosen = [corpus.heads.index(head) for head in choice.heads]
    draws = [rng.choice(len(corpus.heads), len(chosen), replace=False).tolist() for _ in range(n_draws)]
    own = np.array([one.recall(chosen, CELLS) for one in scores])
    others = np.array([[one.recall(heads, CELLS) for heads in draws] for one in scores]).mean(axis=1)
    return HeadComparison(
        questions=len(scores),
        chosen=float(own.mean()),
        random=float(others.mean()),
        every=_mean_recall(scores, range(len(corpus.heads))),
        misled=_mean_recall(misled, chosen),
        error=float((own - others).std(ddof=min(1, len(scores) - 1)) / math.sqrt(len(scores))),
    )
