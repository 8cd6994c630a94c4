"""Which heads are chosen, on banks where it is known which head tells something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from calibration_set import made_bank

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.bank import Bank, Example
from s3_retriever.features.heads import View, choose_heads, view

LENGTHS = [320, 150, 0, 500, 33]


def views(bank: Bank, examples: Sequence[Example] | None = None) -> list[View]:
    return [view(bank, example) for example in (bank.examples if examples is None else examples)]


@pytest.mark.parametrize("best", [0, 1, 2])
def test_an_informative_head_comes_before_noise(best: int) -> None:
    bank = made_bank(LENGTHS, informative=tuple(head == best for head in range(3)))
    choice = choose_heads(bank, views(bank), n_taps=2, n_heads=3, cells=(1,))
    assert choice.heads[0] == bank.heads[best]
    assert choice.recalls[0] == choice.alone[bank.heads[best]] > 0.8
    assert all(choice.alone[head] < 0.5 for head in bank.heads if head != bank.heads[best])


def test_each_tap_added_raises_recall_and_brings_its_sharp_heads() -> None:
    bank = made_bank(LENGTHS, informative=(True, True, True), seed=1)  # where one tap is not enough
    choice = choose_heads(bank, views(bank), n_taps=2, n_heads=3, cells=(1,))
    first = [bank.head_taps[bank.heads.index(head)] for head in choice.heads]
    opening = [choice.recalls[i] for i, tap in enumerate(first) if tap not in first[:i]]
    assert all(before < after for before, after in pairwise(opening))
    assert set(choice.alone) == set(bank.heads)
    assert set(bank.heads[:2]) <= set(choice.heads)  # both of the first tap, though one would do
    assert choose_heads(bank, views(bank), n_taps=2, n_heads=3, cells=(1,)) == choice


def test_heads_half_as_good_as_the_best_are_no_candidates() -> None:
    bank = made_bank(LENGTHS, informative=(True, False, False))
    choice = choose_heads(bank, views(bank), n_taps=2, n_heads=3, cells=(1,))
    assert choice.heads == bank.heads[:1]


def examples_shared_out() -> tuple[Bank, list[Example]]:
    """A bank in which each head answers a third of the questions."""
    bank = made_bank(LENGTHS, informative=(True, True, True))
    random = np.random.default_rng(1)
    examples = []
    for i, example in enumerate(bank.examples):
        queries = example.queries.copy()
        for head in range(3):
            if i % 3 != head:
                queries[:, head] = 0.3 * random.normal(size=queries[:, head].shape)
        examples.append(replace(example, queries=queries))
    return bank, examples


def test_heads_and_taps_are_limited() -> None:
    bank, examples = examples_shared_out()
    free = choose_heads(bank, views(bank, examples), n_taps=2, n_heads=3, cells=(1,))
    assert set(free.heads) == set(bank.heads)  # otherwise the limits below would show nothing
    assert len(choose_heads(bank, views(bank, examples), n_taps=2, n_heads=1, cells=(1,)).heads) == 1
    assert len(choose_heads(bank, views(bank, examples), n_taps=2, n_heads=2, cells=(1,)).heads) == 2
    one_tap = choose_heads(bank, views(bank, examples), n_taps=1, n_heads=3, cells=(1,))
    assert len({head.layer for head in one_tap.heads}) == 1


@pytest.mark.parametrize("limit", ["n_taps", "n_heads"])
def test_a_limit_below_one_is_named(limit: str) -> None:
    bank = made_bank([64, 64], n=2)
    with pytest.raises(InvalidInputError, match=f"{limit} of at least 1, not 0"):
        choose_heads(bank, views(bank), **{"n_taps": 1, "n_heads": 1, limit: 0})


def test_examples_are_needed() -> None:
    with pytest.raises(InvalidInputError, match="examples of at least 1, not 0"):
        choose_heads(made_bank([64, 64], n=2), (), n_taps=1, n_heads=1)


def test_heads_that_find_nothing_are_refused() -> None:
    bank = made_bank(LENGTHS, informative=(False, False, False), n=1)
    blind = replace(bank.examples[0], queries=-9 * np.ones((2, 3, 16), np.float32))
    keys = np.abs(bank.keys)  # the evidence's cell is repelled most: it holds two keys of the same kind
    keys[:, blind.cells[0]] = np.float16(0.25)
    with pytest.raises(InvalidInputError, match="none of the 3 candidate heads"):
        blinded = replace(bank, keys=keys)
        choose_heads(blinded, views(blinded, [blind]), n_taps=2, n_heads=3, cells=(1,))
