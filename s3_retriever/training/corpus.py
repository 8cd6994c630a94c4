"""Dense keys and queries of a calibration set, laid out in cells as an index lays out its tokens."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from s3_retriever.documents import Document, distinct
from s3_retriever.encode.artifact import QueryMap
from s3_retriever.encode.question import encode_question, tap_of
from s3_retriever.encode.sae import Floats, center_and_normalize
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.scan import ScanConfig, scan
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.index.layout import CELL
from s3_retriever.index.postings import cells_of_tokens
from s3_retriever.search.density import token_weights
from s3_retriever.training.pairs import Pair
from s3_retriever.training.sketch import Sketch

_CELLS = 2048  # cells normalised at a time


@dataclass(frozen=True, eq=False)
class Example:
    """A question and where its evidence lies.

    Attributes:
        queries: Centred queries of the heads at the question's tokens, float32 (n, H, d).
        token_weights: How much each of these tokens counts, float32 (n,).
        cells: The cells that hold evidence, int64 (e,).
        weights: Share of the evidence in each of them, float32 (e,); they sum to 1.
        document: Number of the evidence's document.
    """

    queries: Floats
    token_weights: Floats
    cells: npt.NDArray[np.int64]
    weights: Floats
    document: int

    def evidence(self, n_cells: int) -> Floats:
        """Return the share of the evidence in each cell of the corpus, float32 (n_cells,)."""
        shares = np.zeros(n_cells, np.float32)
        shares[self.cells] = self.weights
        return shares


@dataclass(frozen=True, eq=False)
class DenseCorpus:
    """Keys of some taps over a corpus, and the questions about it.

    Attributes:
        heads: The query heads, H.
        taps: The taps they ask, T.
        head_taps: Number of each head's tap, (H,).
        key_means: float32 (T, d).
        query_means: float32 (H, d).
        keys: Unit keys, float16 (T, C, CELL, d); zero where a cell has no token.
        tokens: Tokens in each cell, int32 (C,).
        document_cells: First cell of each document, and the number of cells, int64 (D + 1,).
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

    def query_maps(self, maps: Floats) -> tuple[QueryMap, ...]:
        """Return the heads with their means and these maps, float32 (H, d, d)."""
        parts = zip(self.heads, self.head_taps, self.query_means, maps, strict=True)
        return tuple(QueryMap(head, self.taps[tap], mean, map_) for head, tap, mean, map_ in parts)

    def draw_passages(
        self, example: Example, size: int, n: int, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Draw passages of the corpus that stand for all of it where one question is concerned.

        The evidence's document is cut at random. Its passages with evidence come first, then one without,
        then passages of any document until there are ``n``.

        Args:
            example: The question.
            size: Cells of a passage.
            n: Passages; more if the evidence lies in more.
            rng: Draws them.

        Returns:
            Numbers of cells, int64 (passages, size), -1 after the end of a shorter passage.
        """
        begin, end = self.document_cells[example.document : example.document + 2]
        offset = int(rng.integers(size))
        cuts = np.arange(begin - offset, end, size)
        has_evidence = np.isin(np.arange(len(cuts)), (example.cells - begin + offset) // size)
        chosen = [(max(begin, cut), min(end, cut + size)) for cut in cuts[has_evidence]]
        rest = cuts[~has_evidence]
        if len(rest):
            cut = rng.choice(rest)
            chosen.append((max(begin, cut), min(end, cut + size)))
        lengths = np.diff(self.document_cells)
        others = lengths / lengths.sum()
        is_alone = np.count_nonzero(lengths) == 1  # then it is compared with itself
        while len(chosen) < n:
            document = rng.choice(len(lengths), p=others)
            if document == example.document and not is_alone:
                continue
            low, high = self.document_cells[document : document + 2]
            first = low + rng.integers(max(1, high - low - size + 1))
            chosen.append((first, min(first + size, high)))
        cells = np.full((len(chosen), size), -1, np.int64)
        for row, (first, last) in zip(cells, chosen, strict=True):
            row[: last - first] = np.arange(first, last)
        return cells


def read_dense_corpus(
    host: Host,
    documents: Iterable[Document],
    pairs: Sequence[Pair],
    heads: Sequence[QueryHead],
    *,
    key_means: Mapping[Tap, Floats] | None = None,
    sketch_dim: int | None = None,
    scan_config: ScanConfig | None = None,
    show_progress: bool = False,
) -> DenseCorpus:
    """Scan documents and questions once, and keep what calibration needs.

    Args:
        host: The host.
        documents: The corpus; it must hold every pair's document.
        pairs: At least one.
        heads: Query heads to calibrate.
        key_means: Mean key of each tap, float32 (d,), that keys are centred by; their own mean if None.
        sketch_dim: Keep sketches of this dimension, which needs ``key_means``; whole keys if None.
        scan_config: Chunks and batches.
        show_progress: Show a progress bar.

    Raises:
        InvalidInputError: There is no pair, a head is not in the host, or a pair's document is not in the
            corpus or lacks its evidence.
        DuplicateDocumentError: Two documents have one id.
    """
    host.project([], heads=heads)  # refuses a head that is not there now, not after the scan
    if not pairs:
        msg = "calibration needs pairs of question and evidence, and got none"
        raise InvalidInputError(msg)
    asked = [tap_of(host, head) for head in heads]
    taps = tuple(sorted(set(asked)))
    head_taps = tuple(taps.index(tap) for tap in asked)
    bar = tqdm(pairs, "ask", unit=" questions", disable=not show_progress)
    questions = [encode_question(host, pair.question, heads) for pair in bar]
    query_means = np.concatenate([one.queries for one in questions]).mean(axis=0)
    queries = [one.queries - query_means for one in questions]
    means = None if key_means is None else np.stack([key_means[tap] for tap in taps])
    sketch = None
    if sketch_dim is not None:
        if means is None:
            msg = "sketches need the mean key of each tap: give key_means, such as those of mean_keys()"
            raise InvalidInputError(msg)
        sketch = Sketch.of(means, queries, head_taps, sketch_dim)
        queries = [sketch.queries(one) for one in queries]
    cells = CellKeys.read(host, documents, taps, sketch, scan_config=scan_config, show_progress=show_progress)
    weights = cells.token_weights([one.ids for one in questions])
    return DenseCorpus(
        heads=tuple(heads),
        taps=taps,
        head_taps=head_taps,
        key_means=sketch.means if sketch else _center(cells.keys, cells.tokens, means),
        query_means=query_means,
        keys=cells.keys,
        tokens=cells.tokens,
        document_cells=cells.document_cells,
        examples=tuple(
            Example(own, token_weights, *cells.evidence(pair))
            for own, token_weights, pair in zip(queries, weights, pairs, strict=True)
        ),
    )


@dataclass(frozen=True, eq=False)
class CellKeys:
    """Keys of documents laid out in cells.

    Attributes:
        documents: The documents, D.
        starts: First character of each document's tokens, int32 (n,) each.
        ids: Ids of each document's tokens, int32 (n,) each.
        keys: float16 (T, C, CELL, d); zero where a cell has no token.
        tokens: Tokens in each cell, int32 (C,).
        document_cells: First cell of each document, and the number of cells, int64 (D + 1,).
    """

    documents: list[Document]
    starts: list[npt.NDArray[np.int32]]
    ids: list[npt.NDArray[np.int32]]
    keys: npt.NDArray[np.float16]
    tokens: npt.NDArray[np.int32]
    document_cells: npt.NDArray[np.int64]

    @classmethod
    def read(
        cls,
        host: Host,
        documents: Iterable[Document],
        taps: Sequence[Tap],
        sketch: Sketch | None = None,
        *,
        scan_config: ScanConfig | None = None,
        show_progress: bool = False,
    ) -> CellKeys:
        """Scan documents.

        Args:
            host: The host.
            documents: Each with an id of its own.
            taps: Key heads to read, T.
            sketch: Makes of raw keys what is kept of them; raw keys are kept if None.
            scan_config: Chunks and batches.
            show_progress: Show a progress bar.

        Raises:
            InvalidInputError: A chunk would exceed the host's window.
            DuplicateDocumentError: Two documents have one id.
        """
        read: list[Document] = []
        starts: list[list[npt.NDArray[np.int32]]] = []
        ids: list[list[npt.NDArray[np.int32]]] = []
        kept: list[list[npt.NDArray[np.float16]]] = []
        for piece in scan(distinct(documents), host, taps, scan_config, show_progress=show_progress):
            if piece.first:
                read.append(piece.document)
                starts.append([])
                ids.append([])
                kept.append([])
            starts[-1].append(piece.starts)
            ids[-1].append(piece.ids)
            kept[-1].append((sketch.keys(piece.keys) if sketch else piece.keys).astype(np.float16))
        lengths = np.array([sum(map(len, parts)) for parts in starts], np.int64)
        document_cells = np.append(0, np.cumsum(-(-lengths // CELL)))
        n_cells, dim = int(document_cells[-1]), sketch.dim if sketch else host.head_dim
        keys = np.zeros((len(taps), n_cells * CELL, dim), np.float16)
        tokens = np.full(n_cells, CELL, np.int32)
        for number, length in enumerate(lengths.tolist()):
            first = int(document_cells[number]) * CELL
            keys[:, first : first + length] = np.concatenate(kept[number]).transpose(1, 0, 2)
            kept[number] = []  # so that memory holds little twice
            if length % CELL:
                tokens[document_cells[number + 1] - 1] = length % CELL
        return cls(
            documents=read,
            starts=list(map(np.concatenate, starts)),
            ids=list(map(np.concatenate, ids)),
            keys=keys.reshape(len(taps), n_cells, CELL, dim),
            tokens=tokens,
            document_cells=document_cells,
        )

    def token_weights(self, questions: Sequence[npt.NDArray[np.int32]]) -> list[Floats]:
        """Return how much each token of questions counts, float32 (n,) each, given their ids, int32 (n,)."""
        ids = np.concatenate([np.zeros(0, np.int32), *self.ids]).astype(np.uint32)
        pointers, documents = np.cumsum([0, *map(len, self.ids)]), np.arange(len(self.ids))
        held = cells_of_tokens(ids, pointers, documents)
        return [token_weights(own, [held], len(self.tokens)) for own in questions]

    def evidence(self, pair: Pair) -> tuple[npt.NDArray[np.int64], Floats, int]:
        """Find the evidence of a pair.

        Returns:
            The cells that hold it, int64 (e,); their shares of it, float32 (e,); the document's number.

        Raises:
            InvalidInputError: The pair's document is not here or lacks its evidence.
        """
        number = next((i for i, one in enumerate(self.documents) if one.id == pair.doc_id), None)
        if number is None:
            msg = f"the corpus has no document {pair.doc_id!r}, which holds the evidence of {pair.question!r}"
            raise InvalidInputError(msg)
        starts, length = self.starts[number], len(self.documents[number].text)
        shares: dict[int, float] = {}
        for start, end in pair.evidence:
            if not 0 <= start < end <= length:
                msg = f"evidence [{start}, {end}] is not within the {length} characters of {pair.doc_id!r}"
                raise InvalidInputError(msg)
            first = max(0, bisect_right(starts, start) - 1)
            bounds = np.append(starts[first : bisect_left(starts, end)], end)
            for token, width in enumerate(np.diff(np.maximum(bounds, start)).tolist(), first):
                cell = int(self.document_cells[number]) + token // CELL
                shares[cell] = shares.get(cell, 0.0) + width
        if not shares:
            msg = f"the pair {pair.question!r} names no evidence in {pair.doc_id!r}"
            raise InvalidInputError(msg)
        weights = np.array(list(shares.values()), np.float32)
        return np.array(list(shares), np.int64), weights / weights.sum(), number


def _center(keys: npt.NDArray[np.float16], tokens: npt.NDArray[np.int32], given: Floats | None) -> Floats:
    """Centre keys in place by the means given, or their own, and normalise them; return the means."""
    means = np.zeros((len(keys), keys.shape[-1]), np.float32)
    real = np.arange(CELL) < tokens[:, None]
    for t, tap in enumerate(keys):
        own = tap.sum(axis=(0, 1), dtype=np.float64) / max(tokens.sum(), 1)
        means[t] = own if given is None else given[t]
        for first in range(0, len(tap), _CELLS):
            part = slice(first, first + _CELLS)
            tap[part] = center_and_normalize(tap[part], means[t]) * real[part, :, None]
    return means
