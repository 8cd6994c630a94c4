"""What is compared: systems that read a corpus, and their methods of searching it.

A further system needs the three members of :class:`System`, and what it builds those of :class:`Built`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from s3_retriever.config import Mode, ScoringName
from s3_retriever.documents import Document
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.rivals.embeddings import Embedder, load_embedder
from s3_retriever.evaluation.rivals.windows import WindowRanker, Windows
from s3_retriever.host.model import Host
from s3_retriever.locks import cached_property
from s3_retriever.retriever import S3Retriever

FUSED = "+bm25"
"""How the name of an embedding model fused with BM25 ends."""

WINDOW_BM25 = "window-bm25"
FULL_CONTEXT = "full-context"

PROMPT_ROOM = 256
"""Tokens of the host's window that the full context leaves to the prompt, the question and the answer."""

OWN_METHODS: dict[str, tuple[Mode, ScoringName]] = {
    "s3": ("s3", "attention"),
    "hybrid": ("hybrid", "attention"),
    "bm25": ("bm25", "attention"),
    "paper": ("s3", "paper"),
}
"""Methods of our retriever: mode and scoring."""


class Method(NamedTuple):
    """A way to search.

    Attributes:
        name: For people.
        window: Tokens of the windows that it ranks; 0 where it cuts passages itself.
    """

    name: str
    window: int = 0

    def __str__(self) -> str:
        return f"{self.name} ({self.window})" if self.window else self.name


@dataclass(frozen=True, eq=False)
class Corpus:
    """What a system reads.

    Attributes:
        documents: At least one.
        host: Whose tokens budgets and windows count.
    """

    documents: tuple[Document, ...]
    host: Host

    @cached_property
    def token_starts(self) -> list[npt.NDArray[np.int32]]:
        """Per document, the character offset of each token, int32 (n,)."""
        return [self.host.encode(document.text).starts for document in self.documents]

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(map(len, self.token_starts))


class Built(Protocol):
    """A system that has read a corpus."""

    @property
    def nbytes(self) -> int | None:
        """Bytes of what it searches, texts excluded; None where that cannot be told."""

    def find(self, method: Method, question: str, budget: int, /) -> Sequence[Region]:
        """Return what one of the system's methods finds, best first, ``budget`` tokens at most."""


@dataclass(frozen=True, eq=False)
class Searcher:
    """A system that has read a corpus and whose search is one function.

    Attributes:
        nbytes: Bytes of what it searches, texts excluded; None where that cannot be told.
        find: As :meth:`Built.find`.
    """

    nbytes: int | None
    find: Callable[[Method, str, int], Sequence[Region]]


class System(Protocol):
    """Something that reads a corpus once and then searches it.

    Attributes:
        methods: Its ways to search; at least one.
        budget: The only token budget it is asked with, or None for those of the run.
    """

    methods: tuple[Method, ...]
    budget: int | None

    def build(self, corpus: Corpus) -> Built:
        """Read a corpus."""


class RetrieverSystem:
    """Our retriever.

    Args:
        artifact: What was learned for the host.
        names: Keys of :data:`OWN_METHODS`.
    """

    budget: int | None = None

    def __init__(self, artifact: Artifact, names: Sequence[str]) -> None:
        self.methods = tuple(Method(name) for name in names)
        self._artifact = artifact

    def build(self, corpus: Corpus) -> Built:
        """Scan and index."""
        retriever = S3Retriever.from_documents(corpus.documents, host=corpus.host, artifact=self._artifact)
        return searcher(retriever)


class WindowSystem:
    """Fixed windows, ranked by BM25 or by an embedding model with or without BM25.

    Args:
        window: Tokens per window.
        names: :data:`WINDOW_BM25`, the name of the embedding model, or that and :data:`FUSED`.
        embedder: The embedding model, if one is named.
    """

    budget: int | None = None

    def __init__(self, window: int, names: Sequence[str], embedder: Embedder | None = None) -> None:
        self.methods = tuple(Method(name, window) for name in names)
        self._window, self._embedder = window, embedder

    def build(self, corpus: Corpus) -> Built:
        """Cut and embed the windows, and count their words."""
        windows = Windows(corpus.documents, corpus.token_starts, self._window)
        ranker = WindowRanker(windows, self._embedder)

        def find(method: Method, question: str, budget: int) -> list[Region]:
            if method.name == WINDOW_BM25:
                rank = ranker.by_bm25
            else:
                rank = ranker.by_both if method.name.endswith(FUSED) else ranker.by_embedding
            return windows.take(rank(question), budget)

        return Searcher(ranker.nbytes or None, find)  # BM25 keeps Python objects


