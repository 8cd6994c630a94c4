"""Answers questions from one version of an index: densities, passages, explanations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from s3_retriever.checks import FLAG, check_settings, choice, instance, optional, whole
from s3_retriever.documents import Copy, Document, Explanation, Span, Spans
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.names import MODES, SCORINGS, Mode, ScoringName
from s3_retriever.search.copies import Repeated, Said, Select, saying, select_unique
from s3_retriever.search.density import Float32, Int64, fluency
from s3_retriever.search.evidence import Evidence, LookedUp, least_of, means_of
from s3_retriever.search.explain import explain_spans
from s3_retriever.search.filters import Filter, as_filter, matching, warn_of_unknown_keys
from s3_retriever.search.headers import raise_rows
from s3_retriever.search.passages import Page
from s3_retriever.search.profile import Profile, profile_of
from s3_retriever.search.rank import Densities, Ranker
from s3_retriever.search.references import Naming, Raised, lift, name_of, naming_of, raised, sections_named
from s3_retriever.search.spans import SelectedSpan, SpanConfig, select_spans

if TYPE_CHECKING:  # its module loads torch
    from s3_retriever.encode.question import EncodedQuestion, QueryRows, SharedFeatures

_R = TypeVar("_R")

MOST_QUESTIONS = 64
"""Questions that are answered at a time, and so wait for each other."""

DENSITY_BYTES = 1 << 27
"""Bytes of the densities that are held for several questions."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a call of ``S3Retriever.retrieve`` may vary; its arguments of the same names.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    token_budget: int = 512
    mode: Mode = "hybrid"
    scoring: ScoringName = "attention"
    explain: bool = False
    unit_scores: bool = False
    where: Filter | Mapping[str, Any] | None = None
    top_k: int | None = None
    spans: SpanConfig | None = None
    unique: bool = True

    def __post_init__(self) -> None:
        check_settings(
            self,
            token_budget=whole(1),
            mode=choice(MODES),
            scoring=choice(SCORINGS),
            top_k=optional(whole(1)),
            spans=optional(instance(SpanConfig, "a SpanConfig")),
            unique=FLAG,
        )


class Asked(NamedTuple):
    """A question as the host understood it; what a mode or scoring does not need is empty.

    Attributes:
        question: As it was asked.
        encoded: The question after its pass.
        rows: Rows of each query head.
        shared: Features that the published scoring counts.
    """

    question: str
    encoded: EncodedQuestion | None = None
    rows: Sequence[QueryRows] = ()
    shared: Sequence[SharedFeatures] = ()


Understand = Callable[[], Sequence[Asked]]
"""Lets the host read the questions at hand. It is called once; what needs no host is done meanwhile."""


class _Selected(NamedTuple):
    """The passages of an answer, and what they were selected from.

    Attributes:
        density: float32 (C,), with what counts more; ``-inf`` for what is excluded.
        copies: The passages, best first, each with the copies of it.
        raised: What counts more since better passages name it.
        read: Returns a document by number.
        page: Returns what passages of it are cut from.
    """

    density: Float32
    copies: dict[SelectedSpan, tuple[Repeated, ...]]
    raised: Sequence[Raised]
    read: Callable[[int], Document]
    page: Callable[[int], Page]


class Searching(Protocol):
    """What answers questions, with the same options for each."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to search."""

    @property
    def together(self) -> int:
        """How many questions to answer at a time: what is held for each is bounded."""

    def answers(self, questions: Sequence[str], understand: Understand) -> list[list[Span]]:
        """Return the spans that answer each of several questions, best first.

        Args:
            questions: As they are asked.
            understand: Returns what the host makes of them.
        """

    def profile(self, asked: Asked, doc_id: str) -> Profile:
        """Return the density of one document for a question."""


