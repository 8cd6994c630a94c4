"""The retriever: documents in, spans out. It joins host, encode, index and search."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from s3_retriever.asking import Asking
from s3_retriever.checks import PATH, Uncopyable, as_questions, check, instance, optional, whole
from s3_retriever.config import Mode, RetrieverConfig, ScoringName
from s3_retriever.disk import only_writer
from s3_retriever.documents import Document, Span, as_ids
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import ArtifactError
from s3_retriever.host.model import Host
from s3_retriever.host.one_core import OneCoreThreads
from s3_retriever.index import Index, Segment
from s3_retriever.indexing import build_segment, layout_of
from s3_retriever.locks import ChangeLock
from s3_retriever.opening import Opened
from s3_retriever.saved import check_target, save_parts
from s3_retriever.search.answer import SearchOptions
from s3_retriever.search.filters import Filter
from s3_retriever.search.lexical import LexicalIndex
from s3_retriever.search.profile import Profile
from s3_retriever.search.rank import Ranker
from s3_retriever.search.scoring import Scoring
from s3_retriever.search.shards import ReadOnly, ShardedIndex
from s3_retriever.search.spans import SpanConfig


class S3Retriever(Opened, Uncopyable):
    """Finds spans of documents by the host's own attention, fused with BM25.

    Make one with :meth:`from_documents` or :meth:`load`. Threads may share it: a search sees the corpus
    before or after a change, never between.

    Attributes:
        host: The language model.
        artifact: What was learned for it.
        ranker: What scores the cells of the index for a question; one that was given is not saved.

    Examples:
        >>> S3Retriever.from_documents(["The ferry leaves at nine."]).retrieve("When does it leave?")[0].text
        'The ferry leaves at nine.'
    """

    instead = "threads may share it as it is; for another process use save() and load()"

    def __init__(
        self,
        *,
        host: Host,
        artifact: Artifact,
        index: Index | None = None,
        config: RetrieverConfig | None = None,
        ranker: Ranker | None = None,
    ) -> None:
        """Join the parts; :meth:`from_documents` and :meth:`load` are the usual ways in.

        Raises:
            ArtifactError: The artifact belongs to another host, or the index to another artifact.
            InvalidInputError: A part is of another type.
        """
        check("host", host, instance(Host, "a Host; make one with Host.load()"))
        check("artifact", artifact, instance(Artifact, "an Artifact; make one with Artifact.load()"))
        check("index", index, optional(instance((Index, ShardedIndex), "an Index")))
        check("config", config, optional(instance(RetrieverConfig, "a RetrieverConfig")))
        check("ranker", ranker, optional(instance(Ranker, "a Ranker")))
        self.host = host
        self.artifact = artifact.quantized()  # so that a saved index gives the same scores
        header = {} if index is None else index.header
        layout = layout_of(artifact)
        if (index is not None and index.layout != layout) or (
            header and header.get("artifact") != artifact.digest
        ):
            msg = f"the index given was not made with artifact {artifact.name!r}; give the one that it was"
            raise ArtifactError(msg)
        if header and config is None:
            config = RetrieverConfig.from_json(header["config"])
        self._config = config or RetrieverConfig()
        artifact.check_host(host)
        own = {"artifact": self.artifact.digest, "host": host.identity}
        self._header = {**own, **header, "config": self._config.to_json()}
        self._index = Index(layout, self._header) if index is None else index
        self.ranker = ranker or Ranker(
            Scoring.from_json(artifact.scoring),
            LexicalIndex(self._config.bm25),
            lru_cache(maxsize=1 << 16)(host.surprise),
        )
        self._changing = ReadOnly() if isinstance(index, ShardedIndex) else ChangeLock("the retriever")
        self._threads = OneCoreThreads()

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Any],
        *,
        host: Any = None,
        artifact: Artifact | str | Path = "fast",
        config: RetrieverConfig | None = None,
        threads: int | None = None,
        show_progress: bool = False,
    ) -> S3Retriever:
        """Scan documents and index them.

        Args:
            documents: Any iterable, consumed lazily: ``str``, mappings with ``text``, :class:`Document`,
                LlamaIndex documents or nodes, LangChain documents.
            host: A hub name, a folder, ``(model, tokenizer)`` in memory, a :class:`Host`, or None for
                the default host.
            artifact: "tiny", "fast" or "best" of the default host, a folder, or an :class:`Artifact`.
            config: Settings.
            threads: As in :meth:`add`.
            show_progress: As in :meth:`add`.

        Raises:
            InvalidDocumentError: An item is no document.
            DuplicateDocumentError: Two documents have one id.
            InvalidInputError: ``threads`` is not positive.
            HostNotFoundError: The host's weights were not found.
            UnsupportedHostError: The model or its tokenizer cannot serve as a host.
            ArtifactError: The artifact does not exist or belongs to another host.
        """
        check("threads", threads, optional(whole(1)))
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        retriever = cls(host=Host.load(host), artifact=artifact, config=config)
        retriever.add(documents, threads=threads, show_progress=show_progress)
        return retriever

    def add(
        self, documents: Iterable[Any], *, threads: int | None = None, show_progress: bool = False
    ) -> list[str]:
        """Scan more documents and add them behind those already here; all of them or, on error, none.

        Args:
            documents: As in :meth:`from_documents`.
            threads: How many threads scan, on one core each; the index is the same whatever their number.
                None: as many as torch would use, at most one per core that this process may use.
            show_progress: Show on standard error how far the scan is: a bar on a terminal, else a line every
                ten seconds.

        Returns:
            The ids of the documents added.

        Raises:
            InvalidDocumentError: An item is no document.
            DuplicateDocumentError: An id is already here or occurs twice.
            InvalidInputError: ``threads`` is not positive.
        """
        with self._changing:
            segment = self._scan(documents, self._index, threads=threads, show_progress=show_progress)
            self._index.add(segment)
            return list(segment.ids)

    def update(
        self,
        documents: Iterable[Any],
        *,
        delete: Iterable[str] = (),
        threads: int | None = None,
        show_progress: bool = False,
    ) -> list[str]:
        """Scan documents and replace those that have their ids; new ones are added.

        A search sees all of the old documents or all of the new ones. As after deleting and adding, they come
        behind the documents that stay. On error, nothing changes.

        Args:
            documents: As in :meth:`add`.
            delete: Ids of documents to delete in the same step.
            threads: As in :meth:`add`.
            show_progress: As in :meth:`add`.

        Returns:
            The ids of the documents given.

        Raises:
            InvalidDocumentError: An item is no document.
            DuplicateDocumentError: Two of the documents given have one id.
            UnknownDocumentError: There is no document with an id to delete.
            InvalidInputError: ``threads`` is not positive.
        """
        gone = as_ids(delete)
        with self._changing:
            segment = self._scan(documents, (), threads=threads, show_progress=show_progress)
            self._index.update(segment, gone)
            return list(segment.ids)

    def delete(self, doc_ids: Iterable[str]) -> None:
        """Delete documents; all of them or, on error, none.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        gone = as_ids(doc_ids)
        with self._changing:
            self._index.delete(gone)

    def merge(self) -> None:
        """Rewrite the index as one segment, which frees the space of deleted documents.

        Only that is gained: :meth:`add` and :meth:`update` keep the segments few by themselves.
        """
        with self._changing:
            self._index.merge()

    def save(self, path: str | Path) -> None:
        """Write everything needed to search again; a kill or a power cut leaves the old index intact.

        What the folder has already is read and used again where it is sound.

        Raises:
            InvalidInputError: The folder holds something else, an index of another artifact, or a link; or it
                is a URL, where only :meth:`from_dataset` writes.
            IndexBusyError: Somebody else is saving to the folder.
            IndexChangedError: Somebody else saved to it since this retriever was loaded or saved there.
            IndexFormatError: A file there is damaged, and so is what was loaded from it.
            DiskFullError: There is no room; the folder holds what it held before.
        """
        check("path", path, PATH)
        path = Path(path)
        check_target(path)
        with self._changing, only_writer(path):
            save_parts(path, self._index, self._header, self.artifact)

    def retrieve(
        self,
        question: str,
        token_budget: int = 512,
        *,
        mode: Mode = "hybrid",
        scoring: ScoringName = "attention",
        explain: bool = False,
        unit_scores: bool = False,
        where: Filter | Mapping[str, Any] | None = None,
        top_k: int | None = None,
        spans: SpanConfig | None = None,
        unique: bool = True,
    ) -> list[Span]:
        """Return the spans that answer a question, best first.

        Args:
            question: In natural language.
            token_budget: Tokens of the host's tokenizer that the spans may have together; never exceeded.
            mode: "hybrid" (S3 and BM25), "s3" or "bm25".
            scoring: "attention", or "paper" for the published one (arXiv 2601.17702): rare shared features.
            explain: Fill :attr:`Span.explanation`.
            unit_scores: Scores in [0, 1]: 0 is the least, 1 the greatest density of what was searched.
            where: Search only documents whose metadata matches this filter (see
                :mod:`s3_retriever.search.filters`); a mapping means that every key has its value, or one of
                them if a list is given.
            top_k: Return only the best so many of the spans; None: all that the budget allows.
            spans: How passages are cut, instead of ``config.spans``.
            unique: Return the same passage once, and where else it stands as :attr:`Span.also_in`; what that
                leaves of the budget buys others. False: return all.

        Returns:
            Spans that do not overlap. Scores are densities: higher is better, comparable within one
            question only, and unchanged by a filter: they are about the whole corpus. In mode "bm25", empty
            where no word of the question occurs.

        Raises:
            InvalidInputError: The question is empty, the budget or ``top_k`` not positive, mode or scoring
                unknown, ``where`` no filter, ``spans`` no :class:`SpanConfig`, a flag no ``bool``.
        """
        options: dict[str, Any] = {
            "mode": mode,
            "scoring": scoring,
            "explain": explain,
            "unit_scores": unit_scores,
            "where": where,
            "top_k": top_k,
            "spans": spans,
            "unique": unique,
        }
        return self.retrieve_batch([question], token_budget, **options)[0]

    def retrieve_batch(
        self,
        questions: Iterable[str],
        token_budget: int = 512,
        *,
        mode: Mode = "hybrid",
        scoring: ScoringName = "attention",
        explain: bool = False,
        unit_scores: bool = False,
        where: Filter | Mapping[str, Any] | None = None,
        top_k: int | None = None,
        spans: SpanConfig | None = None,
        unique: bool = True,
    ) -> list[list[Span]]:
        """Return what :meth:`retrieve` returns for each of several questions, in their order; faster.

        The questions go through the host together, and all of them see the corpus as it is at one time.

        Raises:
            InvalidInputError: As for one question, or ``questions`` is a single text.
        """
        asked = as_questions(questions)
        options = SearchOptions(
            token_budget=token_budget,
            mode=mode,
            scoring=scoring,
            explain=explain,
            unit_scores=unit_scores,
            where=where,
            top_k=top_k,
            spans=spans,
            unique=unique,
        )
        return self._asking.answers(self._index.snapshot, asked, options)

    def profile(
        self, question: str, doc_id: str, *, mode: Mode = "hybrid", scoring: ScoringName = "attention"
    ) -> Profile:
        """Return the density of a document for a question, cell by cell, in its parts of S3 and BM25.

        A span's score is the density of the highest cell in it. Question, mode and scoring are those of
        :meth:`retrieve`.

        Raises:
            UnknownDocumentError: There is no such document.
            InvalidInputError: The question is empty, mode or scoring unknown.
        """
        (asked,) = as_questions([question])
        options = SearchOptions(mode=mode, scoring=scoring)
        return self._asking.profile(self._index.snapshot, asked, doc_id, options)

    @property
    def config(self) -> RetrieverConfig:
        """Settings, saved with the index; they do not change. `retrieve` takes what one call may vary."""
        return self._config

    @property
    def index(self) -> Index:
        """The index that is searched; one in shards is only read, and has no segments here."""
        return self._index

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._index

    def document(self, doc_id: str) -> Document:
        """Return a document as it was given, its metadata as JSON has it (a tuple is a list, a date a text).

        Raises:
            UnknownDocumentError: There is no such document.
        """
        return self._index.document(doc_id)

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

    def _scan(self, documents: Iterable[Any], taken: Container[str], **how: Any) -> Segment:
        return build_segment(documents, self.host, self.artifact, self._config.scan, taken=taken, **how)

    @property
    def _asking(self) -> Asking:
        return Asking(self.host, self.artifact, self.ranker, self._threads, self._config.spans)
