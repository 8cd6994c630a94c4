"""How rare the terms of a question are in a corpus, and how much each counts for that.

Rarity is Lucene's inverse document frequency, ``log(1 + (N - n + 0.5) / (n + 0.5))`` for a term in n of N
cells, because Okapi's is negative for terms in more than half of the cells, which small corpora are full
of (Kamphuis et al., "Which BM25 do you mean?", ECIR 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from s3_retriever.index.words import Asked


@dataclass(frozen=True)
class RarityBoost:
    """Lets rare words count more than they do in plain BM25.

    A word that few cells hold may be rare in the corpus by chance, as "happens" is in a reference manual;
    one that is rare in its language too is a name, a number or a term of art.

    Attributes:
        power: 0 is plain BM25; the higher, the more the rarest words decide.
        surprise: How rare a word is in its language, in [0, 1].
    """

    power: float
    surprise: Callable[[str], float]

    def weight(self, term: str, n: int, n_cells: int) -> float:
        """Return (idf / idf of a term that one cell has, times surprise) to the power, in [0, 1].

        Args:
            term: Of the question.
            n: Cells that have the term, at least 1.
            n_cells: All cells.
        """
        weight: float = (self.surprise(term) * idf(n, n_cells) / idf(1, n_cells)) ** self.power
        return weight


def idf(n: int, n_cells: int) -> float:
    """Return the inverse document frequency of a term that n cells have."""
    return math.log(1 + (n_cells - n + 0.5) / (n + 0.5))


def weighted_idf(term: Asked, n: int, n_cells: int, boost: RarityBoost | None) -> float:
    """Return what a term's idf counts, with the weights of the question and of a boost.

    Args:
        term: Of the question.
        n: Cells that have the term or, if it is a weaker form, that or the word: it is never the rarer one.
        n_cells: All cells.
        boost: Tells how many times it counts.
    """
    own = term.weight * idf(n, n_cells)
    return own if boost is None else own * boost.weight(term.exact or term.term, n, n_cells)
