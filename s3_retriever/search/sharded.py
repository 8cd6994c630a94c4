"""A search of shards: rounds of numbers, then the texts of the documents that passages are cut from."""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document, Explanation, Span, Spans
from s3_retriever.errors import ShardStateError
from s3_retriever.index.codes import codes
from s3_retriever.index.layout import CELL
from s3_retriever.index.related import nearest, widened
from s3_retriever.index.words import Asked as AskedTerm
from s3_retriever.index.words import asked as asked_terms
from s3_retriever.search.answer import MOST_QUESTIONS, Asked, SearchOptions, as_copy, as_span, chosen
from s3_retriever.search.copies import Repeated, saying
from s3_retriever.search.density import Float32, Int64, fluency, token_weights
from s3_retriever.search.evidence import LookedUp
from s3_retriever.search.exchange import (
    Cells,
    Counted,
    Explained,
    Question,
    Ranges,
    packed_features,
    read_page,
)
from s3_retriever.search.filters import as_filter, warn_of_unknown_keys
from s3_retriever.search.passages import Page
from s3_retriever.search.profile import Profile
from s3_retriever.search.rank import Ranker, side_by_side
from s3_retriever.search.references import Naming, Raised, name_of, naming_of, raised
from s3_retriever.search.shards import ShardedSnapshot, Shards
from s3_retriever.search.spans import SelectedSpan, SpanConfig, select_spans

_T = TypeVar("_T")
_Copies = dict[SelectedSpan, tuple[Repeated, ...]]
_ATTEMPTS = 3  # times that a question is asked while shards are started anew


class _Place(NamedTuple):
    """A document: which shard has it, and its number there."""

    shard: int
    number: int


class _NeedsMore(Exception):  # noqa: N818 (it is no error)
    """The passages want cells that no shard has sent."""


