"""What goes in (:class:`Document`) and what comes out (:class:`Span`)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from s3_retriever.checks import check, instance
from s3_retriever.disk import hash_values
from s3_retriever.errors import DuplicateDocumentError, InvalidDocumentError, InvalidInputError
from s3_retriever.names import SpanKind


@dataclass(frozen=True)
class Document:
    """One text to index.

    Attributes:
        id: Unique, non-empty.
        text: Any ``str``; character offsets of spans refer to it exactly as given.
        title: Stored and returned with results; not part of ``text`` and never inside an offset.
        metadata: Read by filters and handed back with every span of the document, as JSON has it: dates are
            text, sets are lists; see :func:`s3_retriever.json_form.json_form`.

    Raises:
        InvalidDocumentError: A value is of another type, or the id is empty.

    Examples:
        >>> document = Document("ferry", "The ferry leaves at nine.", metadata={"year": 2024})
        >>> document.id, document.title, document.metadata
        ('ferry', '', {'year': 2024})
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            msg = f"a document's id must be a non-empty str, not {self.id!r}"
            raise InvalidDocumentError(msg)
        for name, kind, wanted in (
            ("text", str, "a str"),
            ("title", str, "a str"),
            ("metadata", Mapping, "a mapping"),
        ):
            if not isinstance(getattr(self, name), kind):
                found = type(getattr(self, name)).__name__
                msg = f"document {self.id!r}: {name} must be {wanted}, not {found}"
                raise InvalidDocumentError(msg)


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
class Explanation:
    """Why a span was returned.

    Attributes:
        s3: S3's share of the score, in [0, 1].
        bm25: BM25's share; ``s3 + bm25 == 1`` unless the span is a bias span (both 0).
        features: The strongest question token/feature pairs, best first.
    """

    s3: float
    bm25: float
    features: tuple[TokenFeature, ...] = ()


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
        kind: What most of it is: "prose", "heading", "list", "table", "code", "data" (JSON), or "furniture"
            (page numbers and the like, returned only where nothing else is found).
        heading_path: The headings that its first unit stands below, the outermost first.
        header: What must be read before it and stands above it in the document: the header of its table,
            the lines that open its class and function. Empty where there is none, or where it is in ``text``.
            Like the heading path, it is no part of ``text`` and does not count against the token budget.
        lines: Its first and its last line in the document, counted from 1 by line feeds.

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
    kind: SpanKind = "prose"
    heading_path: tuple[str, ...] = ()
    header: str = ""
    lines: tuple[int, int] = (1, 1)

    @property
    def structure(self) -> dict[str, Any]:
        """What the span is and where it stands, as JSON has it.

        ``kind`` and ``lines``, and of ``heading_path`` and ``header`` what is not empty.
        """
        found: dict[str, Any] = {"kind": self.kind, "lines": list(self.lines)}
        if self.heading_path:
            found["heading_path"] = list(self.heading_path)
        return {**found, "header": self.header} if self.header else found


def as_documents(items: Iterable[Any]) -> Iterator[Document]:
    """Turn whatever users hold into documents, lazily.

    Accepts ``str``, mappings with ``text`` (and ``id`` or ``_id``, ``title``, ``metadata``),
    :class:`Document`, LlamaIndex documents and nodes, and LangChain documents. Text without an id
    gets one derived from its content, so the same text always has the same id.

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
            msg = f"document {document.id!r} is already in the index; replace it with update()"
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
        text = item["text"]
        key = item.get("id", item.get("_id"))
        return _document(key, text, item.get("title") or "", item.get("metadata") or {}, position)
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
