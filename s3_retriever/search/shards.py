"""An index in shards, wherever they are: what a retriever asks of it beside searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn, Protocol

import numpy as np

from s3_retriever.checks import check, instance
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError, UnknownDocumentError
from s3_retriever.index.layout import Layout
from s3_retriever.search.exchange import Facts, read_page


class Shards(Protocol):
    """Shards of one index, wherever they are; their order is that of their documents."""

    def each(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """Call a method of :class:`~s3_retriever.search.shard.Shard` on some shards at once.

        Args:
            method: Its name.
            arguments: Of each shard, by its number.

        Raises:
            ShardStateError: One was started anew; what it knew of questions is gone.
            ShardError: One did not answer in time.
        """

    def facts(self) -> Sequence[Facts]:
        """Return what each shard holds."""


class ReadOnly:
    """A lock that lets nobody in: what is in shards cannot be changed there."""

    def __enter__(self) -> NoReturn:
        """Refuse.

        Raises:
            InvalidInputError: Always.
        """
        msg = "an index in shards is only read; change it with from_dataset(), or load it without shards"
        raise InvalidInputError(msg)

    def __exit__(self, *_error: object) -> None:
        """Do nothing: nobody came in."""


class ShardedSnapshot:
    """The documents of an index in shards, numbered through; they never change.

    Args:
        shards: Where they are.
    """

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self._facts = list(shards.facts())
        self._firsts = np.cumsum([0, *(one.n_documents for one in self._facts)]).tolist()

    def __len__(self) -> int:
        return int(self._firsts[-1])

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(one.n_tokens for one in self._facts)

    @property
    def metadata_keys(self) -> frozenset[str]:
        """Keys of the metadata of all documents."""
        return frozenset().union(*(one.metadata_keys for one in self._facts))

    def has_key(self, key: str) -> bool:
        """Whether the metadata of a document has a key."""
        return any(key in one.metadata_keys for one in self._facts)

    @cached_property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of all documents, in order; the shards are asked once."""
        return tuple(doc_id for ids in self.each("document_ids") for doc_id in ids)

    def find(self, doc_id: str) -> int:
        """Return the number of the document with an id.

        Raises:
            InvalidInputError: It is no text.
            UnknownDocumentError: No document has it.
        """
        check("a document's id", doc_id, instance(str, "a str"))
        for first, number in zip(self._firsts, self.each("find", doc_id), strict=False):
            if number is not None:
                return int(first + number)
        msg = f"no document has the id {doc_id!r}"
        raise UnknownDocumentError(msg)

    def place(self, document: int) -> tuple[int, int]:
        """Return the shard of a document and its number there."""
        if not 0 <= document < len(self):
            msg = f"document number {document} is not in 0..{len(self) - 1}"
            raise IndexError(msg)
        shard = int(np.searchsorted(self._firsts, document, side="right")) - 1
        return shard, document - self._firsts[shard]

    def document(self, document: int) -> Document:
        """Read a document by its number."""
        shard, number = self.place(document)
        (page,) = self.shards.each("pages", {shard: ([number],)})[shard]
        return read_page(page)[0]

    def __iter__(self) -> NoReturn:
        """Refuse: who reads all documents is about to change them."""
        ReadOnly().__enter__()

    def each(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of all shards at once; return what each answered, in their order."""
        found = self.shards.each(method, dict.fromkeys(range(len(self._facts)), arguments))
        return [found[shard] for shard in range(len(self._facts))]


class ShardedIndex:
    """An index in shards, with what a retriever asks of an :class:`~s3_retriever.index.index.Index`.

    Attributes:
        layout: Taps and their sizes.
        header: Of the manifest.
        shards: Where it is.
        generation: Hash of the manifest's content; empty where none is known.
        snapshot: Its documents, which never change.
    """

    def __init__(
        self, shards: Shards, layout: Layout, header: Mapping[str, Any], generation: str = ""
    ) -> None:
        self.layout = layout
        self.header = dict(header)
        self.shards = shards
        self.generation = generation
        self.snapshot = ShardedSnapshot(shards)

    def __len__(self) -> int:
        return len(self.snapshot)

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and any(one is not None for one in self.snapshot.each("find", doc_id))

    @property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of the documents, in order."""
        return self.snapshot.document_ids

    @property
    def n_tokens(self) -> int:
        """Tokens of the documents."""
        return self.snapshot.n_tokens

    @property
    def nbytes(self) -> int:
        """Bytes of all segments, counted for each shard that reads them; texts excluded."""
        return sum(one.nbytes for one in self.shards.facts())

    def document(self, doc_id: str) -> Document:
        """Return a document.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        return self.snapshot.document(self.snapshot.find(doc_id))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        """Refuse; see :class:`ReadOnly`."""
        ReadOnly().__enter__()

    add = update = delete = merge = save = reload = __iter__ = _refuse
