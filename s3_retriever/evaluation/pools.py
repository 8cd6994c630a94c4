"""Contexts of a given length, made by pooling documents of evaluation sets.

A pool holds the evidence of as many questions as fit, and other documents up to the length. One index or KV
cache then serves all of these questions.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import EvaluationSet, Question
from s3_retriever.evaluation.metrics import Region
from s3_retriever.host.model import Host
from s3_retriever.search.text import sentences

_MOST_OF_A_POOL = 4
"""A document longer than this part of a pool is cut, so that no pool is a single document."""


@dataclass(frozen=True)
class Pool:
    """Documents that are read together, and the questions whose evidence they hold.

    Attributes:
        length: Tokens of the host that the documents have at most.
        set: Name of the set of the questions.
        data: Documents in seeded order, ids ``SET/ID`` or, where cut, ``SET/ID[START:END]``; and questions.
    """

    length: int
    set: str
    data: EvaluationSet


@dataclass(frozen=True)
class _Cut:
    """A document, or sentences of it.

    Attributes:
        document: With its id in the pool.
        source: Name of the set, and id of the document in it.
        start: Of its first character in the document.
        n_tokens: Of its text.
    """

    document: Document
    source: tuple[str, str]
    start: int
    n_tokens: int

    def within(self, region: Region) -> Region | None:
        """Return what of a region of the document lies in this part, if anything."""
        start = max(region.start - self.start, 0)
        end = min(region.end - self.start, len(self.document.text))
        return Region(self.document.id, start, end) if start < end else None


def make_pools(
    sets: Sequence[EvaluationSet], lengths: Sequence[int], n_questions: int | None, host: Host, seed: int = 0
) -> list[Pool]:
    """Pool the documents of some sets.

    Of each set the same number of questions is asked at every length, evenly spaced among those whose
    evidence fits. What a pool has beside their evidence is drawn from the set and, when that is used up, from
    the others.

    Args:
        sets: With gold regions; questions without are left out.
        lengths: Tokens per pool.
        n_questions: Of each set and length, at most; None: all.
        host: Counts the tokens.
        seed: Of the documents drawn and of their order.

    Returns:
        Pools by length and set, each question of a length in one of them.

    Raises:
        InvalidInputError: The evidence of no question of a set fits a length.
    """
    pools = []
    for length in lengths:
        parts = {one.name: _parts(one, length // _MOST_OF_A_POOL, host) for one in sets}
        for one in sets:
            pools += _pools_of(one, length, n_questions, parts, seed)
    return pools


def _parts(data: EvaluationSet, most: int, host: Host) -> list[_Cut]:
    """Return the documents, those of more than ``most`` tokens cut between sentences, or within one."""
    found = []
    for document in data.documents:
        source, id_ = (data.name, document.id), f"{data.name}/{document.id}"
        starts = host.encode(document.text).starts
        if len(starts) <= most:
            whole = Document(id_, document.text, document.title)
            found.append(_Cut(whole, source, 0, len(starts)))
            continue
        borders = np.array([start for start, _ in sentences(document.text)] + [len(document.text)])
        start = 0
        while start < len(document.text):
            first = bisect_left(starts, start)
            if first + most >= len(starts):
                end = len(document.text)
            else:
                limit = int(starts[first + most])
                border = int(borders[np.searchsorted(borders, limit, side="right") - 1])
                end = border if border > start else max(limit, start + 1)
            text = document.text[start:end]
            cut = Document(f"{id_}[{start}:{end}]", text, document.title)
            found.append(_Cut(cut, source, start, host.count_tokens(text)))
            start = end
    return found


def _pools_of(
    data: EvaluationSet,
    length: int,
    n_questions: int | None,
    parts: dict[str, list[_Cut]],
    seed: int,
) -> list[Pool]:
    own: dict[str, list[_Cut]] = {}
    for part in parts[data.name]:
        own.setdefault(part.source[1], []).append(part)
    sizes = {part.document.id: part.n_tokens for part in parts[data.name]}
    fitting: list[tuple[Question, set[str]]] = []
    for question in data.questions:
        moved = [part.within(region) for region in question.evidence for part in own[region.doc_id]]
        evidence = tuple(region for region in moved if region is not None)
        needed = {region.doc_id for region in evidence}
        if needed and sum(sizes[id_] for id_ in needed) <= length:
            kept = Question(question.id, question.text, evidence, question.answers)
            fitting.append((kept, needed))
    if not fitting:
        msg = f"{data.name} has no question whose evidence fits a context of {length} tokens"
        raise InvalidInputError(msg)
    n = len(fitting)
    picked = np.linspace(0, n - 1, min(n, n if n_questions is None else n_questions)).astype(int)
    groups: list[tuple[list[Question], set[str]]] = []
    for question, needed in (fitting[i] for i in picked):
        for questions, held in groups:  # the first one with room
            if sum(sizes[id_] for id_ in held | needed) <= length:
                questions.append(question)
                held |= needed
                break
        else:
            groups.append(([question], set(needed)))
    pools = []
    for number, (questions, held) in enumerate(groups, 1):
        rng = np.random.default_rng([seed, length, number, zlib.crc32(data.name.encode())])
        documents = _filled(held, length, data.name, parts, rng)
        name = f"{data.name}@{length}#{number}"
        pools.append(Pool(length, data.name, EvaluationSet(name, documents, tuple(questions))))
    return pools


def _filled(
    held: set[str], length: int, name: str, parts: dict[str, list[_Cut]], rng: np.random.Generator
) -> tuple[Document, ...]:
    """Return the parts held and others up to the length; parts of one document stay in order."""
    every = [part for own in (name, *(other for other in parts if other != name)) for part in parts[own]]
    chosen = [part for part in every if part.document.id in held]
    room = length - sum(part.n_tokens for part in chosen)
    drawn = [every[i] for i in rng.permutation(len(every))]
    for part in sorted(drawn, key=lambda one: one.source[0] != name):
        if part.n_tokens <= room and part.document.id not in held:
            chosen.append(part)
            room -= part.n_tokens
    sources = list(dict.fromkeys(part.source for part in every))
    ranks = dict(zip(sources, rng.permutation(len(sources)), strict=True))
    return tuple(part.document for part in sorted(chosen, key=lambda one: (ranks[one.source], one.start)))
