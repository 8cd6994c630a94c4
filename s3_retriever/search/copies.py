"""The same passage once: finds identical and nearly identical ones, and lets others have their place."""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from s3_retriever.index.layout import CELL
from s3_retriever.index.words import words
from s3_retriever.search.density import Float32, Int64
from s3_retriever.search.spans import SelectedSpan

SIMILAR = 0.9
"""Part of a passage's shingles that a better one has if it is a copy: a word in thirty may differ."""

SHINGLE = 3
"""Words of a shingle."""

LEAST = 512
"""Tokens within which other places of a passage are looked for at least, where the budget is less."""

ROUNDS = 12
"""Selections at most, and doublings of the budget within which copies are looked for between two of them."""

_FEW = 16  # passages among which one like another is looked for one by one
_MORE = 1.2  # times as many words as another passage has
_DENIALS_BY_LANGUAGE = (  # "t" is what is cut from "don't"
    "not no never nor neither without cannot t",
    "nicht kein keine keinen keinem keiner keines nie niemals ohne",
    "ne pas non jamais sans aucun aucune",
    "no nunca sin ningún ninguno ninguna",
    "non mai senza",
    "não nunca sem",
    "niet geen nooit zonder",
    "nie bez",
    "не нет ни без никогда",
    "değil",
    "inte ej ikke ei utan uden uten",
    "δεν μη",
    "नहीं मत",
    "لا ليس لم لن غير",
    "לא אין",
    "không chưa đừng",
    "tidak bukan jangan",
)
_DENYING = frozenset("不没沒無无未勿")
_PARTS_THAT_DENY = re.compile(  # of words, in scripts without spaces and in languages that deny by a suffix
    "ない|なかっ|なけれ|なく(?=[てな])|ません|ぬ(?=[。、」])|ずに"
    "|않|없|아니|아닌|아닙|지 ?못|(?<!잘)못하|(?<![가-힣])[안못](?= )"
    "|ไม่|อย่า(?!ง)|มิได้|มิใช่"
    "|m[ıiuü]yor|m[ae]y[ae]c[ae][kğ]|m[ae]m[ıi]ş|madı"
    r"|(?:ol|gel|et|ver|git|gör|bil|ste|[ıiuü]l|il[ae])(?:medi|m[ae]z\b)"
)


