"""A part of a corpus, searched in two rounds: statistics, which are added up, then cells.

Document frequencies, lengths and the softmax are about the whole corpus. So a shard first counts what it
has, and scores its cells when it is told the sums. The counts are whole numbers, and what follows from them
happens per document: the scores are those of an undivided index, bit for bit.
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.errors import ShardStateError
from s3_retriever.index.documents import of_line
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.units import ARRAYS as UNIT_ARRAYS
from s3_retriever.index.units import UnitColumns
from s3_retriever.index.words import Asked
from s3_retriever.search.coactivation import Totals, coactivation, totals
from s3_retriever.search.context import TermCounts, context_scores, term_counts
from s3_retriever.search.density import Float32, Int64, widening
from s3_retriever.search.filters import Filter, as_filter, matching
from s3_retriever.search.kernels import cell_counts, cell_frequencies, cell_masses
from s3_retriever.search.lexical import BM25
from s3_retriever.search.passages import Page
from s3_retriever.search.rank import (
    BM25_WIDTHS,
    TOGETHER,
    Densities,
    Fuse,
    Scoring,
    bm25_density,
    paper_density,
)
from s3_retriever.search.rarity import RarityBoost
from s3_retriever.search.workers import Workers

_UNUSED = 65_535
_KEPT_BYTES = 1 << 30  # of masses, from the first round to the second
_QUESTIONS = 16  # whose first round is remembered


class Facts(NamedTuple):
    """What a shard holds, known before any question.

    Attributes:
        n_documents: Documents.
        n_cells: Cells.
        n_tokens: Tokens.
        n_terms: Terms, repeated ones counted.
        nbytes: Bytes of the arrays of its segments.
        token_cells: int64, for each token id, cells that hold it.
    """

    n_documents: int
    n_cells: int
    n_tokens: int
    n_terms: int
    nbytes: int
    token_cells: Int64


@dataclass(frozen=True)
class Question:
    """A question as it is sent to shards; what the mode does not need is empty.

    Attributes:
        mode: "hybrid", "s3" or "bm25".
        terms: Its words as terms.
        surprise: How rare each is in its language.
        taps: int16 (R,), of each row.
        features: uint16 (R, F), 65,535 for unused.
        weights: float32 (R, F).
        row_weights: float32 (R, S), of each row at each scale.
        fluency: What S3's density is multiplied by.
        shared: Of the published scoring: tap, features and how often each occurs.
        where: Which documents may be returned.
    """

    mode: str
    terms: tuple[Asked, ...] = ()
    surprise: tuple[float, ...] = ()
    taps: npt.NDArray[np.int16] | None = None
    features: npt.NDArray[np.uint16] | None = None
    weights: Float32 | None = None
    row_weights: Float32 | None = None
    fluency: float = 1.0
    shared: tuple[tuple[int, npt.NDArray[Any], npt.NDArray[Any]], ...] | None = None
    where: Filter | Mapping[str, Any] | None = None


def packed_features(features: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
    """Return features, -1 for unused, as :class:`Question` has them."""
    return np.where(features < 0, _UNUSED, features).astype(np.uint16)


class Counted(NamedTuple):
    """What the first round says of a shard, and, added up, what the second one is told of the corpus.

    Attributes:
        eligible: Documents that may be returned.
        n_tokens: Tokens of all documents.
        terms: What BM25 depends on.
        totals: Masses of the rows, 64 at a time.
        frequencies: Of the features of the published scoring.
    """

    eligible: int
    n_tokens: int
    terms: TermCounts
    totals: tuple[Totals, ...]
    frequencies: tuple[Int64, ...]

    @classmethod
    def of_all(cls, counted: Sequence[Counted]) -> Counted:
        """Return what several shards hold together."""
        terms = TermCounts(
            sum(one.terms.n_cells for one in counted),
            sum(one.terms.n_terms for one in counted),
            *(
                tuple(map(_added, zip(*of_shards, strict=True)))
                for of_shards in zip(*(one.terms[2:] for one in counted), strict=True)
            ),
        )
        masses = []
        for of_shards in zip(*(one.totals for one in counted), strict=True):
            total = of_shards[0]
            for one in of_shards[1:]:
                total = total + one
            masses.append(total)
        of_features = zip(*(one.frequencies for one in counted), strict=True)
        frequencies = tuple(np.stack(of_shards).sum(axis=0, dtype=np.int64) for of_shards in of_features)
        eligible, n_tokens = (sum(values) for values in zip(*(one[:2] for one in counted), strict=True))
        return cls(eligible, n_tokens, terms, tuple(masses), frequencies)


def _added(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(one[0] for one in pairs), sum(one[1] for one in pairs)


class Cells(NamedTuple):
    """The densest cells of a shard.

    Attributes:
        documents: int64 (n,), the number of each one's document in the shard.
        places: int32 (n,), which cell of its document it is.
        sizes: int32 (n,), cells of its document.
        density: float32 (n,).
        s3: float32 (n,), the part of S3; empty where the mode has none.
        bm25: float32 (n,), the part of BM25.
        floor: Every other cell is less dense than this, or as dense.
        complete: Whether there are no other cells.
        range: Least and greatest density of what may be returned; None where nothing may.
        least: Least density of S3 and of BM25.
    """

    documents: Int64
    places: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]
    density: Float32
    s3: Float32
    bm25: Float32
    floor: float
    complete: bool
    range: tuple[float, float] | None
    least: tuple[float, float]


@dataclass
class _State:
    question: Question
    excluded: npt.NDArray[np.bool_]
    masses: list[Float32] | None = None
    densities: Densities | None = None
    density: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))


class Shard:
    """Searches its part of a corpus; questions whose rounds overlap are told apart by a token.

    Args:
        snapshot: The part.
        scoring: Constants.
        fuse: Joins the densities of S3 and BM25.
        workers: Threads to share the work with.
    """

    def __init__(self, snapshot: Snapshot, scoring: Scoring, fuse: Fuse, workers: Workers) -> None:
        self._snapshot = snapshot
        self._scoring = scoring
        self._fuse = fuse
        self._workers = workers
        self._bm25 = BM25()
        self._states: OrderedDict[str, _State] = OrderedDict()

    def facts(self) -> Facts:
        """Return what the shard holds."""
        snapshot = self._snapshot
        ids = [part.segment.token_ids for part in snapshot.parts]
        wanted = np.arange(1 + max((int(one.max(initial=0)) for one in ids), default=0), dtype=np.int32)
        cells = np.zeros(len(wanted), np.int64)
        for part in snapshot.parts:
            segment = part.segment
            cells += cell_frequencies(segment.token_ids, segment.token_pointers, part.live, wanted)
        nbytes = sum(segment.nbytes for segment in snapshot.segments)
        return Facts(len(snapshot), snapshot.n_cells, snapshot.n_tokens, snapshot.n_terms, nbytes, cells)

    def count(self, token: str, question: Question) -> Counted:
        """Begin a question: return what the shard has of it.

        Args:
            token: A new name for it.
            question: The question.
        """
        snapshot = self._snapshot
        for segment in snapshot.segments:
            segment.check_files()
        eligible = np.ones(len(snapshot), np.bool_)
        if question.where is not None:
            eligible = matching(snapshot, as_filter(question.where))
        state = _State(question, np.repeat(~eligible, np.diff(snapshot.document_cells)))
        sums, kept, size = [], [], 0
        for masses in self._masses(question):
            sums.append(totals(masses, snapshot.cell_tokens, snapshot.document_cells, self._workers))
            size += masses.nbytes
            if size <= _KEPT_BYTES:
                kept.append(masses)
        state.masses = kept if size <= _KEPT_BYTES else None
        self._states[token] = state
        while len(self._states) > _QUESTIONS:
            self._states.popitem(last=False)
        shared = question.shared or ()
        frequencies = tuple(snapshot.frequencies(tap)[features] for tap, features, _ in shared)
        terms = term_counts(snapshot, question.terms)
        return Counted(int(eligible.sum()), snapshot.n_tokens, terms, tuple(sums), frequencies)

    def cells(self, token: str, whole: Counted, most: int) -> Cells:
        """Score the cells of a question that was counted; return about ``most`` of the densest ones.

        Raises:
            ShardStateError: The question was not counted here, or too many others were since.
        """
        state = self._states.get(token)
        if state is None:
            msg = f"question {token} was not counted by this shard"
            raise ShardStateError(msg)
        if state.densities is None:
            state.densities = self._scored(state, whole)
            state.masses = None
            state.density = state.densities.fused(self._fuse)
            state.density[state.excluded] = -np.inf
            if state.question.mode == "bm25":
                state.density[state.density <= 0] = -np.inf
        return self._densest(state, state.densities, most)

    def pages(self, documents: Sequence[int]) -> list[bytes]:
        """Return documents by number, with their tokens and units; see :func:`read_page`."""
        found = []
        for number in documents:
            self._snapshot.checked_document(number)
            segment, i = self._snapshot.place(number)
            arrays = [segment.own_gaps(i), *segment.units.own(i)]
            head = json.dumps([[one.dtype.str, len(one)] for one in arrays])
            parts = [
                head.encode(),
                b"\n",
                *(one.tobytes() for one in arrays),
                segment.documents.line(i).tobytes(),
            ]
            found.append(zlib.compress(b"".join(parts), 1))
        return found

    def forget(self, token: str) -> None:
        """End a question."""
        self._states.pop(token, None)

    def find(self, doc_id: str) -> int | None:
        """Return a document's number, None where it is not here."""
        return self._snapshot.find(doc_id) if doc_id in self._snapshot else None

    def document_ids(self) -> tuple[str, ...]:
        """Return the ids of all documents, in order."""
        return self._snapshot.document_ids

    def _masses(self, question: Question) -> Iterator[Float32]:
        if question.features is None or question.weights is None or question.taps is None:
            return
        features = question.features.astype(np.int32)
        features[features == _UNUSED] = -1
        for first in range(0, len(features), TOGETHER):
            some = slice(first, first + TOGETHER)
            yield cell_masses(
                self._snapshot.parts,
                question.taps[some],
                features[some],
                question.weights[some],
                self._workers,
            )

    def _scored(self, state: _State, whole: Counted) -> Densities:
        question = state.question
        s3 = bm25 = None
        if question.mode != "bm25":
            s3 = self._paper(question, whole) if question.shared is not None else self._s3(state, whole)
        if question.mode != "s3":
            bm25 = self._lexical(question, whole)
        return Densities(s3, bm25)

    def _s3(self, state: _State, whole: Counted) -> Float32:
        snapshot, weights = self._snapshot, state.question.row_weights
        density = np.zeros(snapshot.n_cells, np.float32)
        masses = state.masses if state.masses is not None else self._masses(state.question)
        for i, one in enumerate(masses):
            density += coactivation(
                one,
                weights[i * TOGETHER : (i + 1) * TOGETHER],  # type: ignore[index]
                snapshot.cell_tokens,
                snapshot.document_cells,
                self._scoring.scales,
                self._workers,
                whole=whole.totals[i],
            )
        return density * np.float32(state.question.fluency)

    def _paper(self, question: Question, whole: Counted) -> Float32:
        snapshot = self._snapshot
        counts = np.zeros(snapshot.n_cells, np.float32)
        for (tap, features, times), frequencies in zip(question.shared or (), whole.frequencies, strict=True):
            rarity = np.log1p(whole.n_tokens / (1 + frequencies))
            counts += cell_counts(snapshot.parts, tap, features, (times * rarity).astype(np.float32))
        return paper_density(counts, snapshot.document_cells)

    def _lexical(self, question: Question, whole: Counted) -> Float32:
        alone = question.mode == "bm25"
        words = (term.exact or term.term for term in question.terms)
        surprise = dict(zip(words, question.surprise, strict=True))
        boost = None if alone else RarityBoost(self._scoring.bm25_rarity, surprise.__getitem__)
        scores = self._bm25.scores(self._snapshot, question.terms, boost, whole=whole.terms)
        scores += context_scores(self._snapshot, question.terms, boost, whole=whole.terms)
        widths = BM25_WIDTHS if alone else self._scoring.bm25_widths
        wider = widening(self._snapshot.document_characters, self._snapshot.document_cells)
        return bm25_density(scores, self._snapshot.document_cells, widths, wider)

    def _densest(self, state: _State, densities: Densities, most: int) -> Cells:
        density, cells_of = state.density, self._snapshot.document_cells
        finite = np.flatnonzero(density > -np.inf)
        values = density[finite]
        complete, floor = len(finite) <= most, -np.inf
        chosen = finite
        if not complete:
            floor = float(np.partition(values, -most)[-most])
            chosen = finite[values >= floor]
            if len(chosen) > 2 * most:  # many are as dense as this
                chosen = finite[values > floor]
            else:
                floor = float(np.nextafter(np.float32(floor), np.float32(-np.inf)))
        documents = np.searchsorted(cells_of, chosen, side="right") - 1
        empty = np.zeros(0, np.float32)
        s3, bm25 = (empty if side is None else side[chosen] for side in densities)
        least = [0.0 if side is None or not len(side) else float(side.min()) for side in densities]
        return Cells(
            documents,
            (chosen - cells_of[documents]).astype(np.int32),
            np.diff(cells_of)[documents].astype(np.int32),
            density[chosen],
            s3,
            bm25,
            floor,
            complete,
            (float(values.min()), float(values.max())) if len(values) else None,
            (least[0], least[1]),
        )


def read_page(data: bytes) -> tuple[Document, Page]:
    """Read what :meth:`Shard.pages` returned: a document, and what passages are cut from."""
    head, _, rest = zlib.decompress(data).partition(b"\n")
    arrays = []
    for code, count in json.loads(head):
        size = count * np.dtype(code).itemsize
        arrays.append(np.frombuffer(rest[:size], code))
        rest = rest[size:]
    gaps, *of_units = arrays
    columns = [np.array([0, len(of_units[0])], np.int64), *of_units]
    units = UnitColumns(1, dict(zip(UNIT_ARRAYS, columns, strict=True))).of(0)
    document = of_line(rest)
    return document, Page(document.text, np.cumsum(gaps, dtype=np.uint32), units)
