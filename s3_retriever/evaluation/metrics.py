"""How well the characters found match the gold ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from s3_retriever.errors import InvalidInputError


class Region(NamedTuple):
    """Characters ``start`` to ``end - 1`` of a document."""

    doc_id: str
    start: int
    end: int


@dataclass(frozen=True)
class Overlap:
    """What two sets of characters have in common; every share is in [0, 1].

    Attributes:
        recall: Share of the gold characters that were found.
        precision: Share of the characters found that are gold; 0 if nothing was found.
        iou: Characters in both over characters in either (intersection over union).
    """

    recall: float
    precision: float
    iou: float


def overlap(found: Iterable[Region], gold: Iterable[Region]) -> Overlap:
    """Compare regions as sets of characters: what overlaps counts once.

    Raises:
        InvalidInputError: There is no gold character, so that recall has no meaning.
    """
    found, gold = list(found), list(gold)
    n_found, n_gold, n_either = n_characters(found), n_characters(gold), n_characters(found + gold)
    if not n_gold:
        msg = "the gold regions hold no character; recall needs at least one"
        raise InvalidInputError(msg)
    n_both = n_found + n_gold - n_either
    return Overlap(n_both / n_gold, n_both / n_found if n_found else 0.0, n_both / n_either)


def evidence_recall(found: Iterable[Region], gold: Iterable[Region]) -> float:
    """Return the share of the gold characters that were found; see :func:`overlap`."""
    return overlap(found, gold).recall


def n_characters(regions: Iterable[Region]) -> int:
    """Count the distinct characters in regions."""
    documents: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for doc_id, start, end in regions:
        documents[doc_id].append((start, end))
    total = 0
    for ranges in documents.values():
        reached = 0
        for start, end in sorted(ranges):
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
    return total
