"""What goes in (:class:`Document`) and what comes out (:class:`Span`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from s3_retriever.checks import check, instance, plain
from s3_retriever.disk import hash_values
from s3_retriever.errors import DuplicateDocumentError, InvalidDocumentError, InvalidInputError
from s3_retriever.names import MatchField, SpanKind

_OWN_KEYS = ("id", "_id", "title", "text", "metadata")  # of a mapping that is a document


@dataclass(frozen=True)
class Document:
    """One text to index.

    Attributes:
        id: Unique, non-empty.
        text: Any ``str``; character offsets of spans refer to it exactly as given.
        title: Stored and returned with results; not part of ``text`` and never inside an offset.
        metadata: Read by filters and handed back with every span of the document, as JSON has it: dates are
            text, sets are lists; see :func:`s3_retriever.json_form.json_form`.
        pages: The character offset where each page begins, the first one 0, none before the one before it;
            empty where the text has no pages.
        source_hash: Hash of what the document was read from; empty where nobody keeps one. ``index`` and
            ``sync`` leave a document alone while it stays the same.

    Raises:
        InvalidDocumentError: A value is of another type, the id is empty, or ``pages`` are no such offsets.

    Examples:
        >>> document = Document("ferry", "The ferry leaves at nine.", metadata={"year": 2024})
        >>> document.id, document.title, document.metadata
        ('ferry', '', {'year': 2024})
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    pages: tuple[int, ...] = ()
    source_hash: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            msg = f"a document's id must be a non-empty str, not {self.id!r}"
            raise InvalidDocumentError(msg)
        for name, kind, wanted in (
            ("text", str, "a str"),
            ("title", str, "a str"),
            ("metadata", Mapping, "a mapping"),
            ("source_hash", str, "a str"),
        ):
            if not isinstance(getattr(self, name), kind):
                found = type(getattr(self, name)).__name__
                msg = f"document {self.id!r}: {name} must be {wanted}, not {found}"
                raise InvalidDocumentError(msg)
        pages = plain(tuple(self.pages) if isinstance(self.pages, (list, tuple)) else self.pages)
        if not _are_pages(pages, len(self.text)):
            wanted = f"offsets from 0 to {len(self.text)}, the first one 0, ascending"
            msg = f"document {self.id!r}: pages must be {wanted}, not {self.pages!r:.80}"
            raise InvalidDocumentError(msg)
        object.__setattr__(self, "pages", pages)

    def pages_of(self, start: int, end: int) -> tuple[int, ...]:
        """Return the numbers, from 1, of the pages on which the characters from ``start`` to ``end`` stand.

        Examples:
            >>> Document("a", "one two three", pages=(0, 4, 8)).pages_of(4, 9)
            (2, 3)
        """
        if not self.pages:
            return ()
        first, last = (bisect_right(self.pages, at) for at in (start, max(start, end - 1)))
        return tuple(range(first, last + 1))


def _are_pages(pages: object, end: int) -> bool:
    if pages == ():
        return True
    if not isinstance(pages, tuple) or any(type(one) is not int for one in pages):
        return False
    return pages[0] == 0 and pages[-1] <= end and all(a <= b for a, b in pairwise(pages))


@dataclass(frozen=True)
class TokenFeature:
    """One reason for a span: a question token that met a feature of the text.

    Attributes:
        token: The question token, as text.
        tap: ``"layer.head"`` of the key head.
        feature: Feature id within the tap.
        share: This pair's part of the span's S3 evidence, in [0, 1].
        text: The document token on which the pair is strongest.
    """

    token: str
    tap: str
    feature: int
    share: float
    text: str


@dataclass(frozen=True)
class WordMatch:
    """A word of the question that met a word of a passage, or of what stands above it.

    Attributes:
        word: Of the question, as it stands there: ``question[word_start : word_start + len(word)]``.
        word_start: Its first character, offset into the question.
        text: What it met, as it stands in the document: ``document.text[start:end]``; for the fields "title"
            and "path", ``document.title[start:end]`` and ``document.id[start:end]``; for "page", its number.
        start: First character, offset there.
        end: One past the last character.
        s3: What S3 gave, as a part of all matches of the explanation, in [0, 1].
        bm25: What BM25 gave, likewise; above 0 only where both are the same search term.
        field: "text": it stands in the passage. Else above it: in the document's title, in the path that is
            its id, in a heading, or in a line that opens a function or class around it ("opening"); or the
            question names its page ("page"), whose borders the offsets are.
    """

    word: str
    word_start: int
    text: str
    start: int
    end: int
    s3: float
    bm25: float
    field: MatchField = "text"

    @property
    def share(self) -> float:
        """The match's part of all matches of the explanation, which add up to 1."""
        return self.s3 + self.bm25


