"""All scoring of an index: from a question's rows and words to one density over the cells of an index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_settings, instance
from s3_retriever.index.codes import codes
from s3_retriever.index.related import widened
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.words import Asked
from s3_retriever.index.words import asked as asked_terms
from s3_retriever.search.coactivation import coactivation
from s3_retriever.search.density import Float32, Int64, paper_density, token_weights
from s3_retriever.search.kernels import LANES, cell_counts, cell_masses, n_groups
from s3_retriever.search.lexical import Float64, LexicalIndex
from s3_retriever.search.lookup import TermLookup
from s3_retriever.search.rarity import RarityBoost
from s3_retriever.search.scoring import Scoring, lexical_density
from s3_retriever.search.stretches import Stretches
from s3_retriever.search.totals import totals
from s3_retriever.search.workers import Workers

if TYPE_CHECKING:  # its module loads torch
    from s3_retriever.encode.question import QueryRows, SharedFeatures

_R = TypeVar("_R")

TOGETHER = 64
"""Rows of a question that are scored at a time."""

MASS_BYTES = 1 << 27
"""Bytes of the masses of all rows that are scored at a time, unless :data:`TOGETHER` rows have more."""


Fuse = Callable[[Float32, Float32], Float32]
"""Joins the densities of S3 and BM25, float32 (C,) each, to one."""


class Densities(NamedTuple):
    """What each side says of every cell, float32 (C,); None where a mode leaves a side out."""

    s3: Float32 | None
    bm25: Float32 | None

    def fused(self, fuse: Fuse) -> Float32:
        """Join the sides, where there are two."""
        if self.s3 is None or self.bm25 is None:
            (side,) = (side for side in self if side is not None)
            return side.copy()
        return fuse(self.s3, self.bm25)


@dataclass(frozen=True, eq=False)
class Ranker:
    """Scores the cells of an index for a question. It knows neither host nor torch.

    Attributes:
        scoring: Constants.
        lexical: BM25 over the same index.
        surprise: How rare a word is in its language, in [0, 1]; see ``Host.surprise``.
        rarity: Whether a question's rare tokens count more than common ones.
        fuse: Joins the densities of S3 and BM25. Both are sums of logarithms over question tokens, so their
            sum will do.
        workers: Threads that searches share.

    Raises:
        InvalidInputError: A value is of another type.
    """

    scoring: Scoring
    lexical: LexicalIndex
    surprise: Callable[[str], float]
    rarity: bool = True
    fuse: Fuse = np.add
    workers: Workers = field(default_factory=Workers)

    def __post_init__(self) -> None:
        function = instance(Callable, "a function")
        check_settings(
            self,
            scoring=instance(Scoring, "a Scoring"),
            lexical=instance(LexicalIndex, "a LexicalIndex"),
            surprise=function,
            fuse=function,
            workers=instance(Workers, "a Workers"),
        )

    def terms(self, snapshot: Snapshot, question: str, *, alone: bool) -> list[Asked]:
        """Return the terms that BM25 asks for: a question's and, beside S3, related ones and its codes."""
        terms = asked_terms(question)
        return terms if alone else [*widened(terms, snapshot.related_terms), *codes(question)]

    def bm25(self, snapshot: Snapshot, terms: Sequence[Asked], *, alone: bool) -> Float32:
        """Return the density of BM25, float32 (C,).

        Args:
            snapshot: What is searched.
            terms: Of the question; see :meth:`terms`.
            alone: Whether no other side is added: plain BM25, averaged at :data:`BM25_WIDTHS`. Else rare
                words count more, and widths and weights are those of the scoring, but for source code.
        """
        lookup = TermLookup(snapshot)
        return self._lexical(Stretches.whole(snapshot), partial(self.lexical.scores, lookup, terms), alone)

    def bm25_parts(
        self, snapshot: Snapshot, terms: Sequence[Asked], cells: Int64, *, alone: bool
    ) -> Iterator[tuple[Float32, Float32]]:
        """Yield the summands of :meth:`bm25` at some cells, for each term of a question.

        Args:
            snapshot: What is searched.
            terms: Of the question.
            cells: int64 (n,).
            alone: As of :meth:`bm25`.

        Yields:
            For words in texts, and for words above them, float32 (n,) each.
        """
        lookup = TermLookup(snapshot)
        near = Stretches.around(snapshot, cells, self.scoring.all_bm25_widths)
        places = near.places(cells)
        for term in terms:
            sides = (partial(side, lookup, [term]) for side in self.lexical.sides)
            text, above = (self._lexical(near, side, alone)[places] for side in sides)
            yield text, above

    def _lexical(
        self, stretches: Stretches, scored: Callable[[RarityBoost | None], Float64], alone: bool
    ) -> Float32:
        return lexical_density(self.scoring, stretches, scored, self.surprise, alone=alone)

    def s3(
        self,
        snapshot: Snapshot,
        asked: Sequence[tuple[npt.NDArray[np.int32], Sequence[QueryRows]]],
        then: Callable[[int, Float32], _R],
        means: Sequence[list[Float32]] | None = None,
    ) -> list[_R]:
        """Score several questions as attention would; return what ``then`` makes of the density of each.

        Questions share what is read of the index, and each has the density that it has alone, bit for bit.

        Args:
            snapshot: What is searched.
            asked: Of each question, its tokens, int32 (n,), and the rows of each query head, in the order of
                ``head_weights``.
            then: Is given the number of a question and its density, float32 (C,), in one of the workers, and
                may write on it.
            means: Of each question, a list that takes the means of exp(s) over all tokens of the corpus, for
                the rows that are looked up, in pieces, float32; the last one may go on behind the last row.
        """
        looked_up = self.workers.map(lambda one: self._looked_up(snapshot, *one), asked)
        densities = {i: np.zeros(snapshot.n_cells, np.float32) for i in range(len(asked))}
        found: dict[int, _R] = {}

        def finish(i: int) -> None:
            found[i] = then(i, densities.pop(i))

        pieces = [
            _Piece(i, slice(first, first + TOGETHER))
            for i, one in enumerate(looked_up)
            for first in range(0, len(one.features), TOGETHER)
        ]
        most = max(1, MASS_BYTES // (4 * LANES * n_groups(TOGETHER) * max(1, snapshot.n_cells)))
        for first in range(0, len(pieces), most):
            some, rest = pieces[first : first + most], pieces[first + most :]
            complete = {piece.question for piece in some} - {piece.question for piece in rest}
            self._add(snapshot, looked_up, some, densities, means, complete, finish)
        self.workers.each(finish, [*densities])
        return [found[i] for i in range(len(asked))]

    def _add(
        self,
        snapshot: Snapshot,
        looked_up: Sequence[_LookedUp],
        pieces: Sequence[_Piece],
        densities: Mapping[int, Float32],
        means: Sequence[list[Float32]] | None,
        complete: set[int],
        then: Callable[[int], None],
    ) -> None:
        """Score some pieces, see :meth:`s3`.

        Where they are of as many questions as there are threads, each thread has questions of its own. It
        adds one up in one kernel, without Python's lock in between, and does ``then`` with it where it is
        complete.
        """
        masses = self._masses(snapshot, [looked_up[i].rows(rows) for i, rows in pieces])
        by_question: defaultdict[int, list[tuple[Float32, slice]]] = defaultdict(list)
        for own, (i, rows) in zip(masses, pieces, strict=True):
            by_question[i].append((own, rows))

        is_own = len(by_question) >= self.workers.n_threads
        workers = Workers(1) if is_own else self.workers

        def add(i: int) -> None:
            cells = snapshot.cell_tokens, snapshot.document_cells
            weights, scales = looked_up[i].row_weights, self.scoring.scales
            for own, rows in by_question[i]:
                if means is not None:
                    means[i].append(totals(own, *cells, workers).means)
                densities[i][:] += coactivation(own, weights[rows], *cells, scales, workers)
            if is_own and i in complete:
                then(i)

        self.workers.each(add, [*by_question])

    def _looked_up(
        self, snapshot: Snapshot, ids: npt.NDArray[np.int32], rows: Sequence[QueryRows]
    ) -> _LookedUp:
        token_weights = self.token_weights(snapshot, ids)
        asking = token_weights > 0
        features, weights = side_by_side(rows, asking)
        taps = np.repeat([row.tap for row in rows], asking.sum())
        return _LookedUp(taps, features, weights, self.scoring.row_weights(token_weights[asking]))

    def _masses(self, snapshot: Snapshot, pieces: Sequence[_LookedUp]) -> list[Float32]:
        """Return the masses of several pieces, as :func:`cell_masses` returns those of each."""
        groups = [n_groups(len(piece.features)) for piece in pieces]
        ends = np.cumsum(groups)
        width = max(piece.features.shape[1] for piece in pieces)
        features = np.full((LANES * ends[-1], width), -1, np.int32)
        weights = np.zeros(features.shape, np.float32)
        taps = np.zeros(len(features), np.int64)
        for piece, end, size in zip(pieces, ends, groups, strict=True):
            own = slice(LANES * (end - size), LANES * (end - size) + len(piece.features))
            used = piece.features.shape[1]
            features[own, :used], weights[own, :used], taps[own] = piece.features, piece.weights, piece.taps
        last = len(features) - LANES * groups[-1] + len(pieces[-1].features)  # lanes behind it need no row
        masses = cell_masses(snapshot.parts, taps[:last], features[:last], weights[:last], self.workers)
        return [masses[end - size : end] for end, size in zip(ends, groups, strict=True)]

    def paper(self, snapshot: Snapshot, shared: Iterable[SharedFeatures]) -> Float32:
        """Return the density of the published scoring, float32 (C,): shared features, weighted by rarity."""
        counts = np.zeros(snapshot.n_cells, np.float32)
        for tap, features, times in shared:
            rarity = np.log1p(snapshot.n_tokens / (1 + snapshot.frequencies(tap)[features]))
            counts += cell_counts(snapshot.parts, tap, features, (times * rarity).astype(np.float32))
        return paper_density(counts, snapshot.document_cells)

    def token_weights(self, snapshot: Snapshot, ids: npt.NDArray[np.int32]) -> Float32:
        """Return how much each token of a question counts, float32 (n,); see :func:`token_weights`."""
        if not self.rarity:
            return np.ones(len(ids), np.float32)
        return token_weights(ids, [snapshot.cells_of_tokens], snapshot.n_cells)


class _LookedUp(NamedTuple):
    """The rows of a question that are looked up, head by head.

    Attributes:
        taps: int (R,).
        features: int32 (R, F), -1 for unused.
        weights: float32 (R, F).
        row_weights: float32 (R, S), of each row at each scale.
    """

    taps: npt.NDArray[np.int_]
    features: npt.NDArray[np.int32]
    weights: Float32
    row_weights: Float32

    def rows(self, some: slice) -> _LookedUp:
        """Return some of the rows."""
        return _LookedUp(self.taps[some], self.features[some], self.weights[some], self.row_weights[some])


class _Piece(NamedTuple):
    """Rows of one question that are scored at a time."""

    question: int
    rows: slice


def side_by_side(
    rows: Sequence[QueryRows], asking: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], Float32]:
    """Lay the asking rows of all heads one after the other; features int32 (R, F), weights float32 (R, F).

    Args:
        rows: Of each query head.
        asking: bool (n,), whether each token of the question is looked up.
    """
    widest = max((row.features.shape[1] for row in rows), default=0)
    features = np.full((len(rows), asking.sum(), widest), -1, np.int32)
    weights = np.zeros(features.shape, np.float32)
    for h, row in enumerate(rows):
        used = row.features.shape[1]
        features[h, :, :used], weights[h, :, :used] = row.features[asking], row.weights[asking]
    return features.reshape(-1, widest), weights.reshape(-1, widest)