class ShardedSearch:
    """A search of an index in shards; the counterpart of :class:`~s3_retriever.search.answer.Search`.

    Args:
        snapshot: What is searched.
        ranker: Scores cells; its own words of rarity, constants and fusion.
        options: How to search.
        spans: How passages are cut unless the options say it.
        count_tokens: Tokens of a text by itself.
    """

    def __init__(
        self,
        snapshot: ShardedSnapshot,
        ranker: Ranker,
        options: SearchOptions,
        spans: SpanConfig,
        count_tokens: Callable[[str], int],
    ) -> None:
        self._snapshot = snapshot
        self._facts = list(snapshot.shards.facts())
        self._ranker = ranker
        self._options = options
        self._spans = options.spans or spans
        self._count_tokens = count_tokens
        if options.where is not None:
            warn_of_unknown_keys(snapshot, as_filter(options.where))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to search."""
        return not len(self._snapshot)

    @property
    def together(self) -> int:
        """How many questions to answer at a time."""
        return MOST_QUESTIONS

    def answers(
        self, questions: Sequence[str], understand: Callable[[], Sequence[Asked]]
    ) -> list[list[Span]]:
        """Return the spans that answer each of several questions, best first.

        Raises:
            ShardError: A shard did not answer in time, or was started anew again and again.
        """
        return [self._steady(functools.partial(self._found, one)) for one in understand()]

    def profile(self, asked: Asked, doc_id: str) -> Profile:
        """Return the density of one document for a question.

        Raises:
            UnknownDocumentError: There is no such document.
            ShardError: As :meth:`answers`.
        """
        shard, number = self._snapshot.place(self._snapshot.find(doc_id))

        def profile(token: str) -> Profile:
            whole = Counted.of_all(self._snapshot.each("count", token, self._question(asked)))
            if whole.eligible:
                self._selected(token, whole)
            ranges = _joined(self._snapshot.each("ranges", token, whole))
            wanted = {shard: (token, whole, number, ranges)}
            found: Profile = self._snapshot.shards.each("profile", wanted)[shard]
            self._snapshot.each("forget", token)
            return found

        return self._steady(profile)

    def _steady(self, ask: Callable[[str], _T]) -> _T:
        """Ask a question under a new name, and again when a shard lost it with its process."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(ShardStateError):
                return ask(secrets.token_hex(8))
        return ask(secrets.token_hex(8))

    def _found(self, asked: Asked, token: str) -> list[Span]:
        question = self._question(asked)
        whole = Counted.of_all(self._snapshot.each("count", token, question))
        if not whole.eligible:
            return Spans()
        selection, copies, sections = self._selected(token, whole)
        explanations: Sequence[Explanation | None] = [None] * len(copies)
        if self._options.explain:
            explained = self._explained(asked, selection.cells)
            explanations = selection.explanations(list(copies), token, whole, explained, sections)
        found = selection.spans(copies, explanations)
        self._snapshot.each("forget", token)
        return found

    def _selected(self, token: str, whole: Counted) -> tuple[_Selection, _Copies, list[list[Raised]]]:
        """Select passages; where the best ones name sections, again, with what they name in each shard."""
        selection, copies = self._selected_once(token, whole)
        if self._options.mode != "hybrid":
            return selection, copies, []
        best = naming_of(copies)
        naming = Naming([selection.text(span) for span in best])
        named = self._snapshot.each("named", naming.words)
        passages = [(selection.shard(span), selection.local(span)) for span in best]
        sections = raised(naming, passages, named, self._ranker.surprise, selection.range)
        wanted = {shard: (token, whole, own) for shard, own in enumerate(sections) if own}
        if wanted:
            self._snapshot.shards.each("lift", wanted)
            selection, copies = self._selected_once(token, whole)
        return selection, copies, sections

    def _selected_once(self, token: str, whole: Counted) -> tuple[_Selection, _Copies]:
        most = 64 + self._options.token_budget // 8
        while True:
            cells: list[Cells] = self._snapshot.each("cells", token, whole, most)
            selection = _Selection(
                self._snapshot.shards, cells, self._options, self._spans, self._count_tokens
            )
            try:
                return selection, selection.copies()
            except _NeedsMore:
                most *= 8

    def _explained(self, asked: Asked, cells: Sequence[Cells]) -> Explained:
        """Return what all shards have to know to say why they have spans; which ones is left open."""
        looked_up = None
        if asked.encoded is not None:
            looked_up = LookedUp.of(asked.rows, asked.encoded, self._token_weights(asked.encoded.ids))
        s3, bm25 = (min(one.least[side] for one in cells) for side in (0, 1))
        return Explained(asked.question, looked_up, (s3, bm25), ())

    def _question(self, asked: Asked) -> Question:
        mode, where = self._options.mode, self._options.where
        terms = () if mode == "s3" else tuple(self._terms(asked.question))
        rare = self._ranker.surprise if mode == "hybrid" else lambda _: 0.0
        surprise = tuple(rare(one.exact or one.term) for one in terms)
        lexical: dict[str, Any] = {"mode": mode, "terms": terms, "surprise": surprise, "where": where}
        if asked.encoded is None:
            return Question(**lexical)
        if self._options.scoring == "paper":
            return Question(
                **lexical, shared=tuple((one.tap, one.features, one.counts) for one in asked.shared)
            )
        weights_of_tokens = self._token_weights(asked.encoded.ids)
        asking = weights_of_tokens > 0
        features, weights = side_by_side(asked.rows, asking)
        return Question(
            **lexical,
            taps=np.repeat([row.tap for row in asked.rows], asking.sum()).astype(np.int16),
            features=packed_features(features),
            weights=weights,
            row_weights=self._ranker.scoring.row_weights(weights_of_tokens[asking]),
            fluency=fluency(len(asked.question), len(asked.encoded.ids)),
        )

    def _terms(self, question: str) -> list[AskedTerm]:
        """Return what ``Ranker.terms`` does of an undivided index."""
        terms = asked_terms(question)
        if self._options.mode == "bm25":
            return terms
        wanted = list(dict.fromkeys(one.term for one in terms if not one.exact))
        of_shards = zip(*self._snapshot.each("related", wanted), strict=True)
        related = {
            term: nearest(term, set().union(*own)) for term, own in zip(wanted, of_shards, strict=True)
        }
        return [*widened(terms, related.__getitem__), *codes(question)]

    def _token_weights(self, ids: npt.NDArray[np.int32]) -> Float32:
        if not self._ranker.rarity:
            return np.ones(len(ids), np.float32)
        facts = self._facts
        return token_weights(ids, [one.token_cells for one in facts], sum(one.n_cells for one in facts))


