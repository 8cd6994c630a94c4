"""Questions made from documents that nobody asked anything about, so that a host can be calibrated on them.

A sentence with telling words is the evidence; some of these words, in their order, are the question, but not
the rarest one, which stands for the answer, and a name out of the sentence before helps to find the place.
Words tell something when few sentences have them, whatever the language: no list of stop words is needed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.features.pairs import Pair
from s3_retriever.search.text import sentences, words

_LENGTHS = range(50, 600)  # characters of a sentence that is asked about
_COMMON = 0.01  # a word in more than this share of the sentences tells nothing ...
_SEVERAL = 5  # ... if it is in more than so many
_LEAST_TELLING = 4
_ASKED = range(3, 7)  # words of a question
_SURFACE = re.compile(r"[\w’'-]*\w")


@dataclass(frozen=True)
class _Sentence:
    """A sentence, with the terms in it and where each first stands in the document."""

    document: int
    start: int
    end: int
    terms: dict[str, int]


def make_pairs(documents: Sequence[Document], *, max_pairs: int = 500, seed: int = 0) -> list[Pair]:
    """Make questions from documents.

    Args:
        documents: Any text.
        max_pairs: Pairs to make at most.
        seed: Fixes which sentences are asked about, and with which words.

    Returns:
        Pairs in the order of the documents, one per sentence that is asked about.

    Raises:
        InvalidInputError: ``max_pairs`` is below 1, or no sentence has enough telling words.
    """
    if max_pairs < 1:
        msg = f"max_pairs must be at least 1, not {max_pairs}"
        raise InvalidInputError(msg)
    cut = [
        _Sentence(number, *span, _terms(document.text, *span))
        for number, document in enumerate(documents)
        for span in sentences(document.text)
    ]
    counts = Counter(term for sentence in cut for term in sentence.terms)
    most = max(_SEVERAL, _COMMON * len(cut))
    telling = [[term for term in sentence.terms if counts[term] <= most] for sentence in cut]
    suitable = [
        i
        for i, sentence in enumerate(cut)
        if len(telling[i]) >= _LEAST_TELLING and sentence.end - sentence.start in _LENGTHS
    ]
    if not suitable:
        msg = (
            f"none of {len(cut)} sentences in {len(documents)} documents has {_LEAST_TELLING} telling words: "
            "questions are made from running text; give more of it"
        )
        raise InvalidInputError(msg)
    rng = np.random.default_rng(seed)
    pairs = []
    for i in sorted(rng.permutation(suitable)[:max_pairs].tolist()):
        sentence = cut[i]
        document = documents[sentence.document]
        before = cut[i - 1] if i and cut[i - 1].document == sentence.document else None
        name = _name(document.text, before, telling[i - 1], sentence) if before else ""
        asked = _asked(sentence, telling[i], counts, rng)
        question = " ".join([*([name] if name else []), *(_surface(document.text, at) for at in asked)])
        end = sentence.start + len(document.text[sentence.start : sentence.end].rstrip())
        pairs.append(Pair(f"What {question}?", document.id, ((sentence.start, end),)))
    return pairs


def _terms(text: str, start: int, end: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for term, at in words(text[start:end]):
        found.setdefault(term, start + at)
    return found


def _asked(
    sentence: _Sentence, telling: Sequence[str], counts: Counter[str], rng: np.random.Generator
) -> list[int]:
    """Return where the words of the question stand: some of the rarest ones, but for the rarest of all."""
    by_rarity = sorted(telling, key=lambda term: (counts[term], sentence.terms[term]))[1:]
    n = int(rng.integers(min(_ASKED.start, len(by_rarity)), min(_ASKED.stop, len(by_rarity) + 1)))
    near = by_rarity[: 2 * n]
    kept = rng.permutation(len(near))[:n]
    return sorted(sentence.terms[near[k]] for k in kept.tolist())


def _name(text: str, before: _Sentence, telling: Sequence[str], sentence: _Sentence) -> str:
    """Return a word of the sentence before that begins with a capital, though no sentence; or nothing."""
    for term in telling:
        at = before.terms[term]
        if text[at].isupper() and at > before.start and term not in sentence.terms:
            return _surface(text, at)
    return ""


def _surface(text: str, start: int) -> str:
    """Return a word as it is written."""
    match = _SURFACE.match(text, start)
    return match[0] if match else text[start]
