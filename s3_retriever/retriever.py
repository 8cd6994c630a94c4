"""The retriever: documents in, spans out. The only module that sees host, features, index and search."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_choice, check_positive
from s3_retriever.config import RetrieverConfig
from s3_retriever.documents import Document, Explanation, Span, TokenFeature, as_documents
from s3_retriever.errors import (
    DuplicateDocumentError,
    HostNotFoundError,
    InvalidInputError,
)
from s3_retriever.features.artifact import Artifact, TapCodec
from s3_retriever.features.queries import Asked, HeadRows, ask, head_rows
from s3_retriever.features.sae import center_and_normalize
from s3_retriever.files import only_writer
from s3_retriever.folder import check_target, read_saved, save_parts
from s3_retriever.host.model import Host
from s3_retriever.host.scan import scan
from s3_retriever.index import Index, Layout, Segment, SegmentBuilder, Snapshot
from s3_retriever.search.bm25 import Emphasis
from s3_retriever.search.density import Float32, token_weights
from s3_retriever.search.explain import strongest_features
from s3_retriever.search.filters import Filter, as_filter, matching
from s3_retriever.search.lexical import LexicalIndex
from s3_retriever.search.scoring import BM25_WIDTHS, Scoring, bm25_density, paper_density, s3_density
from s3_retriever.search.spans import SelectedSpan, select_spans

MODES = ("hybrid", "s3", "bm25")
SCORINGS = ("attention", "paper")

Float64 = npt.NDArray[np.float64]


class _Densities(NamedTuple):
    """What each side says of every cell, float32 (C,); None where a mode leaves a side out."""

    s3: Float32 | None
    bm25: Float32 | None

    def fused(self) -> Float32:
        """Add the sides: both are sums of logarithms over question tokens, on one scale."""
        total: Float32 = np.stack([side for side in self if side is not None]).sum(axis=0)
        return total


class S3Retriever:
    """Finds spans of documents by the host's own attention, fused with BM25.

    Make one with :meth:`from_documents` or :meth:`load`. Threads may share it: a search sees the corpus
    before or after a change, never between.

    Attributes:
        host: The language model.
        artifact: What was learned for it.
        config: Settings, saved with the index.
    """

    def __init__(
        self,
        *,
        host: Host,
        artifact: Artifact,
        index: Index | None = None,
        config: RetrieverConfig | None = None,
    ) -> None:
        """Join the parts; :meth:`from_documents` and :meth:`load` are the usual ways in.

        Raises:
            ArtifactError: The artifact belongs to another host.
        """
        self.host = host
        self.artifact = artifact.as_stored()  # so that a saved index gives the same scores
        self.config = config or RetrieverConfig()
        probe = host.keys([host.encode(artifact.probe.text).ids], artifact.taps)[0]
        artifact.check_host(host.identity, probe)
        self._scoring = Scoring.from_json(artifact.scoring)
        self._index = index or Index(_layout(artifact), self._header())
        self._lexical = LexicalIndex(self.config.bm25)
        self._changing = threading.Lock()

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Any],
        *,
        host: Any = None,
        artifact: Artifact | str | Path = "fast",
        config: RetrieverConfig | None = None,
        show_progress: bool = False,
    ) -> S3Retriever:
        """Scan documents and index them.

        Args:
            documents: Any iterable, consumed lazily: ``str``, mappings with ``text``, :class:`Document`,
                LlamaIndex documents or nodes, LangChain documents.
            host: A hub name, a folder, ``(model, tokenizer)`` in memory, a :class:`Host`, or None for
                the default host.
            artifact: "fast" or "best" of the default host, a folder, or an :class:`Artifact`.
            config: Settings.
            show_progress: Show a progress bar.

        Raises:
            InvalidDocumentError: An item is no document.
            DuplicateDocumentError: Two documents have one id.
            HostNotFoundError: The host's weights are not to be had.
            UnsupportedHostError: The model or its tokenizer cannot serve as a host.
            ArtifactError: The artifact does not exist or belongs to another host.
        """
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        retriever = cls(host=Host.load(host), artifact=artifact, config=config)
        retriever.add(documents, show_progress=show_progress)
        return retriever

    def add(self, documents: Iterable[Any], *, show_progress: bool = False) -> list[str]:
        """Scan more documents and add them behind those already here; all of them or, on error, none.

        Returns:
            The ids of the documents added.

        Raises:
            InvalidDocumentError: An item is no document.
            DuplicateDocumentError: An id is already here or occurs twice.
        """
        with self._changing:
            segment = self._scan(as_documents(documents), self._index, show_progress)
            self._index.add(segment)
            return list(segment.ids)

    def update(
        self, documents: Iterable[Any], *, delete: Iterable[str] = (), show_progress: bool = False
    ) -> list[str]:
        """Scan documents and put them in the place of those with their ids; new ones are added.

        A search sees all of the old documents or all of the new ones. As after deleting and adding, they come
        behind the documents that stay. On error, nothing changes.

        Args:
            documents: As in :meth:`add`.
            delete: Ids of documents to delete in the same step.
            show_progress: Show a bar that counts tokens.

        Returns:
            The ids of the documents given.

        Raises:
            InvalidDocumentError: An item is no document.
            DuplicateDocumentError: Two of the documents given have one id.
            UnknownDocumentError: There is no document with an id to delete.
        """
        gone = _ids(delete)
        with self._changing:
            segment = self._scan(as_documents(documents), (), show_progress)
            self._index.update(segment, gone)
            return list(segment.ids)

    def delete(self, doc_ids: Iterable[str]) -> None:
        """Delete documents; all of them or, on error, none.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        gone = _ids(doc_ids)
        with self._changing:
            self._index.delete(gone)

    def merge(self) -> None:
        """Rewrite the index as one segment, which frees the space of deleted documents."""
        with self._changing:
            self._index.merge()

    def save(self, path: str | Path) -> None:
        """Write everything needed to search again; a process killed meanwhile leaves the old index intact.

        Raises:
            InvalidInputError: The folder holds something else, or an index of another artifact.
            IndexBusyError: Somebody else is saving to the folder.
        """
        path = Path(path)
        check_target(path)
        with self._changing, only_writer(path):
            save_parts(path, self._index, self.artifact)

    @classmethod
    def load(cls, path: str | Path, *, host: Any = None) -> S3Retriever:
        """Open a saved index, with all its settings.

        Args:
            path: What :meth:`save` wrote.
            host: As in :meth:`from_documents`; by default the host the index was made with, by name.

        Raises:
            IndexFormatError: The index is missing, truncated, altered or of another version.
            ArtifactError: The host is not the one the index was made with.
        """
        index, artifact = read_saved(path)
        config = RetrieverConfig.from_json(index.header["config"])
        name = index.header["host"]["name"]
        try:
            loaded = Host.load(name if host is None else host)
        except HostNotFoundError as error:
            if host is not None:
                raise
            msg = f"{path} was made with host {name!r}, not found by that name: give host= ({error})"
            raise HostNotFoundError(msg) from error
        return cls(host=loaded, artifact=artifact, index=index, config=config)

    def retrieve(
        self,
        question: str,
        token_budget: int = 512,
        *,
        mode: str = "hybrid",
        scoring: str = "attention",
        explain: bool = False,
        unit_scores: bool = False,
        where: Filter | Mapping[str, Any] | None = None,
        top_k: int | None = None,
    ) -> list[Span]:
        """Return the spans that answer a question, best first.

        Args:
            question: In natural language.
            token_budget: Tokens of the host's tokenizer that the spans may have together; never exceeded.
            mode: "hybrid" (S3 and BM25), "s3" or "bm25".
            scoring: "attention", or "paper" for the published scoring (arXiv 2601.17702: shared feature
                ids weighted by rarity).
            explain: Fill :attr:`Span.explanation`.
            unit_scores: Scores in [0, 1]: 0 is the least, 1 the greatest density of what was searched.
            where: Search only documents whose metadata matches this filter (see
                :mod:`s3_retriever.search.filters`); a mapping means that every key has its value, or one of
                them if a list is given.
            top_k: Return only the best so many of the spans; None: all that the budget allows.

        Returns:
            Spans that do not overlap. Scores are densities: higher is better, comparable within one
            question only, and unchanged by a filter: they are about the whole corpus. In mode "bm25", empty
            where no word of the question occurs.

        Raises:
            InvalidInputError: The question is empty, the budget or ``top_k`` not positive, mode or scoring
                unknown, ``where`` no filter.
        """
        check_choice("mode", mode, MODES)
        check_choice("scoring", scoring, SCORINGS)
        if not isinstance(question, str) or not question.strip():
            msg = f"the question must be text, not {question!r}"
            raise InvalidInputError(msg)
        check_positive("token_budget", token_budget)
        if top_k is not None:
            check_positive("top_k", top_k)
        wanted = None if where is None else as_filter(where)
        snapshot = self._index.snapshot
        eligible = np.ones(snapshot.n_documents, np.bool_) if wanted is None else matching(snapshot, wanted)
        eligible_cells = np.repeat(eligible, np.diff(snapshot.document_cells))
        if not eligible_cells.any():
            return []
        # Before the host reads the question: BM25 would have to go back if the index changed meanwhile.
        emphasis = Emphasis(self._scoring.bm25_rarity, self.host.surprise) if mode == "hybrid" else None
        words = None if mode == "s3" else self._lexical.scores(snapshot, question, emphasis)
        asked = None if mode == "bm25" else ask(self.host, question, self.artifact.query_heads)
        rows = [] if asked is None else head_rows(self.artifact, asked.queries, self._scoring.n_features)
        sides = self._densities(snapshot, words, asked, rows, scoring)
        density = sides.fused()
        density[~eligible_cells] = -np.inf
        if mode == "bm25":
            density[density <= 0] = -np.inf
        read = functools.cache(snapshot.document)  # it parses the document anew
        selected = select_spans(
            density,
            snapshot.document_cells,
            budget=token_budget,
            document=lambda i: (read(i).text, snapshot.token_starts(i)),
            count_tokens=self.host.count_tokens,
            config=self.config.spans,
        )
        finite = density[np.isfinite(density)]
        low, high = (float(finite.min()), float(finite.max())) if unit_scores and finite.size else (0.0, 1.0)
        spans = []
        for span in selected[:top_k]:
            document = read(span.doc)
            explanation = self._explain(snapshot, span, document, sides, rows, asked) if explain else None
            score = (span.score - low) / (high - low) if high > low else 1.0
            spans.append(_span(document, span, score, explanation))
        return spans

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._index

    def document(self, doc_id: str) -> Document:
        """Return a document as it was given, its metadata as JSON holds it (a tuple is a list).

        Raises:
            UnknownDocumentError: There is no such document.
        """
        snapshot = self._index.snapshot
        return snapshot.document(snapshot.find(doc_id))

    @property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of all documents, in order of addition."""
        return self._index.document_ids

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""
        return self._index.n_tokens

    @property
    def nbytes(self) -> int:
        """Bytes of the index, texts excluded."""
        return self._index.nbytes

    def _scan(self, documents: Iterator[Document], taken: Container[str], show_progress: bool) -> Segment:
        builder = SegmentBuilder(self._index.layout)
        new = _refuse_taken(documents, taken)
        codecs, taps = self.artifact.codecs, self.artifact.taps
        with ThreadPoolExecutor(min(len(codecs), os.cpu_count() or 1)) as pool:
            for piece in scan(new, self.host, taps, self.config.scan, progress=show_progress):
                if piece.first:
                    builder.begin(piece.document)
                if len(piece.starts):
                    codes = list(pool.map(TapCodec.encode, codecs, piece.keys.swapaxes(0, 1)))
                    features, weights = [c.features for c in codes], [c.weights for c in codes]
                    builder.add(piece.starts, piece.ids, features, weights)
                if piece.last:
                    builder.end()
        return builder.build()

    def _densities(
        self,
        snapshot: Snapshot,
        words: Float64 | None,
        asked: Asked | None,
        rows: list[HeadRows],
        scoring: str,
    ) -> _Densities:
        cells = snapshot.document_cells
        s3 = bm25 = None
        if asked is not None:
            if scoring == "paper":
                s3 = paper_density(self._shared_features(snapshot, asked), cells)
            else:
                weights = self._token_weights(snapshot, asked)
                asking = weights > 0
                masses = (
                    snapshot.cell_masses(row.tap, row.features[asking], row.weights[asking]) for row in rows
                )
                s3 = s3_density(masses, weights[asking], snapshot.cell_tokens, cells, self._scoring)
        if words is not None:
            bm25 = bm25_density(words, cells, BM25_WIDTHS if asked is None else self._scoring.bm25_widths)
        return _Densities(s3, bm25)

    def _token_weights(self, snapshot: Snapshot, asked: Asked) -> Float32:
        return token_weights(snapshot.cell_frequencies(asked.ids), snapshot.n_cells)

    def _shared_features(self, snapshot: Snapshot, asked: Asked) -> Float32:
        """Count features that question and text share, weighted by rarity (arXiv 2601.17702)."""
        counts = np.zeros(snapshot.n_cells, np.float32)
        for t, codec in enumerate(self.artifact.codecs):
            heads = [h for h, query in enumerate(self.artifact.queries) if query.tap == codec.tap]
            queries = asked.queries[:, heads].reshape(-1, codec.sae.dim)
            codes = codec.sae.encode(center_and_normalize(queries, codec.mean))
            features, times = np.unique(codes.features[codes.weights > 0], return_counts=True)
            rarity = np.log1p(snapshot.n_tokens / (1 + snapshot.frequencies(t)[features]))
            counts += snapshot.cell_counts(t, features.astype(np.int32), (times * rarity).astype(np.float32))
        return counts

    def _explain(
        self,
        snapshot: Snapshot,
        span: SelectedSpan,
        document: Document,
        sides: _Densities,
        rows: list[HeadRows],
        asked: Asked | None,
    ) -> Explanation:
        if span.peak is None:
            return Explanation(s3=0.0, bm25=0.0)
        # A side's part is how far the peak rises above the least dense cell.
        s3, bm25 = (0.0 if side is None else float(side[span.peak] - side.min()) for side in sides)
        total = s3 + bm25
        share = s3 / total if total > 0 else float(sides.s3 is not None)
        features: tuple[TokenFeature, ...] = ()
        if asked is not None:
            weights = [math.fsum(weights) for weights in self._scoring.head_weights]
            tokens = (span.first_token, span.last_token)
            asking = list(zip(asked.tokens, self._token_weights(snapshot, asked).tolist(), strict=True))
            features = strongest_features(snapshot, span.doc, document.text, tokens, rows, weights, asking)
        return Explanation(s3=share, bm25=1 - share, features=features)

    def _header(self) -> dict[str, Any]:
        return {
            "artifact": self.artifact.digest,
            "host": self.host.identity,
            "config": self.config.to_json(),
        }


def _layout(artifact: Artifact) -> Layout:
    """Sizes of the index for an artifact's taps.

    A weight of a unit-norm reconstruction seldom exceeds 1, and is clipped there.
    """
    saes = [codec.sae for codec in artifact.codecs]
    return Layout(
        taps=tuple(map(str, artifact.taps)),
        n_features=tuple(sae.n_features for sae in saes),
        k=tuple(sae.k for sae in saes),
        weight_scales=tuple(1.0 for _ in saes),
    )


def _refuse_taken(documents: Iterable[Document], taken: Container[str]) -> Iterator[Document]:
    """Pass documents on, and stop at an id that is taken before time is spent on its text."""
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            msg = f"two documents have the id {document.id!r}; give each its own"
            raise DuplicateDocumentError(msg)
        if document.id in taken:
            msg = f"document {document.id!r} is already in the index; replace it with update()"
            raise DuplicateDocumentError(msg)
        seen.add(document.id)
        yield document


def _ids(doc_ids: Iterable[str]) -> list[str]:
    if isinstance(doc_ids, str):
        msg = f"doc_ids must be a list of ids, not the string {doc_ids!r}"
        raise InvalidInputError(msg)
    return list(doc_ids)


def _span(document: Document, span: SelectedSpan, score: float, explanation: Explanation | None) -> Span:
    return Span(
        id=f"{document.id}:{span.start}-{span.end}",
        doc_id=document.id,
        start=span.start,
        end=span.end,
        text=document.text[span.start : span.end],
        score=score,
        metadata=document.metadata,
        explanation=explanation,
    )
