"""Haystacks: text as long as wanted, with needles and distractors between its sentences."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from random import Random
from typing import NamedTuple

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.needles.facts import NeedleQuestion
from s3_retriever.host.model import Host
from s3_retriever.search.text import sentence_borders, sentences

_CUT_ROOM = 256  # tokens before a cut among which a sentence border is looked for
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True)
class Buried:
    """A question and where its needles are wanted.

    Attributes:
        id: Unique in its haystack.
        question: With needles and distractors.
        depths: Of each needle, in [0, 1]: the share of the haystack's text that comes before it.
    """

    id: str
    question: NeedleQuestion
    depths: tuple[float, ...]


class Supply:
    """Text without end: documents in turn; when all were used, again with their paragraphs shuffled.

    Args:
        documents: At least one with a token.
        host: Counts the tokens.
        random: Shuffles.

    Raises:
        InvalidInputError: The documents have no text.
    """

    def __init__(self, documents: Sequence[Document], host: Host, random: Random) -> None:
        if not any(document.text.strip() for document in documents):
            msg = "there is no text to hide needles in"
            raise InvalidInputError(msg)
        self._documents = (one for one in _repeated(documents, random) if one.text.strip())
        self._host = host
        self._rest: list[Document] = []  # of the document that was cut last

    def take(self, n_tokens: int) -> list[Document]:
        """Return documents of about ``n_tokens`` tokens together; the last one is cut between sentences."""
        taken: list[Document] = []
        while n_tokens > 0:
            document = self._rest.pop() if self._rest else next(self._documents)
            starts = self._host.encode(document.text).starts.astype(np.uint32)
            if len(starts) > n_tokens:
                borders = sentence_borders(document.text, starts, max(0, n_tokens - _CUT_ROOM), n_tokens)
                at = int(starts[borders[-1]]) if borders and borders[-1] else int(starts[n_tokens])
                self._rest.append(replace(document, id=f"{document.id}+{at}", text=document.text[at:]))
                document, n_tokens = replace(document, text=document.text[:at]), 0
            taken.append(document)
            n_tokens -= len(starts)
        return taken


def _repeated(documents: Sequence[Document], random: Random) -> Iterator[Document]:
    yield from documents
    for copy in count(1):
        for document in documents:
            paragraphs = _PARAGRAPHS.split(document.text)
            random.shuffle(paragraphs)
            yield replace(document, id=f"{document.id}#{copy}", text="\n\n".join(paragraphs))


def bury(
    name: str,
    documents: Sequence[Document],
    buried: Sequence[Buried],
    random: Random,
    spread: float,
) -> EvaluationSet:
    """Put needles at their depths and distractors anywhere, each between two sentences.

    No two are put at one place. Of several needles for one depth, the first is put exactly there. The others
    are put up to ``spread`` away, so that they do not stand side by side.

    Args:
        name: Of the set.
        documents: The text.
        buried: Questions; their needles become their evidence.
        random: Source of all choices.
        spread: Part of the text.

    Raises:
        InvalidInputError: The text has fewer sentences than there are needles and distractors.
    """
    places = _Places(documents, random)
    seen: set[float] = set()
    hidden: list[_Hidden] = []
    for b, one in enumerate(buried):
        for n, (fact, depth) in enumerate(zip(one.question.needles, one.depths, strict=True)):
            exact = depth not in seen
            seen.add(depth)
            at = depth if exact else depth + random.uniform(-spread, spread)
            hidden.append(_Hidden(places.near(at), fact.sentence, (b, n)))
    for one in buried:
        hidden += [_Hidden(places.anywhere(), fact.sentence, None) for fact in one.question.distractors]
    texts, regions = _insert(documents, hidden)
    return EvaluationSet(
        name,
        tuple(replace(document, text=text) for document, text in zip(documents, texts, strict=True)),
        tuple(
            Question(one.id, one.question.text, tuple(regions[b, n] for n in range(len(one.depths))))
            for b, one in enumerate(buried)
        ),
    )


class _Place(NamedTuple):
    document: int
    offset: int


class _Hidden(NamedTuple):
    """A sentence, where it goes, and for a needle the numbers of its question and of itself."""

    place: _Place
    sentence: str
    needle: tuple[int, int] | None


class _Places:
    """The borders of sentences of some documents, each to be used once."""

    def __init__(self, documents: Sequence[Document], random: Random) -> None:
        lengths = [len(document.text) for document in documents]
        self._total = sum(lengths)
        self._at: list[int] = []
        self._places: list[_Place] = []
        for d, (document, before) in enumerate(zip(documents, accumulate(lengths, initial=0), strict=False)):
            borders = [start for start, _ in sentences(document.text)] + [len(document.text)]
            self._at += [before + border for border in borders]
            self._places += [_Place(d, border) for border in borders]
        self._free = list(range(len(self._places)))
        self._random = random

    def near(self, depth: float) -> _Place:
        """Return the free place nearest to a depth."""
        wanted = min(max(depth, 0.0), 1.0) * self._total
        above = bisect_left(self._free, bisect_left(self._at, wanted))
        around = [i for i in (above - 1, above) if 0 <= i < len(self._free)]
        return self._use(min(around, key=lambda i: abs(self._at[self._free[i]] - wanted), default=None))

    def anywhere(self) -> _Place:
        """Return any free place."""
        return self._use(self._random.randrange(len(self._free)) if self._free else None)

    def _use(self, i: int | None) -> _Place:
        if i is None:
            msg = "the text has fewer sentences than there are needles and distractors to hide in it"
            raise InvalidInputError(msg)
        return self._places[self._free.pop(i)]


def _insert(
    documents: Sequence[Document], hidden: Sequence[_Hidden]
) -> tuple[list[str], dict[tuple[int, int], Region]]:
    """Return the documents' new texts and where the needles stand in them."""
    by_document: defaultdict[int, list[_Hidden]] = defaultdict(list)
    for one in hidden:
        by_document[one.place.document].append(one)
    texts, regions = [], {}
    for d, document in enumerate(documents):
        pieces: list[str] = []
        length = done = 0
        for place, sentence, needle in sorted(by_document[d], key=lambda one: one.place):
            before = document.text[done : place.offset]
            if before and not before[-1].isspace():
                before += " "
            start = length + len(before)
            if needle is not None:
                regions[needle] = Region(document.id, start, start + len(sentence))
            pieces += [before, f"{sentence} "]
            length, done = start + len(sentence) + 1, place.offset
        texts.append("".join(pieces) + document.text[done:])
    return texts, regions
