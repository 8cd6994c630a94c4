"""Dense keys and queries of a calibration set, laid out in cells as an index lays out its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from s3_retriever.documents import Document
from s3_retriever.errors import DuplicateDocumentError, InvalidInputError
from s3_retriever.features.pairs import Pair
from s3_retriever.features.queries import ask, tap_of
from s3_retriever.features.sae import Floats, center_and_normalize
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.index.kernels import cell_frequencies
from s3_retriever.index.layout import CELL
from s3_retriever.search.density import token_weights

_CELLS = 2048  # cells normalised at a time


@dataclass(frozen=True, eq=False)
class Example:
    """A question and where its evidence lies.

    Attributes:
        queries: float32 (n, H, d), centred queries of the heads at the question's tokens.
        token_weights: float32 (n,), how much each of these tokens counts.
        cells: int64 (e,), the cells that hold evidence.
        weights: float32 (e,), each one's share of the evidence; they sum to 1.
        document: Number of the evidence's document.
    """

    queries: Floats
    token_weights: Floats
    cells: npt.NDArray[np.int64]
    weights: Floats
    document: int


@dataclass(frozen=True, eq=False)
class Bank:
    """Keys of some taps over a corpus, and the questions asked of it.

    Attributes:
        heads: The query heads, H.
        taps: The taps they ask, T.
        head_taps: (H,), number of each head's tap.
        key_means: float32 (T, d).
        query_means: float32 (H, d).
        keys: float16 (T, C, CELL, d), unit keys; zero where a cell has no token.
        tokens: int32 (C,), tokens in each cell.
        document_cells: int64 (D + 1,).
        examples: One per pair.
    """

    heads: tuple[QueryHead, ...]
    taps: tuple[Tap, ...]
    head_taps: tuple[int, ...]
    key_means: Floats
    query_means: Floats
    keys: npt.NDArray[np.float16]
    tokens: npt.NDArray[np.int32]
    document_cells: npt.NDArray[np.int64]
    examples: tuple[Example, ...]


def fill_bank(
    host: Host,
    documents: Iterable[Document],
    pairs: Sequence[Pair],
    heads: Sequence[QueryHead],
    *,
    key_means: Mapping[Tap, Floats] | None = None,
    scan_config: ScanConfig | None = None,
    progress: bool = False,
) -> Bank:
    """Scan documents and questions once, and keep what calibration needs.

    Args:
        host: The host.
        documents: The corpus; it must hold every pair's document.
        pairs: At least one.
        heads: Query heads to calibrate.
        key_means: Mean key, float32 (d,), of each tap, to centre keys by; their own mean if None.
        scan_config: Chunks and batches.
        progress: Show a progress bar.

    Raises:
        InvalidInputError: There is no pair, a head is not in the host, or a pair's document is not in the
            corpus or lacks its evidence.
        DuplicateDocumentError: Two documents have one id.
    """
    taps, head_taps = asked_taps(host, heads)
    questions = Questions.read(host, pairs, heads, progress=progress)
    corpus = Corpus.read(host, documents, taps, scan_config=scan_config, progress=progress)
    dense, tokens, cells = corpus.cells()
    means = _center(dense, tokens, [None if key_means is None else key_means[tap] for tap in taps])
    return Bank(
        heads=tuple(heads),
        taps=taps,
        head_taps=head_taps,
        key_means=means,
        query_means=questions.means,
        keys=dense,
        tokens=tokens,
        document_cells=cells,
        examples=corpus.examples(pairs, questions, cells),
    )


def asked_taps(host: Host, heads: Sequence[QueryHead]) -> tuple[tuple[Tap, ...], tuple[int, ...]]:
    """Return the taps that heads ask, sorted, and the number of each head's.

    Raises:
        InvalidInputError: A head is not in the host.
    """
    host.project([], heads=heads)
    asked = [tap_of(host, head) for head in heads]
    taps = tuple(sorted(set(asked)))
    return taps, tuple(taps.index(tap) for tap in asked)


@dataclass(frozen=True, eq=False)
class Questions:
    """The queries of some heads at the tokens of questions.

    Attributes:
        means: Mean query of each head, float32 (H, d).
        centred: Of each question float32 (n, H, d), less the means.
        ids: Of each question int32 (n,), its tokens.
    """

    means: Floats
    centred: list[Floats]
    ids: list[npt.NDArray[np.int32]]

    @classmethod
    def read(
        cls, host: Host, pairs: Sequence[Pair], heads: Sequence[QueryHead], *, progress: bool = False
    ) -> Questions:
        """Ask the host every question.

        Raises:
            InvalidInputError: There is no pair, or a question is longer than the host's window.
        """
        if not pairs:
            msg = "calibration needs pairs of question and evidence, and got none"
            raise InvalidInputError(msg)
        bar = tqdm(pairs, "ask", unit=" questions", disable=not progress)
        asked = [ask(host, pair.question, heads) for pair in bar]
        means = np.concatenate([one.queries for one in asked]).mean(axis=0)
        return cls(means, [one.queries - means for one in asked], [one.ids for one in asked])


class Corpus:
    """Collects the scanned pieces of a corpus.

    Args:
        n_taps: Taps, T.
        dim: Dimension of what is kept of a key.
    """

    def __init__(self, n_taps: int, dim: int) -> None:
        self._shape = (n_taps, dim)
        self._numbers: dict[str, int] = {}
        self._documents: list[Document] = []
        self._starts: list[npt.NDArray[np.int32]] = []
        self._ids: list[npt.NDArray[np.int32]] = []
        self._keys: list[list[npt.NDArray[np.float16]]] = []

    @classmethod
    def read(
        cls,
        host: Host,
        documents: Iterable[Document],
        taps: Sequence[Tap],
        *,
        keep: Callable[[Floats], Floats] | None = None,
        dim: int | None = None,
        scan_config: ScanConfig | None = None,
        progress: bool = False,
    ) -> Corpus:
        """Scan documents.

        Args:
            host: The host.
            documents: Each with an id of its own.
            taps: Key heads to read.
            keep: Makes of raw keys, float32 (n, T, d), what is kept of them, (n, T, ``dim``); all if None.
            dim: See ``keep``.
            scan_config: Chunks and batches.
            progress: Show a progress bar.

        Raises:
            InvalidInputError: A chunk would exceed the host's window.
            DuplicateDocumentError: Two documents have one id.
        """
        corpus = cls(len(taps), dim or host.head_dim)
        for piece in scan(documents, host, taps, scan_config, progress=progress):
            if piece.first:
                corpus._begin(piece.document)
            corpus._add(piece.starts, piece.ids, keep(piece.keys) if keep else piece.keys)
        return corpus

    def _begin(self, document: Document) -> None:
        if document.id in self._numbers:
            msg = f"two documents of the corpus have the id {document.id!r}; give each its own"
            raise DuplicateDocumentError(msg)
        self._numbers[document.id] = len(self._documents)
        self._documents.append(document)
        self._starts.append(np.zeros(0, np.int32))
        self._ids.append(np.zeros(0, np.int32))
        self._keys.append([])

    def _add(self, starts: npt.NDArray[np.int32], ids: npt.NDArray[np.int32], keys: Floats) -> None:
        self._starts[-1] = np.concatenate([self._starts[-1], starts])
        self._ids[-1] = np.concatenate([self._ids[-1], ids])
        self._keys[-1].append(keys.astype(np.float16))

    def cells(self) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Lay keys out in cells, once; returns (T, C, CELL, d) keys, tokens per cell, first cells."""
        lengths = np.array([len(starts) for starts in self._starts], np.int64)
        pointers = np.append(0, np.cumsum(-(-lengths // CELL)))
        n_taps, dim = self._shape
        keys = np.zeros((n_taps, int(pointers[-1]) * CELL, dim), np.float16)
        tokens = np.full(int(pointers[-1]), CELL, np.int32)
        for number, length in enumerate(lengths.tolist()):
            first = int(pointers[number]) * CELL
            keys[:, first : first + length] = np.concatenate(self._keys[number]).transpose(1, 0, 2)
            self._keys[number] = []
            if length % CELL:
                tokens[pointers[number + 1] - 1] = length % CELL
        return keys.reshape(n_taps, len(tokens), CELL, dim), tokens, pointers

    def examples(
        self, pairs: Sequence[Pair], questions: Questions, cells: npt.NDArray[np.int64]
    ) -> tuple[Example, ...]:
        """Find the evidence of pairs in the cells that :meth:`cells` laid out.

        Args:
            pairs: Their documents must be here.
            questions: Theirs.
            cells: int64 (D + 1,), first cell of each document.

        Raises:
            InvalidInputError: A pair's document is not here or lacks its evidence.
        """
        examples = []
        everything = np.concatenate([np.zeros(0, np.int32), *self._ids]).astype(np.uint32)
        pointers = np.cumsum([0, *map(len, self._ids)])
        documents = np.arange(len(self._ids))
        for pair, queries, ids in zip(pairs, questions.centred, questions.ids, strict=True):
            where, weights, document = self._evidence(pair, cells)
            rarity = token_weights(cell_frequencies(everything, pointers, documents, ids), int(cells[-1]))
            examples.append(Example(queries, rarity, where, weights, document))
        return tuple(examples)

    def _evidence(
        self, pair: Pair, cells: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], Floats, int]:
        """Return the cells of a pair's evidence, their shares of it, and the document's number."""
        number = self._numbers.get(pair.doc_id)
        if number is None:
            msg = f"the corpus has no document {pair.doc_id!r}, which holds the evidence of {pair.question!r}"
            raise InvalidInputError(msg)
        starts, length = self._starts[number], len(self._documents[number].text)
        shares: dict[int, float] = {}
        for start, end in pair.evidence:
            if not 0 <= start < end <= length:
                msg = f"evidence [{start}, {end}] is not within the {length} characters of {pair.doc_id!r}"
                raise InvalidInputError(msg)
            first = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
            bounds = np.append(starts[first : np.searchsorted(starts, end)], end)
            for token, width in enumerate(np.diff(np.maximum(bounds, start)).tolist(), first):
                cell = int(cells[number]) + token // CELL
                shares[cell] = shares.get(cell, 0.0) + width
        if not shares:
            msg = f"the pair {pair.question!r} names no evidence in {pair.doc_id!r}"
            raise InvalidInputError(msg)
        weights = np.array(list(shares.values()), np.float32)
        return np.array(list(shares), np.int64), weights / weights.sum(), number


def _center(
    keys: npt.NDArray[np.float16], tokens: npt.NDArray[np.int32], given: Sequence[Floats | None]
) -> Floats:
    """Centre each tap's keys by the mean given, or their own, and normalise them; returns the means."""
    means = np.zeros((len(keys), keys.shape[-1]), np.float32)
    real = np.arange(CELL) < tokens[:, None]
    for mean, tap, known in zip(means, keys, given, strict=True):
        own = tap.sum(axis=(0, 1), dtype=np.float64) / max(tokens.sum(), 1)
        mean[:] = own if known is None else known
        for first in range(0, len(tap), _CELLS):
            part = slice(first, first + _CELLS)
            tap[part] = center_and_normalize(tap[part], mean) * real[part, :, None]
    return means