@dataclass(frozen=True)
class Explanation:
    """Why a span was returned.

    Attributes:
        s3: S3's share of the score, in [0, 1].
        bm25: BM25's share; ``s3 + bm25 == 1`` unless the span is a bias span (both 0).
        features: The strongest question token/feature pairs, best first.
        words: Which words of the question met which words of the span or above it, strongest first; their
            shares add up to 1.
        named: The name by which a better passage refers to the section or document of this one, as it stands
            there, so that it counts more; empty where none does.
    """

    s3: float
    bm25: float
    features: tuple[TokenFeature, ...] = ()
    words: tuple[WordMatch, ...] = ()
    named: str = ""

    def _repr_html_(self) -> str:
        from s3_retriever.notebook import explanation_html

        return explanation_html(self)


@dataclass(frozen=True)
class Copy:
    """Where else a passage stands, the same or nearly.

    Attributes:
        doc_id: The document's id.
        start: First character, offset into the document's text.
        end: One past the last character.
        similarity: How much of it the passage has, in [0, 1]; 1 where it says no word more.
    """

    doc_id: str
    start: int
    end: int
    similarity: float = 1.0


@dataclass(frozen=True)
class Span:
    """A passage of a document: ``document.text[start:end] == text``, exactly.

    Attributes:
        id: ``"{doc_id}:{start}-{end}"``; the same span has the same id in every query.
        doc_id: The document's id.
        start: First character, offset into the document's text.
        end: One past the last character.
        text: The passage.
        score: Higher is better; comparable within one query only.
        metadata: The document's metadata.
        explanation: Filled when asked for (``explain=True``).
        pages: Numbers, from 1, of the pages on which it stands; several where it crosses a border, none where
            the document has no pages.
        kind: What most of it is: "prose", "heading", "list", "table", "code", "data" (JSON, records,
            attributes and drawers of markup), or "furniture" (page numbers and the like, returned only where
            nothing else is found).
        heading_path: The headings that its first unit stands below, the outermost first.
        header: What must be read before it and stands above it in the document: the header of its table,
            the lines that open its class and function, keys and sections above it, its record's first cell.
            Empty where there is none, or where it is in ``text``.
            Like the heading path, it is no part of ``text`` and does not count against the token budget.
        lines: Its first and its last line in the document, counted from 1 by line feeds.
        also_in: Where else the passage stands, among what was searched and found worth returning; best first.

    Examples:
        >>> span = Span("ferry:4-9", doc_id="ferry", start=4, end=9, text="ferry", score=1.0)
        >>> "The ferry leaves at nine."[span.start : span.end] == span.text
        True
    """

    id: str
    doc_id: str
    start: int
    end: int
    text: str
    score: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    explanation: Explanation | None = None
    pages: tuple[int, ...] = ()
    kind: SpanKind = "prose"
    heading_path: tuple[str, ...] = ()
    header: str = ""
    lines: tuple[int, int] = (1, 1)
    also_in: tuple[Copy, ...] = ()

    @property
    def page(self) -> int | None:
        """Number, from 1, of the page on which it begins; None where the document has no pages."""
        return self.pages[0] if self.pages else None

    def _repr_html_(self) -> str:
        return Spans([self])._repr_html_()

    @property
    def places(self) -> dict[str, Any]:
        """Its pages and where else it stands, as JSON has it.

        ``page`` and ``pages`` where the document has pages, ``also_in`` where it was found elsewhere too.
        """
        found: dict[str, Any] = {"page": self.page, "pages": list(self.pages)} if self.pages else {}
        return {**found, "also_in": [asdict(copy) for copy in self.also_in]} if self.also_in else found

    @property
    def structure(self) -> dict[str, Any]:
        """What the span is and where it stands, as JSON has it.

        ``kind`` and ``lines``, and of ``heading_path`` and ``header`` what is not empty.
        """
        found: dict[str, Any] = {"kind": self.kind, "lines": list(self.lines)}
        if self.heading_path:
            found["heading_path"] = list(self.heading_path)
        return {**found, "header": self.header} if self.header else found