class _Selection:
    """Passages cut around the densest cells of all shards.

    What is selected from is an index of those documents only that have such a cell, in their order. Before
    them stands a document which is none. It is as dense as the densest cell that no shard sent: whoever wants
    to read it needs more cells.
    """

    def __init__(
        self,
        shards: Shards,
        cells: Sequence[Cells],
        options: SearchOptions,
        spans: SpanConfig,
        count_tokens: Callable[[str], int],
    ) -> None:
        self.cells = cells
        self.range = _range(cells)
        self._shards = shards
        self._options = options
        self._spans = spans
        self._count_tokens = functools.cache(count_tokens)
        self._floor = max((one.floor for one in cells if not one.complete), default=-np.inf)
        self._places: list[_Place] = []
        sizes = [1]  # of the document that is none: the first of those equally dense
        dense, at = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
        for shard, one in enumerate(cells):
            documents, first, inverse = np.unique(one.documents, return_index=True, return_inverse=True)
            self._places += [_Place(shard, number) for number in documents.tolist()]
            begins = np.cumsum([sum(sizes), *one.sizes[first]])
            sizes += one.sizes[first].tolist()
            at.append((begins[:-1][inverse] + one.places).astype(np.int64))
            dense.append(one.density)
        self._document_cells: Int64 = np.cumsum([0, *sizes])
        self._density = np.full(self._document_cells[-1], -np.inf, np.float32)
        self._density[np.concatenate(at)] = np.concatenate(dense)
        self._density[0] = self._floor
        self._pages: dict[int, tuple[Document, Page]] = {}

    def copies(self) -> _Copies:
        """Return the passages, best first, each with the copies of it.

        Raises:
            _NeedsMore: They may be others, since they want cells that no shard sent.
        """

        def select(density: Float32, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
            self._read(self._likely(density, budget))
            return select_spans(
                density,
                self._document_cells,
                budget=budget,
                document=self._page,
                count_tokens=None if rough else self._count_tokens,
                config=self._spans,
            )

        return chosen(self._options, select, self._density, self._document_cells, saying(self.text))

    def explanations(
        self,
        spans: Sequence[SelectedSpan],
        token: str,
        whole: Counted,
        explained: Explained,
        sections: Sequence[Sequence[Raised]],
    ) -> list[Explanation]:
        """Ask the shards that have passages why they were found.

        Args:
            spans: The passages.
            token: Name of the question.
            whole: What all shards counted.
            explained: What they are told, without the spans.
            sections: What counts more in each shard.
        """
        numbers: dict[int, list[int]] = {}
        for number, span in enumerate(spans):
            numbers.setdefault(self.shard(span), []).append(number)
        arguments = {
            shard: (token, whole, explained._replace(spans=[self.local(spans[i]) for i in of_shard]))
            for shard, of_shard in numbers.items()
        }
        found: dict[int, Explanation] = {}
        for shard, answers in (self._shards.each("explain", arguments) if arguments else {}).items():
            found.update(zip(numbers[shard], answers, strict=True))
        return [replace(found[i], named=self._name(spans[i], sections)) for i in range(len(spans))]

    def spans(
        self,
        copies: Mapping[SelectedSpan, Sequence[Repeated]],
        explanations: Sequence[Explanation | None],
    ) -> list[Span]:
        """Return what :meth:`copies` returned as spans, with what :meth:`explanations` did."""
        low, high = self.range if self._options.unit_scores else (0.0, 1.0)
        found = Spans()
        for (span, others), explanation in zip(copies.items(), explanations, strict=True):
            score = (span.score - low) / (high - low) if high > low else 1.0
            also_in = tuple(as_copy(self._document(copy.span), copy) for copy in others)
            found.append(
                as_span(self._document(span), span, score, explanation, self._page(span.doc), also_in)
            )
        return found

    def text(self, span: SelectedSpan) -> str:
        """Return the text of a passage."""
        return self._document(span).text[span.start : span.end]

    def shard(self, span: SelectedSpan) -> int:
        """Return which shard has a passage."""
        return self._places[span.doc - 1].shard

    def local(self, span: SelectedSpan) -> SelectedSpan:
        """Return a passage as its shard numbers documents, its peak counted from the document's beginning."""
        peak = None if span.peak is None else span.peak - int(self._document_cells[span.doc])
        return replace(span, doc=self._places[span.doc - 1].number, peak=peak)

    def _name(self, span: SelectedSpan, sections: Sequence[Sequence[Raised]]) -> str:
        own = self.local(span)
        if own.peak is None or not sections:
            return ""
        return name_of(sections[self.shard(span)], own.doc, own.peak)

    def _document(self, span: SelectedSpan) -> Document:
        return self._pages[span.doc][0]

    def _likely(self, density: Float32, budget: int) -> list[int]:
        """Return documents that passages will be cut from, most likely, and that are not here yet."""
        most = 8 + 2 * budget // CELL
        dense = np.flatnonzero(density > self._floor)
        best = dense[np.argsort(-density[dense], kind="stable")[:most]]
        documents = np.searchsorted(self._document_cells, best, side="right") - 1
        return [one for one in np.unique(documents).tolist() if one not in self._pages]

    def _page(self, document: int) -> Page:
        if document == 0:
            raise _NeedsMore
        if document not in self._pages:
            self._read([document])
        return self._pages[document][1]

    def _read(self, documents: Sequence[int]) -> None:
        wanted: dict[int, list[int]] = {}
        for document in documents:
            if document:
                wanted.setdefault(self._places[document - 1].shard, []).append(document)
        if not wanted:
            return
        arguments = {
            shard: ([self._places[one - 1].number for one in of_shard],) for shard, of_shard in wanted.items()
        }
        for shard, pages in self._shards.each("pages", arguments).items():
            self._pages.update(zip(wanted[shard], map(read_page, pages), strict=True))


def _joined(ranges: Sequence[Ranges]) -> Ranges:
    """Return the ranges of all shards together."""
    return {
        name: (
            min(one[name][0] for one in ranges if name in one),
            max(one[name][1] for one in ranges if name in one),
        )
        for name in dict.fromkeys(name for one in ranges for name in one)
    }


def _range(cells: Sequence[Cells]) -> tuple[float, float]:
    """Return the least and the greatest density of what is searched."""
    ranges = [one.range for one in cells if one.range is not None]
    low = functools.reduce(min, (one[0] for one in ranges), np.inf)
    high = functools.reduce(max, (one[1] for one in ranges), -np.inf)
    return (low, high) if ranges else (0.0, 1.0)