class Select(Protocol):
    """Selects passages of a density within a budget, best first.

    Roughly, they count by their tokens in their documents only, so that the budget may be exceeded a little.
    """

    def __call__(self, density: Float32, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
        """Return the passages."""


class Repeated(NamedTuple):
    """A passage that was left out.

    Attributes:
        span: The passage.
        similarity: How much of it the passage that stayed has, in [0, 1]; 1 where it says no word more.
    """

    span: SelectedSpan
    similarity: float


def select_unique(
    select: Select,
    density: Float32,
    document_cells: Int64,
    budget: int,
    said: Callable[[SelectedSpan], Said],
) -> list[tuple[SelectedSpan, tuple[Repeated, ...]]]:
    """Select passages of which none is a copy of a better one; others take the place of copies.

    A passage is a copy if a better one has :data:`SIMILAR` of its shingles and all that tells it from others:
    its numbers, with their signs and the words on either side, such as a unit or a month, and its words with
    a capital, such as names. What differs by these says something else, and what says more is kept. So does
    what differs by a word that denies, "not" or "ohne", or by a part of one, as of "ません" and "gitmiyor".

    Args:
        select: Selects passages.
        density: float32 (C,), of the question; ``-inf`` excludes a cell.
        document_cells: int64 (D + 1,).
        budget: Tokens.
        said: What each passage says, see :func:`saying`.

    Returns:
        The passages, best first, each with the copies of it that were met.
    """
    selected = select(density, budget)
    left, gone = density, list[SelectedSpan]()
    for _ in range(ROUNDS):
        copies = _copies(selected, said, budget)
        if not copies:
            break
        if left is density:
            left = density.copy()
        wider = budget
        while copies:  # in a wider budget, until none is in the way: copies come in crowds
            for copy in copies:
                left[_cells(copy, document_cells)] = -np.inf
            gone += copies
            wider *= 2
            is_last = wider >= budget << ROUNDS
            copies = [] if is_last else _copies(select(left, wider, rough=True), said, budget)
        selected = select(left, budget)
    found, lost = _with_copies(selected, gone, said)
    if lost:  # what they were like was cut in another way, and no longer says what they do
        for span in lost:
            cells = _cells(span, document_cells)
            left[cells] = density[cells]
        selected = select(left, budget)
    if budget < LEAST:
        gone += select(left, LEAST, rough=True)
    if lost or budget < LEAST:
        found, _ = _with_copies(selected, gone, said)
    return found


def _cells(span: SelectedSpan, document_cells: Int64) -> list[int]:
    """Return the cells that a passage has the better part of, and that of its peak."""
    first = int(document_cells[span.doc])
    inside = range((span.first_token + CELL // 2) // CELL, (span.last_token + CELL // 2) // CELL)
    cells = [first + cell for cell in inside if first + cell < int(document_cells[span.doc + 1])]
    return cells if span.peak is None else [*cells, span.peak]


def _copies(
    spans: Sequence[SelectedSpan], said: Callable[[SelectedSpan], Said], budget: int
) -> list[SelectedSpan]:
    """Return the passages of which a better one is a copy; none whose place could not be given away.

    Those that come when better ones have filled the budget take nobody's place, and are not looked for: some
    text of a large corpus always stands twice.
    """
    known = _Known()
    found = []
    tokens = 0
    for span in spans:
        if tokens >= budget:
            break
        one = said(span)
        if span.peak is not None and known.best(one) is not None:
            found.append(span)
        else:
            known.add(one)
            tokens += span.last_token - span.first_token
    return found


def _with_copies(
    selected: Sequence[SelectedSpan], gone: Sequence[SelectedSpan], said: Callable[[SelectedSpan], Said]
) -> tuple[list[tuple[SelectedSpan, tuple[Repeated, ...]]], list[SelectedSpan]]:
    """Give each copy to the passage that it is most like; passages that are copies still, go.

    Returns:
        The passages with their copies, and those left out that are like none and better than some.
    """
    known, kept = _Known(), list[SelectedSpan]()
    copies: defaultdict[int, list[Repeated]] = defaultdict(list)
    for span in selected:
        one = said(span)
        best = known.best(one)
        if best is None:
            kept.append(span)
            known.add(one)
        else:
            copies[best[0]].append(Repeated(span, best[1]))
    least = min((span.score for span in kept), default=-np.inf)
    lost = []
    for span in gone:
        best = known.best(said(span))
        if best is not None:
            copies[best[0]].append(Repeated(span, best[1]))
        elif span.score >= least:
            lost.append(span)
    return [(span, _merged(copies[number], span)) for number, span in enumerate(kept)], lost


def _merged(copies: Sequence[Repeated], kept: SelectedSpan) -> tuple[Repeated, ...]:
    """Return copies without those that lie in another one or in the passage itself."""
    found: list[Repeated] = []
    taken: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)  # by document, ascending
    taken[kept.doc].append((kept.start, kept.end))
    for copy in sorted(copies, key=lambda one: (-one.span.score, one.span.start - one.span.end)):
        ranges = taken[copy.span.doc]
        place = bisect_left(ranges, (copy.span.end,))
        if not place or ranges[place - 1][1] <= copy.span.start:
            ranges.insert(place, (copy.span.start, copy.span.end))
            found.append(copy)
    return tuple(found)


_NUMBERS = re.compile(  # with what stands before and behind them: "-5", "< 5", "$5", "5 %"
    r"(?:(?<![\w.,])([-+\u2212]|[±<>≤≥≠~≈$€£¥₹₽₩]{1,4}\s{0,4}))?(?<!\d[.,])(\d+(?:[.,]\d+)*)((?:\s{0,4}[%‰°$€£¥₹₽₩](?!\d))?)"
)


class Said:
    """What a passage says: its words and shingles, what tells it from others, what denies and how often.

    ``telling`` is what it is told by: words with numbers, each by itself and with the one before and the one
    behind it, figures with their signs, and words with a capital. ``has`` is what others may be told by.
    """

    def __init__(self, text: str) -> None:
        found = list(words(text))
        self.words = tuple(term for term, _ in found) or (text.strip(),)
        numbers = [any(map(str.isnumeric, term)) for term in self.words]
        self.figures = frozenset(
            tuple((part or "").strip() for part in match.groups()) for match in _NUMBERS.finditer(text)
        )
        pairs = {pair for i, pair in enumerate(pairwise(self.words)) if numbers[i] or numbers[i + 1]}
        capitals = {(term,) for term, start in found if text[start].isupper()}
        figures = {(term,) for term, is_number in zip(self.words, numbers, strict=True) if is_number}
        self.telling = pairs | capitals | figures | self.figures
        self.has = pairs | self.figures | {(term,) for term in self.words}
        denials = _denials()
        self.denials = Counter(
            term for term in self.words if term in denials or not _DENYING.isdisjoint(term)
        ) + Counter(_PARTS_THAT_DENY.findall(text.lower()))
        last = max(len(self.words) - SHINGLE, 0)
        self.shingles = {self.words[at : at + SHINGLE] for at in range(last + 1)}


def saying(text: Callable[[SelectedSpan], str]) -> Callable[[SelectedSpan], Said]:
    """Return what tells what passages say, for selections that follow each other and are much alike.

    Args:
        text: Returns the text of a passage.
    """
    of_text = functools.cache(Said)  # copies are mostly equal
    return functools.cache(lambda span: of_text(text(span)))


@functools.cache
def _denials() -> frozenset[str]:
    """Return the terms of words that deny: "jamais" is cut as texts are."""
    return frozenset(term for one in _DENIALS_BY_LANGUAGE for term, _ in words(one))


def _agree(one: Said, other: Said) -> bool:
    """Tell whether one passage denies nothing that another says, and the other way round.

    Of one that says much more, the rest may deny anything.
    """
    says_more = len(other.words) > _MORE * len(one.words)
    return one.denials <= other.denials if says_more else one.denials == other.denials


class _Known:
    """Passages met so far; looking for one like another takes time by how many have its rarest words."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._equal: dict[tuple[object, ...], int] = {}
        self._having: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        self._having_of = 0  # the number of passages that it has, the first ones

    def add(self, said: Said) -> None:
        self._equal.setdefault((said.words, said.figures), len(self._said))
        self._said.append(said)

    def best(self, said: Said) -> tuple[int, float] | None:
        """Return the number of the passage of which one is a copy, and how similar they are.

        Of equally similar ones, the first: shingles have no order that two processes share.
        """
        equal = self._equal.get((said.words, said.figures))
        if equal is not None:
            return equal, 1.0
        found = None
        for number in sorted(self._alike(said)):
            other = self._said[number]
            if said.telling <= other.has and _agree(said, other):
                similarity = len(said.shingles & other.shingles) / len(said.shingles)
                if similarity >= SIMILAR and (not found or similarity > found[1]):
                    found = number, similarity
        return found

    def _alike(self, said: Said) -> Collection[int]:
        """Return the passages that may be like one: they have all that it is told by.

        They have one of its rarest shingles too, as they lack few; what fewer have is looked at. Of a few
        passages each may be: to look them up takes longer.
        """
        if len(self._said) <= _FEW:
            return range(len(self._said))
        for number in range(self._having_of, len(self._said)):
            for one in self._said[number].shingles | self._said[number].has:
                self._having[one].append(number)
        self._having_of = len(self._said)
        lacking = int((1 - SIMILAR) * len(said.shingles)) + 1
        having = self._having
        rarest = sorted([having.get(shingle, ()) for shingle in said.shingles], key=len)[: lacking + 1]
        if not any(rarest):
            return set()
        as_told = min([having.get(one, ()) for one in said.telling], key=len, default=None)
        if as_told is not None and len(as_told) < sum(map(len, rarest)):
            return set(as_told)
        return set().union(*rarest)
