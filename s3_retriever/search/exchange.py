"""What goes between shards and whoever asks them: questions, counts, cells, documents."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.index.documents import of_line
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.index.units import ARRAYS as UNIT_ARRAYS
from s3_retriever.index.units import UnitColumns
from s3_retriever.index.words import Asked
from s3_retriever.search.context import TermCounts
from s3_retriever.search.density import Float32, Int64
from s3_retriever.search.evidence import LookedUp
from s3_retriever.search.filters import Filter
from s3_retriever.search.lookup import Below
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import SelectedSpan
from s3_retriever.search.totals import Totals

_UNUSED = 65_535


class Facts(NamedTuple):
    """What a shard holds, known before any question.

    Attributes:
        n_documents: Documents.
        n_cells: Cells.
        n_tokens: Tokens.
        n_terms: Terms, repeated ones counted.
        nbytes: Bytes of the arrays of its segments.
        token_cells: int64, for each token id, cells that hold it.
        metadata_keys: Keys of the documents' metadata.
    """

    n_documents: int
    n_cells: int
    n_tokens: int
    n_terms: int
    nbytes: int
    token_cells: Int64
    metadata_keys: frozenset[str]


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


def unpacked_features(features: npt.NDArray[np.uint16]) -> npt.NDArray[np.int32]:
    """Return what :func:`packed_features` was given."""
    found = features.astype(np.int32)
    found[features == _UNUSED] = -1
    return found


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
            tuple(map(_added, zip(*(one.terms.cells for one in counted), strict=True))),
            tuple(Below(*_added(some)) for some in zip(*(one.terms.below for one in counted), strict=True)),
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


def _added(counts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


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
        least: Least density of S3 and of BM25 in all cells of the shard; infinite where it has none, 0 where
            the mode has no such side.
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


class Explained(NamedTuple):
    """What a shard has to know to say why it has spans.

    Attributes:
        question: As it was asked.
        looked_up: What the host's heads looked up.
        least: Least density of S3 and of BM25 in all shards.
        spans: With documents as the shard numbers them, and peaks counted from the beginning of each.
    """

    question: str
    looked_up: LookedUp | None
    least: tuple[float, float]
    spans: Sequence[SelectedSpan]


Ranges = dict[str, tuple[float, float]]
"""Least and greatest density by the names of the sides, as a :class:`~s3_retriever.search.profile.Profile`
has them."""


def page_of(snapshot: Snapshot, number: int) -> bytes:
    """Return a document with its tokens and units, for :func:`read_page`."""
    snapshot.checked_document(number)
    segment, i = snapshot.place(number)
    arrays = [segment.own_gaps(i), *segment.units.own(i)]
    head = json.dumps([[one.dtype.str, len(one)] for one in arrays])
    parts = [head.encode(), b"\n", *(one.tobytes() for one in arrays), segment.documents.line(i).tobytes()]
    return zlib.compress(b"".join(parts), 1)


def read_page(data: bytes) -> tuple[Document, Page]:
    """Read what :func:`page_of` returned: a document, and what passages are cut from."""
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
