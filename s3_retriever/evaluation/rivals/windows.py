"""The window baselines: fixed windows ranked by BM25, by an embedding model, or by both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.rivals.embeddings import Embedder
from s3_retriever.index.words import asked, words
from s3_retriever.search.text import character_range

Order = npt.NDArray[np.int64]
"""Numbers of windows, best first."""

WINDOW_SIZES = (64, 128, 256)
"""Tokens of the host per window."""

RRF_K = 60


class Windows:
    """A corpus in windows of a fixed number of tokens; a document's last one may be shorter.

    Attributes:
        texts: One per window, in order.

    Args:
        documents: The corpus.
        token_starts: Per document, the character offset of each token.
        size: Tokens per window.
    """

    def __init__(
        self, documents: Sequence[Document], token_starts: Sequence[npt.NDArray[np.int32]], size: int
    ) -> None:
        self._documents = documents
        self._starts = token_starts
        self._ranges = [
            (doc, first, min(first + size, len(starts)))
            for doc, starts in enumerate(token_starts)
            for first in range(0, len(starts), size)
        ]
        regions = (self._region(*tokens) for tokens in self._ranges)
        self.texts = [
            documents[tokens[0]].text[region.start : region.end]
            for tokens, region in zip(self._ranges, regions, strict=True)
        ]

    def take(self, order: Order, budget: int) -> list[Region]:
        """Return the first windows that have ``budget`` tokens together; the last one is cut to fit."""
        regions = []
        for window in order:
            if budget <= 0:
                break
            doc, first, last = self._ranges[window]
            last = min(last, first + budget)
            budget -= last - first
            regions.append(self._region(doc, first, last))
        return regions

    def _region(self, doc: int, first: int, last: int) -> Region:
        """Return the characters of the tokens [first, last), and of what no token covers before them."""
        starts, document = self._starts[doc], self._documents[doc]
        start, end = character_range(document.text, starts, first, last)
        return Region(document.id, start, end)


class LuceneBM25:
    """BM25 of ``rank_bm25`` with the inverse document frequency of Lucene.

    That is ``log(1 + (N - n + 0.5) / (n + 0.5))`` for a term in n of N texts. Okapi's is negative for terms
    in more than half of the texts, and ``rank_bm25`` then puts a share of the mean in its place (Kamphuis et
    al., "Which BM25 do you mean?", ECIR 2020).

    Args:
        texts: The terms of each text.
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._no_scores = np.zeros(len(texts))
        self._bm25 = None
        if any(texts):  # rank_bm25 divides by the number of texts and by that of terms
            n_texts_of = Counter(term for text in texts for term in set(text))
            self._bm25 = BM25Okapi(texts, k1=1.5, b=0.75)
            self._bm25.idf = {
                term: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for term, n in n_texts_of.items()
            }

    def scores(self, terms: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the score of every text, float64 (n,); 0 where no term occurs."""
        if self._bm25 is None:
            return self._no_scores
        found: npt.NDArray[np.float64] = self._bm25.get_scores(terms)
        return found


class WindowRanker:
    """Ranks windows for a question by BM25, by an embedding model, and by both.

    Args:
        windows: The corpus.
        embedder: The embedding model; None where only BM25 is asked for.

    Attributes:
        nbytes: Of the embeddings.
    """

    def __init__(self, windows: Windows, embedder: Embedder | None) -> None:
        self._bm25 = LuceneBM25([_terms(text) for text in windows.texts])
        self._embedder = embedder
        self._vectors = np.zeros((0, 0), np.float32) if embedder is None else embedder.embed(windows.texts)
        self.nbytes = self._vectors.nbytes

    def by_bm25(self, question: str) -> Order:
        """Rank by BM25."""
        words_asked = [one.term for one in asked(question) if one.weight > 0.5]
        return _order(self._bm25.scores(words_asked))

    def by_embedding(self, question: str) -> Order:
        """Rank by the cosine of the embeddings.

        Raises:
            InvalidInputError: There is no embedding model.
        """
        if self._embedder is None:
            msg = "ranking by embeddings needs an embedding model"
            raise InvalidInputError(msg)
        return _order(self._vectors @ self._embedder.embed_question(question))

    def by_both(self, question: str) -> Order:
        """Rank by reciprocal rank fusion of the two."""
        return reciprocal_rank_fusion([self.by_bm25(question), self.by_embedding(question)])


def reciprocal_rank_fusion(orders: Sequence[Order]) -> Order:
    """Fuse rankings of the same items by the sum of 1 / (60 + rank), ranks from 1.

    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet", SIGIR 2009.
    """
    scores = np.zeros(len(orders[0]))
    for order in orders:
        scores[order] += 1 / (RRF_K + np.arange(1, len(order) + 1))
    return _order(scores)


def _terms(text: str) -> list[str]:
    return [term for term, _ in words(text)]


def _order(scores: npt.NDArray[np.floating]) -> Order:
    return np.argsort(-scores, kind="stable")
