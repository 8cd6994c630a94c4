"""InfiniRetri: the host reads all documents for every question and keeps sentences that it attends to.

After Ye, Wang and Wang, "Infinite Retrieval: Attention Enhanced LLMs in Long-Context Processing",
arXiv 2502.12962, section 4. The host reads chunk by chunk. Before a chunk stand the sentences kept so far,
after it the question. The attention of the last layer from the question's tokens is summed over heads and
over phrases of neighbouring tokens, and the sentences with the highest sums are kept, as tokens and not as a
cache. In the paper, the K best tokens decide how much is kept. Here the token budget does, so that all
methods return the same amount. Another layer than the last may be read: small hosts decide earlier where to
look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_settings, optional, whole
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.methods import Corpus, Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.reader import prompt_around
from s3_retriever.evaluation.rivals.attention import AttentionReader, check_layers
from s3_retriever.host.model import Host
from s3_retriever.search.text import character_range, sentences

INFINIRETRI = "infiniretri"

_Ids = npt.NDArray[np.int32]

_LONGEST = 128  # tokens of a sentence; a table without a full stop must not fill the budget


@dataclass(frozen=True)
class InfiniRetriConfig:
    """How the documents are read.

    Attributes:
        chunk: New tokens per pass at most; a longer sentence is a chunk of its own.
        phrase: Neighbouring tokens whose attention is summed (the width of the paper's 1-D convolution).
        layer: Whose attention is read, from 0; None: the last one's, as in the paper.

    Raises:
        InvalidInputError: A value is out of range.
    """

    chunk: int = 1024
    phrase: int = 8
    layer: int | None = None

    def __post_init__(self) -> None:
        check_settings(self, chunk=whole(1), phrase=whole(1), layer=optional(whole()))


class InfiniRetri:
    """The method as a system; it builds nothing.

    Args:
        config: How the documents are read.
    """

    budget: int | None = None

    def __init__(self, config: InfiniRetriConfig | None = None) -> None:
        self._config = config or InfiniRetriConfig()
        layer = self._config.layer
        self.methods: tuple[Method, ...] = (
            Method(INFINIRETRI if layer is None else f"{INFINIRETRI}:{layer}"),
        )

    @classmethod
    def named(cls, name: str, host: Host) -> InfiniRetri:
        """Return the method that is called so: :data:`INFINIRETRI`, or that with a colon and a layer.

        Raises:
            InvalidInputError: What follows the colon is no layer of the host that has attention.
        """
        layer = name.removeprefix(INFINIRETRI).removeprefix(":")
        if layer and not layer.isdecimal():
            msg = f"{name!r} names no layer; write {INFINIRETRI}:17 for layer 17"
            raise InvalidInputError(msg)
        if layer:
            check_layers(host, [int(layer)])  # now, not when the other methods have been asked
        return cls(InfiniRetriConfig(layer=int(layer) if layer else None))

    def build(self, corpus: Corpus) -> BuiltInfiniRetri:
        """Tokenise the documents and cut them into sentences."""
        return BuiltInfiniRetri(corpus, self._config)


class BuiltInfiniRetri:
    """The sentences of a corpus, which every question reads from the first to the last.

    Args:
        corpus: What is read.
        config: How.

    Attributes:
        nbytes: 0: there is no index.
    """

    nbytes: int | None = 0

    def __init__(self, corpus: Corpus, config: InfiniRetriConfig) -> None:
        self._config = config
        self._host = corpus.host
        layer = corpus.host.attention_layers[-1] if config.layer is None else config.layer
        self._reader = AttentionReader(corpus.host, [layer])
        self._sentences = cut_sentences(corpus)

    def find(self, method: Method, question: str, budget: int) -> list[Region]:
        """Return the sentences kept after the last chunk, in the order of the text, neighbours joined.

        Raises:
            InvalidInputError: Prompt, chunk and budget together exceed the host's window.
        """
        prompt = AskingPrompt(self._host, question)
        self._check_window(len(prompt.before) + len(prompt.after), budget)
        kept: list[Sentence] = []
        for chunk in _chunks(self._sentences, self._config.chunk):
            read = [*kept, *chunk]
            (received,) = prompt.attention(self._reader, read)
            kept = best_sentences(read, received, self._config.phrase, budget)
        return _passages(kept)

    def _check_window(self, prompt: int, budget: int) -> None:
        longest = prompt + budget + self._config.chunk + _LONGEST
        if longest > self._host.max_tokens:
            msg = (
                f"{INFINIRETRI} reads up to {longest} tokens at once, the budget of {budget} included, and "
                f"the host's window has {self._host.max_tokens}; ask for less"
            )
            raise InvalidInputError(msg)


class AskingPrompt:
    """The host's prompt around sentences, and the question in it.

    Args:
        host: The host.
        question: Its text.

    Attributes:
        before: Ids before the text, int32 (n,).
        after: Ids after it, int32 (m,).
    """

    def __init__(self, host: Host, question: str) -> None:
        encode: Any = host.tokenizer
        before, after = prompt_around(encode, question)
        start = after.index(question.strip())  # templates may strip it
        end = start + len(question.strip())
        rest = encode(after, add_special_tokens=False, return_offsets_mapping=True)
        inside = [i for i, (a, b) in enumerate(rest["offset_mapping"]) if a < end and b > start]
        self.before: _Ids = np.array(encode(before, add_special_tokens=False)["input_ids"], np.int32)
        self.after: _Ids = np.array(rest["input_ids"], np.int32)
        self._asking = inside[0] - len(self.after), inside[-1] + 1 - len(self.after)  # from the end

    def attention(self, reader: AttentionReader, read: Sequence[Sentence]) -> npt.NDArray[np.float32]:
        """Return how much the question attends to each token of the sentences, float32 (layers, tokens)."""
        ids = np.concatenate([self.before, *(one.ids for one in read), self.after])
        rows = slice(*(len(ids) + place for place in self._asking))
        return reader.received(ids, rows)[:, len(self.before) : len(ids) - len(self.after)]


@dataclass(frozen=True, eq=False)
class Sentence:
    """Tokens that are kept or dropped together.

    Attributes:
        number: Place among all sentences of the corpus.
        region: Where it stands.
        ids: int32 (n,), at most :data:`_LONGEST`.
    """

    number: int
    region: Region
    ids: _Ids


def cut_sentences(corpus: Corpus) -> list[Sentence]:
    """Cut all documents into sentences; one of more than :data:`_LONGEST` tokens becomes several."""
    found: list[Sentence] = []
    for document in corpus.documents:
        tokens = corpus.host.encode(document.text)
        borders = np.searchsorted(tokens.starts, [start for start, _ in sentences(document.text)])
        for first, last in pairwise([*np.unique(borders), len(tokens)]):
            for start in range(first, last, _LONGEST):
                end = min(start + _LONGEST, last)
                region = Region(document.id, *character_range(document.text, tokens.starts, start, end))
                found.append(Sentence(len(found), region, tokens.ids[start:end]))
    return found


def _chunks(every: Sequence[Sentence], size: int) -> Iterator[list[Sentence]]:
    """Yield neighbouring sentences of at most ``size`` tokens together; a longer one comes alone."""
    chunk: list[Sentence] = []
    n = 0
    for one in every:
        if chunk and n + len(one.ids) > size:
            yield chunk
            chunk, n = [], 0
        chunk.append(one)
        n += len(one.ids)
    if chunk:
        yield chunk


def best_sentences(
    read: Sequence[Sentence], received: npt.NDArray[np.float32], phrase: int, budget: int
) -> list[Sentence]:
    """Return the sentences with the best tokens, as many as fit the budget, in the order of the text.

    Args:
        read: In the order in which they were read.
        received: Attention to their tokens, one after the other, float32 (tokens,).
        phrase: Neighbouring tokens whose attention is summed.
        budget: Tokens.
    """
    sums = np.convolve(received, np.ones(phrase, np.float32))[phrase // 2 :][: len(received)]
    starts = np.cumsum([0, *(len(one.ids) for one in read[:-1])])
    chosen = []
    for i in np.argsort(-np.maximum.reduceat(sums, starts), kind="stable"):
        if len(read[i].ids) <= budget:
            chosen.append(read[i])
            budget -= len(read[i].ids)
    return sorted(chosen, key=lambda one: one.number)


def _passages(kept: Sequence[Sentence]) -> list[Region]:
    """Return where the sentences stand; those that follow each other in a document are one region."""
    found: list[Region] = []
    for one in kept:
        if found and (found[-1].doc_id, found[-1].end) == one.region[:2]:
            found[-1] = found[-1]._replace(end=one.region.end)
        else:
            found.append(one.region)
    return found
