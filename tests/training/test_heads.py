"""Which heads are chosen, on corpora where it is known which head tells something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from calibration_set import made_corpus

from s3_retriever.errors import InvalidInputError
from s3_retriever.training.corpus import DenseCorpus, Example
from s3_retriever.training.density import HeadScores
from s3_retriever.training.survey import choose_heads

LENGTHS = [320, 150, 0, 500, 33]


def scores(corpus: DenseCorpus, examples: Sequence[Example] | None = None) -> list[HeadScores]:
    return [HeadScores.of(corpus, example) for example in (corpus.examples if examples is None else examples)]


@pytest.mark.parametrize("best", [0, 1, 2])
def test_an_informative_head_comes_before_noise(best: int) -> None:
    corpus = made_corpus(LENGTHS, informative=tuple(head == best for head in range(3)))
    choice = choose_heads(corpus, scores(corpus), n_taps=2, n_heads=3, cells=(1,))
    assert choice.heads[0] == corpus.heads[best]
    assert choice.recalls[0] == choice.alone[corpus.heads[best]] > 0.8
    assert all(choice.alone[head] < 0.5 for head in corpus.heads if head != corpus.heads[best])


def test_each_tap_added_raises_recall_and_brings_its_sharp_heads() -> None:
    corpus = made_corpus(LENGTHS, informative=(True, True, True), seed=1)  # where one tap is not enough
    choice = choose_heads(corpus, scores(corpus), n_taps=2, n_heads=3, cells=(1,))
    first = [corpus.head_taps[corpus.heads.index(head)] for head in choice.heads]
    opening = [choice.recalls[i] for i, tap in enumerate(first) if tap not in first[:i]]
    assert all(before < after for before, after in pairwise(opening))
    assert set(choice.alone) == set(corpus.heads)
    assert set(corpus.heads[:2]) <= set(choice.heads)  # both of the first tap, though one would do
    assert choose_heads(corpus, scores(corpus), n_taps=2, n_heads=3, cells=(1,)) == choice


def test_heads_half_as_good_as_the_best_are_no_candidates() -> None:
    corpus = made_corpus(LENGTHS, informative=(True, False, False))
    choice = choose_heads(corpus, scores(corpus), n_taps=2, n_heads=3, cells=(1,))
    assert choice.heads == corpus.heads[:1]


def examples_shared_out() -> tuple[DenseCorpus, list[Example]]:
    """A corpus in which each head answers a third of the questions."""
    corpus = made_corpus(LENGTHS, informative=(True, True, True))
    random = np.random.default_rng(1)
    examples = []
    for i, example in enumerate(corpus.examples):
        queries = example.queries.copy()
        for head in range(3):
            if i % 3 != head:
                queries[:, head] = 0.3 * random.normal(size=queries[:, head].shape)
        examples.append(replace(example, queries=queries))
    return corpus, examples


@pytest.mark.long
def test_heads_and_taps_are_limited() -> None:
    corpus, examples = examples_shared_out()
    free = choose_heads(corpus, scores(corpus, examples), n_taps=2, n_heads=3, cells=(1,))
    assert set(free.heads) == set(corpus.heads)  # otherwise the limits below would show nothing
    assert len(choose_heads(corpus, scores(corpus, examples), n_taps=2, n_heads=1, cells=(1,)).heads) == 1
    assert len(choose_heads(corpus, scores(corpus, examples), n_taps=2, n_heads=2, cells=(1,)).heads) == 2
    one_tap = choose_heads(corpus, scores(corpus, examples), n_taps=1, n_heads=3, cells=(1,))
    assert len({head.layer for head in one_tap.heads}) == 1


@pytest.mark.parametrize("limit", ["n_taps", "n_heads"])
def test_a_limit_below_one_is_named(limit: str) -> None:
    corpus = made_corpus([64, 64], n=2)
    with pytest.raises(InvalidInputError, match=f"{limit} must be a whole number, 1 or more, not 0"):
        choose_heads(corpus, scores(corpus), **{"n_taps": 1, "n_heads": 1, limit: 0})


def test_examples_are_needed() -> None:
    with pytest.raises(
        InvalidInputError, match="the number of examples must be a whole number, 1 or more, not 0"
    ):
        choose_heads(made_corpus([64, 64], n=2), (), n_taps=1, n_heads=1)


def test_heads_that_find_nothing_are_refused() -> None:
    corpus = made_corpus(LENGTHS, informative=(False, False, False), n=1)
    blind = replace(corpus.examples[0], queries=-9 * np.ones((2, 3, 16), np.float32))
    keys = np.abs(corpus.keys)  # the evidence's cell is repelled most: it holds two keys of the same kind
    keys[:, blind.cells[0]] = np.float16(0.25)
    with pytest.raises(InvalidInputError, match="none of the 3 candidate heads"):
        blinded = replace(corpus, keys=keys)
        choose_heads(blinded, scores(blinded, [blind]), n_taps=2, n_heads=3, cells=(1,))