class Spans(list[Span]):
    """The spans of one answer, best first: a list, which a notebook shows as a table with lit words."""

    def _repr_html_(self) -> str:
        from s3_retriever.notebook import spans_html

        return spans_html(self)


def as_documents(items: Iterable[Any]) -> Iterator[Document]:
    """Turn whatever users hold into documents, lazily.

    Accepts ``str``, mappings with ``text`` (and ``id`` or ``_id``, ``title``, ``metadata``),
    :class:`Document`, LlamaIndex documents and nodes, and LangChain documents. Text without an id
    gets one derived from its content, so the same text always has the same id. What else a mapping
    has is metadata too, unless ``metadata`` has a key of that name.

    Raises:
        InvalidDocumentError: An item is of no known kind or lacks text.
    """
    refuse_single(items, (str, bytes, Mapping, Document))
    for position, item in enumerate(items):
        yield as_document(item, position)


def distinct(documents: Iterable[Document], taken: Container[str] = ()) -> Iterator[Document]:
    """Pass documents on, lazily, up to one whose id came before or is taken.

    Args:
        documents: Any iterable.
        taken: Ids of documents that an index holds already.

    Raises:
        DuplicateDocumentError: Names the id.
    """
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            msg = f"two documents have the id {document.id!r}; give each its own"
            raise DuplicateDocumentError(msg)
        if document.id in taken:
            msg = f"document {document.id!r} is already in the index; update it instead"
            raise DuplicateDocumentError(msg)
        seen.add(document.id)
        yield document


def refuse_single(items: object, single: tuple[type, ...]) -> None:
    """Refuse one document where several are expected: a text would be taken for its characters.

    Raises:
        InvalidDocumentError: ``items`` is of one of the types of a single document, or no iterable.
    """
    if isinstance(items, single) or not isinstance(items, Iterable):
        msg = f"expected an iterable of documents, not a single {type(items).__name__}; wrap it in a list"
        raise InvalidDocumentError(msg)


def as_ids(doc_ids: object) -> list[str]:
    """Return ids of documents as a list.

    Raises:
        InvalidInputError: They are no iterable or a single text, or one is no text.
    """
    if isinstance(doc_ids, str) or not isinstance(doc_ids, Iterable):
        msg = f"doc_ids must be a list of ids, not {doc_ids!r:.200}"
        raise InvalidInputError(msg)
    ids = list(doc_ids)
    for one in ids:
        check("a document's id", one, instance(str, "a str"))
    return ids


def as_document(item: Any, position: int = 0) -> Document:
    """Turn one item into a :class:`Document`; ``position`` only serves the error message."""
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return Document(content_id(item), item)
    if isinstance(item, Mapping):
        if "text" not in item:
            msg = f"document {position} has no 'text'; its keys are {sorted(map(str, item))}"
            raise InvalidDocumentError(msg)
        key = item.get("id", item.get("_id"))
        metadata = {} if item.get("metadata") is None else item["metadata"]
        if isinstance(metadata, Mapping):
            metadata = {**{name: item[name] for name in item if name not in _OWN_KEYS}, **metadata}
        return _document(key, item["text"], item.get("title") or "", metadata, position)
    if hasattr(item, "page_content"):  # LangChain
        return _document(getattr(item, "id", None), item.page_content, "", item.metadata, position)
    if hasattr(item, "get_content") and hasattr(item, "node_id"):  # LlamaIndex
        return _document(item.node_id, item.get_content(), "", item.metadata, position)
    msg = (
        f"document {position} is a {type(item).__name__}; expected str, a mapping with 'text', "
        "a Document, a LlamaIndex node or a LangChain document"
    )
    raise InvalidDocumentError(msg)


def content_id(text: str) -> str:
    """Return an id derived from the text alone (16 hexadecimal digits)."""
    return hash_values(text)[:16]


def _document(key: object, text: object, title: str, metadata: Mapping[str, Any], position: int) -> Document:
    if not isinstance(text, str):
        msg = f"document {position}: text must be a str, not {type(text).__name__}"
        raise InvalidDocumentError(msg)
    if not isinstance(metadata, Mapping):
        msg = f"document {position}: metadata must be a mapping, not {type(metadata).__name__}"
        raise InvalidDocumentError(msg)
    identifier = content_id(text) if key is None else str(key)
    return Document(identifier, text, title, dict(metadata))
