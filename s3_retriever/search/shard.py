"""A part of a corpus, searched in two rounds: statistics, which are added up, then cells.

Document frequencies, lengths and the softmax are about the whole corpus. So a shard first counts what it
has, and scores its cells when it is told the sums. The counts are whole numbers, and what follows from them
happens per document: the scores are those of an undivided index, bit for bit. Why a span was found, and how
dense a document is, the shard says that has it, with the sums of all.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Explanation
from s3_retriever.errors import ShardStateError
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.coactivation import coactivation
from s3_retriever.search.context import TermCounts, term_counts
from s3_retriever.search.density import Float32, Int64, paper_density
from s3_retriever.search.evidence import Evidence, least_of, means_of
from s3_retriever.search.exchange import (
    Cells,
    Counted,
    Explained,
    Facts,
    Question,
    Ranges,
    page_of,
    unpacked_features,
)
from s3_retriever.search.explain import explain_spans
from s3_retriever.search.filters import as_filter, matching
from s3_retriever.search.headers import raise_rows
from s3_retriever.search.kernels import cell_counts, cell_masses
from s3_retriever.search.lexical import Float64, LexicalIndex, Scores
from s3_retriever.search.lookup import TermLookup
from s3_retriever.search.passages import Page
from s3_retriever.search.profile import Profile, profile_of, ranges_of
from s3_retriever.search.rank import TOGETHER, Densities, Fuse
from s3_retriever.search.rarity import RarityBoost
from s3_retriever.search.references import Raised, Section, lift, sections_named
from s3_retriever.search.scoring import Scoring, lexical_density
from s3_retriever.search.stretches import Stretches
from s3_retriever.search.totals import totals
from s3_retriever.search.workers import Workers

_KEPT_BYTES = 1 << 30  # of masses, from the first round to the second
_QUESTIONS = 16  # whose first round is remembered


@dataclass
class _State:
    question: Question
    excluded: npt.NDArray[np.bool_]
    masses: list[Float32] | None = None
    lookup: TermLookup | None = None
    densities: Densities | None = None
    density: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    raised: Sequence[Raised] = ()


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
        self._sides = LexicalIndex().sides
        self._states: OrderedDict[str, _State] = OrderedDict()

    def facts(self) -> Facts:
        """Return what the shard holds."""
        snapshot = self._snapshot
        nbytes = sum(segment.nbytes for segment in snapshot.segments)
        keys = frozenset(filter(snapshot.has_key, snapshot.metadata_keys))
        counts = (len(snapshot), snapshot.n_cells, snapshot.n_tokens, snapshot.n_terms, nbytes)
        return Facts(*counts, snapshot.cells_of_tokens, keys)

    def related(self, terms: Sequence[str]) -> list[list[str]]:
        """Return the terms of the shard that are related to each of some."""
        return [self._snapshot.related_terms(term) for term in terms]

    def named(self, text: Sequence[str]) -> list[Section]:
        """Return the sections of the shard that some words name."""
        return sections_named(self._snapshot, text)

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
        lookup = TermLookup(snapshot)
        terms = term_counts(lookup, question.terms)
        state.masses = kept if size <= _KEPT_BYTES else None
        state.lookup = lookup if size + lookup.nbytes <= _KEPT_BYTES else None
        self._states[token] = state
        while len(self._states) > _QUESTIONS:
            self._states.popitem(last=False)
        shared = question.shared or ()
        frequencies = tuple(snapshot.frequencies(tap)[features] for tap, features, _ in shared)
        return Counted(int(eligible.sum()), snapshot.n_tokens, terms, tuple(sums), frequencies)

    def cells(self, token: str, whole: Counted, most: int) -> Cells:
        """Score the cells of a question that was counted; return about ``most`` of the densest ones.

        Raises:
            ShardStateError: The question was not counted here, or too many others were since.
        """
        state, densities = self._scored_once(token, whole)
        return self._densest(state, densities, most)

    def lift(self, token: str, whole: Counted, sections: Sequence[Raised]) -> None:
        """Let sections of the shard count more from now on for a question whose cells were scored.

        Raises:
            ShardStateError: As :meth:`cells`.
        """
        state, _ = self._scored_once(token, whole)
        state.raised = sections
        lift(state.density, self._snapshot.document_cells, sections)

    def explain(self, token: str, whole: Counted, wanted: Explained) -> list[Explanation]:
        """Say why spans were found, whose cells were scored.

        Raises:
            ShardStateError: As :meth:`cells`.
        """
        state, densities = self._scored_once(token, whole)
        snapshot, cells_of = self._snapshot, self._snapshot.document_cells
        spans = [
            span if span.peak is None else replace(span, peak=int(cells_of[span.doc]) + span.peak)
            for span in wanted.spans
        ]

        def of_terms(cells: Int64) -> Iterator[tuple[Float32, Float32]]:
            lookup = TermLookup(snapshot)
            near = Stretches.around(snapshot, cells, self._scoring.all_bm25_widths)
            places = near.places(cells)
            for number, term in enumerate(state.question.terms):
                alone = replace(
                    state.question, terms=(term,), surprise=state.question.surprise[number : number + 1]
                )
                one, below = whole.terms.cells[number], whole.terms.below[number]
                counts = whole.terms._replace(cells=(one,), below=(below,))
                sides = (self._lexical_density(alone, lookup, near, counts, side) for side in self._sides)
                text, above = (side[places] for side in sides)
                yield text, above

        evidence = Evidence(
            wanted.question,
            snapshot,
            densities,
            wanted.least,
            wanted.looked_up,
            means_of([one.means for one in whole.totals], wanted.looked_up),
            self._scoring,
            state.question.terms,
            of_terms,
        )
        read = functools.cache(snapshot.checked_document)

        @functools.cache  # for all spans of a document
        def page(number: int) -> Page:
            return Page(read(number).text, snapshot.token_starts(number), snapshot.units(number))

        return explain_spans(evidence, spans, read, page)

    def ranges(self, token: str, whole: Counted) -> Ranges:
        """Return the least and the greatest density of a question that was counted.

        Raises:
            ShardStateError: As :meth:`cells`.
        """
        state, densities = self._scored_once(token, whole)
        return ranges_of(densities, self._lifted(state, densities))

    def profile(self, token: str, whole: Counted, number: int, ranges: Ranges) -> Profile:
        """Return the density of a document for a question that was counted; ``ranges`` are of all shards.

        Raises:
            ShardStateError: As :meth:`cells`.
        """
        state, densities = self._scored_once(token, whole)
        return profile_of(self._snapshot, number, densities, self._lifted(state, densities), ranges)

    def pages(self, documents: Sequence[int]) -> list[bytes]:
        """Return documents by number; see :func:`~s3_retriever.search.exchange.read_page`."""
        return [page_of(self._snapshot, number) for number in documents]

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
        features = unpacked_features(question.features)
        for first in range(0, len(features), TOGETHER):
            some = slice(first, first + TOGETHER)
            yield cell_masses(
                self._snapshot.parts,
                question.taps[some],
                features[some],
                question.weights[some],
                self._workers,
            )

    def _lifted(self, state: _State, densities: Densities) -> Float32:
        density = self._fused(state, densities)
        lift(density, self._snapshot.document_cells, state.raised)
        return density

    def _fused(self, state: _State, densities: Densities) -> Float32:
        """Return the density of a question, of what is excluded too."""
        density = densities.fused(self._fuse)
        if state.question.mode == "hybrid":
            raise_rows(density, self._snapshot)
        return density

    def _scored_once(self, token: str, whole: Counted) -> tuple[_State, Densities]:
        state = self._states.get(token)
        if state is None:
            msg = f"question {token} was not counted by this shard"
            raise ShardStateError(msg)
        if state.densities is None:
            state.densities = self._scored(state, whole)
            state.masses = state.lookup = None
            state.density = self._fused(state, state.densities)
            state.density[state.excluded] = -np.inf
            if state.question.mode == "bm25":
                state.density[state.density <= 0] = -np.inf
        return state, state.densities

    def _scored(self, state: _State, whole: Counted) -> Densities:
        question = state.question
        s3 = bm25 = None
        if question.mode != "bm25":
            s3 = self._paper(question, whole) if question.shared is not None else self._s3(state, whole)
        if question.mode != "s3":
            lookup = state.lookup or TermLookup(self._snapshot)
            stretches = Stretches.whole(self._snapshot)
            bm25 = self._lexical_density(question, lookup, stretches, whole.terms, *self._sides)
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

    def _lexical_density(
        self,
        question: Question,
        lookup: TermLookup,
        stretches: Stretches,
        whole: TermCounts,
        *sides: Scores,
    ) -> Float32:
        """Return the density of BM25, of what some sides give: words in the texts, words above them."""
        words = (term.exact or term.term for term in question.terms)
        surprise = dict(zip(words, question.surprise, strict=True))

        def scored(boost: RarityBoost | None) -> Float64:
            scores = (side(lookup, question.terms, boost, whole=whole) for side in sides)
            return functools.reduce(np.add, scores)

        alone = question.mode == "bm25"
        return lexical_density(self._scoring, stretches, scored, surprise.__getitem__, alone=alone)

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
            least_of(densities),
        )