class FullContext:
    """No retrieval: the documents as they come, as many tokens as the host's window holds.

    Args:
        budget: Tokens that leave room for the question and its answer.
    """

    methods: tuple[Method, ...] = (Method(FULL_CONTEXT),)

    def __init__(self, budget: int) -> None:
        self.budget: int | None = budget

    def build(self, corpus: Corpus) -> Built:
        """Note the documents."""
        whole = Windows(corpus.documents, corpus.token_starts, max(1, corpus.n_tokens))
        every = np.arange(len(whole.texts))
        return Searcher(0, lambda method, question, budget: whole.take(every, budget))


def searcher(
    base: S3Retriever, ways: Mapping[str, tuple[S3Retriever, Mode, ScoringName]] | None = None
) -> Searcher:
    """Return retrievers over one index as what was built of a system.

    Args:
        base: A retriever over the index.
        ways: By the method's name: which retriever searches, in which mode, by which scoring; the methods in
            :data:`OWN_METHODS`, by the retriever itself, if None.
    """
    known = {name: (base, *mode) for name, mode in OWN_METHODS.items()} if ways is None else ways

    def find(method: Method, question: str, budget: int) -> list[Region]:
        retriever, mode, scoring = known[method.name]
        return regions(retriever, question, budget, mode=mode, scoring=scoring)

    return Searcher(base.nbytes, find)


def regions(
    retriever: S3Retriever, question: str, budget: int, *, mode: Mode, scoring: ScoringName = "attention"
) -> list[Region]:
    """Return the places of the spans that a retriever finds."""
    spans = retriever.retrieve(question, budget, mode=mode, scoring=scoring)
    return [Region(span.doc_id, span.start, span.end) for span in spans]


def make_systems(
    names: Sequence[str], artifact: Artifact, windows: Sequence[int], host: Host
) -> list[System]:
    """Return what offers the methods named; methods that can share a system do.

    Args:
        names: Keys of :data:`OWN_METHODS`, :data:`WINDOW_BM25`, :data:`FULL_CONTEXT`, "infiniretri" (with a
            layer: "infiniretri:17"), or names of embedding models (see
            :func:`s3_retriever.evaluation.rivals.embeddings.load_embedder`), with or without :data:`FUSED`.
        artifact: Of our retriever.
        windows: Sizes of windows, in tokens.
        host: Its window limits the full context.

    Raises:
        InvalidInputError: A name is given twice, the host's window is too small for the full context, or it
            has no attention in a layer that is named.
        HostNotFoundError: An embedding model cannot be loaded.
        MissingDependencyError: sentence-transformers is needed and not installed.
    """
    from s3_retriever.evaluation.rivals.infiniretri import INFINIRETRI, InfiniRetri  # which needs this module

    if len(set(names)) < len(names):
        msg = f"a method is named twice: {', '.join(names)}"
        raise InvalidInputError(msg)
    systems: list[System] = []
    ours = [name for name in names if name in OWN_METHODS]
    if ours:
        systems.append(RetrieverSystem(artifact, ours))
    if WINDOW_BM25 in names:
        systems += [WindowSystem(window, [WINDOW_BM25]) for window in windows]
    reading = [name for name in names if name.partition(":")[0] == INFINIRETRI]
    systems += [InfiniRetri.named(name, host) for name in reading]
    rest = [name for name in names if name not in (*OWN_METHODS, WINDOW_BM25, FULL_CONTEXT, *reading)]
    for model in dict.fromkeys(name.removesuffix(FUSED) for name in rest):
        embedder = load_embedder(model)
        offered = [name for name in rest if name.removesuffix(FUSED) == model]
        systems += [WindowSystem(window, offered, embedder) for window in windows]
    if FULL_CONTEXT in names:
        if host.max_tokens <= PROMPT_ROOM:
            msg = f"{FULL_CONTEXT} needs a window of more than {PROMPT_ROOM} tokens, not {host.max_tokens}"
            raise InvalidInputError(msg)
        systems.append(FullContext(host.max_tokens - PROMPT_ROOM))
    return systems