class Search:
    """A search of one snapshot, with the same options for every question.

    Args:
        snapshot: What is searched.
        ranker: Scores cells.
        options: How to search.
        spans: How passages are cut unless the options say it.
        count_tokens: Tokens of a text by itself.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        ranker: Ranker,
        options: SearchOptions,
        spans: SpanConfig,
        count_tokens: Callable[[str], int],
    ) -> None:
        self._snapshot = snapshot
        self._ranker = ranker
        self._options = options
        self._spans = options.spans or spans
        self._count_tokens = count_tokens
        for segment in snapshot.segments:
            segment.check_files()  # before they are read, which would end the process
        eligible = np.ones(snapshot.n_documents, np.bool_)
        if options.where is not None:
            where = as_filter(options.where)
            eligible = matching(snapshot, where)
            warn_of_unknown_keys(snapshot, where)
        self._excluded = np.repeat(~eligible, np.diff(snapshot.document_cells))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to search."""
        return bool(self._excluded.all())

    @property
    def together(self) -> int:
        """How many questions to answer at a time; at least one, else within :data:`DENSITY_BYTES`."""
        sides = 2 if self._options.mode == "hybrid" else 1
        of_one = 4 * sides * max(1, self._snapshot.n_cells)
        return max(1, min(MOST_QUESTIONS, DENSITY_BYTES // of_one))

    def answers(self, questions: Sequence[str], understand: Understand) -> list[list[Span]]:
        """Return the spans that answer each of several questions, best first."""
        means: list[list[Float32]] = [[] for _ in questions]

        def answer(i: int, asked: Asked, densities: Densities) -> list[Span]:
            return self._answer(asked, densities, means[i])

        explained = means if self._options.explain else None
        return self._with_densities(questions, understand, answer, explained)

    def _answer(self, asked: Asked, densities: Densities, means: Sequence[Float32]) -> list[Span]:
        options, found = self._options, self._selected(densities)
        read, page = found.read, found.page
        selected = list(found.copies)
        low, high = _range(found.density) if options.unit_scores else (0.0, 1.0)
        explanations: Sequence[Explanation | None] = [None] * len(selected)
        if options.explain:
            evidence = self._evidence(asked, densities, means)
            explained = zip(selected, explain_spans(evidence, selected, read, page), strict=True)
            explanations = [replace(one, named=self._name_of(found.raised, span)) for span, one in explained]
        spans = Spans()
        for span, explanation in zip(selected, explanations, strict=True):
            score = (span.score - low) / (high - low) if high > low else 1.0
            also_in = tuple(as_copy(read(copy.span.doc), copy) for copy in found.copies[span])
            spans.append(_span(read(span.doc), span, score, explanation, page(span.doc), also_in))
        return spans

    def _selected(self, densities: Densities) -> _Selected:
        """Select passages; where the best ones name sections, again, with what they name."""
        options, snapshot = self._options, self._snapshot
        density = self._fused(densities)
        density[self._excluded] = -np.inf
        if options.mode == "bm25":
            density[density <= 0] = -np.inf
        read = functools.cache(snapshot.checked_document)  # each call parses the document
        page = functools.cache(lambda i: Page(read(i).text, snapshot.token_starts(i), snapshot.units(i)))
        count_tokens = functools.cache(self._count_tokens)  # selections that follow each other are much alike

        def select(density: Float32, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
            return select_spans(
                density,
                snapshot.document_cells,
                budget=budget,
                document=page,
                count_tokens=None if rough else count_tokens,
                config=self._spans,
            )

        def text(span: SelectedSpan) -> str:
            return read(span.doc).text[span.start : span.end]

        choose = functools.partial(chosen, options, select, density, snapshot.document_cells, saying(text))
        copies = choose()
        sections: list[Raised] = []
        if options.mode == "hybrid":
            best = naming_of(copies)
            naming = Naming([*map(text, best)])
            named = sections_named(snapshot, naming.words)
            passages = [(0, span) for span in best]
            (sections,) = raised(naming, passages, [named], self._ranker.surprise, _range(density))
            lift(density, snapshot.document_cells, sections)
        return _Selected(density, choose() if sections else copies, sections, read, page)

    def _fused(self, densities: Densities) -> Float32:
        """Return the density of a question, of what is excluded too."""
        density = densities.fused(self._ranker.fuse)
        if self._options.mode == "hybrid":
            raise_rows(density, self._snapshot)
        return density

    def _name_of(self, sections: Sequence[Raised], span: SelectedSpan) -> str:
        if span.peak is None:
            return ""
        return name_of(sections, span.doc, span.peak - int(self._snapshot.document_cells[span.doc]))

    def profile(self, asked: Asked, doc_id: str) -> Profile:
        """Return the density of one document for a question.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        number = self._snapshot.find(doc_id)
        (densities,) = self._with_densities([asked.question], lambda: [asked], lambda *found: found[-1])
        density = self._fused(densities)
        lift(density, self._snapshot.document_cells, self._selected(densities).raised)
        return profile_of(self._snapshot, number, densities, density)

    def _evidence(self, asked: Asked, densities: Densities, means: Sequence[Float32]) -> Evidence:
        looked_up = None
        if asked.encoded is not None:
            token_weights = self._ranker.token_weights(self._snapshot, asked.encoded.ids)
            looked_up = LookedUp.of(asked.rows, asked.encoded, token_weights)
        alone = densities.s3 is None
        lexical = densities.bm25 is not None
        terms = self._ranker.terms(self._snapshot, asked.question, alone=alone) if lexical else []
        return Evidence(
            asked.question,
            self._snapshot,
            densities,
            least_of(densities),
            looked_up,
            means_of(means, looked_up),
            self._ranker.scoring,
            terms,
            lambda cells: self._ranker.bm25_parts(self._snapshot, terms, cells, alone=alone),
        )

    def _with_densities(
        self,
        questions: Sequence[str],
        understand: Understand,
        then: Callable[[int, Asked, Densities], _R],
        means: Sequence[list[Float32]] | None = None,
    ) -> list[_R]:
        """Return what ``then`` makes of each question, given its number and the densities of the mode.

        Scoring and the host's pass are mostly kernels, and BM25 and what follows are mostly Python, of which
        one thread at a time runs. So that all cores are busy, BM25 is done while the host reads and S3 is
        scored, and one question is answered while others are scored. ``means`` are as of the ranker.
        """
        ranker, snapshot, mode = self._ranker, self._snapshot, self._options.mode

        def bm25(question: str) -> Float32:
            alone = mode == "bm25"
            return ranker.bm25(snapshot, ranker.terms(snapshot, question, alone=alone), alone=alone)

        if mode == "bm25":
            asked = understand()
            return ranker.workers.map(
                lambda i: then(i, asked[i], Densities(None, bm25(questions[i]))), range(len(asked))
            )
        with ranker.workers.ahead(bm25, questions if mode == "hybrid" else []) as words:
            asked = understand()

            def scored(i: int, s3: Float32) -> _R:
                return then(i, asked[i], Densities(s3, words(i) if mode == "hybrid" else None))

            if self._options.scoring == "paper":
                return ranker.workers.map(
                    lambda i: scored(i, ranker.paper(snapshot, asked[i].shared)), range(len(asked))
                )

            encoded = [one.encoded for one in asked if one.encoded is not None]
            rows = [(read.ids, one.rows) for read, one in zip(encoded, asked, strict=True)]

            def scaled(i: int, s3: Float32) -> _R:
                s3 *= np.float32(fluency(len(asked[i].question), len(encoded[i].ids)))
                return scored(i, s3)

            return ranker.s3(snapshot, rows, scaled, means)


def _range(density: Float32) -> tuple[float, float]:
    """Return the least and the greatest density of what is searched."""
    finite = density[np.isfinite(density)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def chosen(
    options: SearchOptions,
    select: Select,
    density: Float32,
    document_cells: Int64,
    said: Callable[[SelectedSpan], Said],
) -> dict[SelectedSpan, tuple[Repeated, ...]]:
    """Return the passages that the options ask for, best first, each with the copies of it.

    Other arguments are those of :func:`select_unique`.
    """
    if options.unique:
        return dict(
            select_unique(select, density, document_cells, options.token_budget, said)[: options.top_k]
        )
    return dict.fromkeys(select(density, options.token_budget)[: options.top_k], ())


def as_copy(document: Document, copy: Repeated) -> Copy:
    """Return where a copy stands."""
    return Copy(document.id, copy.span.start, copy.span.end, copy.similarity)


def _span(
    document: Document,
    span: SelectedSpan,
    score: float,
    explanation: Explanation | None,
    page: Page,
    also_in: tuple[Copy, ...],
) -> Span:
    return Span(
        id=f"{document.id}:{span.start}-{span.end}",
        doc_id=document.id,
        start=span.start,
        end=span.end,
        text=document.text[span.start : span.end],
        score=score,
        metadata=document.metadata,
        explanation=explanation,
        pages=document.pages_of(span.start, span.end),
        **page.described(span.start, span.end),
        also_in=also_in,
    )


as_span = _span
