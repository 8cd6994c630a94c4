"""The streaming scan: documents in, keys of the taps out, in bounded memory."""

from __future__ import annotations

import itertools
import operator
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import FLAG, check, check_settings, optional, whole
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.batches import filled, of_one_length
from s3_retriever.host.model import Host
from s3_retriever.host.one_core import single_threaded, usual_threads
from s3_retriever.host.progress import ScanProgress
from s3_retriever.host.taps import Tap
from s3_retriever.host.tokens import Tokens
from s3_retriever.memory import give_back

Keys = npt.NDArray[np.float32]
"""Pre-rotary keys of consecutive tokens, float32 (n, T, d), in the order of the taps."""

K = TypeVar("K")

_WINDOW = 8
"""How many batches' worth of tokens are read at once, to find chunks that share batches."""

_CORE_TOKENS = 512
"""Tokens of a batch on a CPU, at most: one core gains nothing from more, and memory and progress suffer."""


@dataclass(frozen=True)
class ScanConfig:
    """How documents are cut and batched.

    Attributes:
        chunk_tokens: Longest chunk, overlap included; at most the host's window.
        overlap_tokens: Tokens of the preceding chunk that a chunk sees as context.
        batch_tokens: Tokens per forward pass at most, padding included. On a CPU, where larger passes gain
            nothing, a pass has one chunk or 512 tokens, whichever is more.

    Raises:
        InvalidInputError: A value is out of range.
    """

    chunk_tokens: int = 512
    overlap_tokens: int = 64
    batch_tokens: int = 2048

    def __post_init__(self) -> None:
        check_settings(self, chunk_tokens=whole(1))
        check_settings(
            self, overlap_tokens=whole(0, self.chunk_tokens - 1), batch_tokens=whole(self.chunk_tokens)
        )


@dataclass(frozen=True, eq=False)
class ScannedPiece(Generic[K]):
    """Consecutive tokens of one document with their keys.

    A document's pieces follow one another and together hold each of its tokens once.

    Attributes:
        document: The document.
        first: Whether this is its first piece.
        last: Whether this is its last piece.
        ids: int32 (n,), the host's id of each token.
        starts: int32 (n,), first character of each token.
        keys: float32 (n, T, d), pre-rotary keys, in the order of the taps; or what was made of them.
    """

    document: Document
    first: bool
    last: bool
    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    keys: K


@dataclass(frozen=True, eq=False)
class _Chunk:
    """What goes through the host at once: new tokens after ``overlap`` tokens of context.

    Attributes:
        share: Which part of the document's tokens are new here.
    """

    document: Document
    first: bool
    last: bool
    tokens: Tokens
    overlap: int
    share: float


@overload
def scan(
    documents: Iterable[Document],
    host: Host,
    taps: Sequence[Tap],
    config: ScanConfig | None = None,
    *,
    threads: int | None = None,
    n_documents: int | None = None,
    show_progress: bool = False,
) -> Generator[ScannedPiece[Keys], None, None]: ...


@overload
def scan(
    documents: Iterable[Document],
    host: Host,
    taps: Sequence[Tap],
    config: ScanConfig | None = None,
    *,
    encode: Callable[[Keys], K],
    threads: int | None = None,
    n_documents: int | None = None,
    show_progress: bool = False,
) -> Generator[ScannedPiece[K], None, None]: ...


def scan(
    documents: Iterable[Document],
    host: Host,
    taps: Sequence[Tap],
    config: ScanConfig | None = None,
    *,
    encode: Callable[[Keys], Any] | None = None,
    threads: int | None = None,
    n_documents: int | None = None,
    show_progress: bool = False,
) -> Generator[ScannedPiece[Any], None, None]:
    """Stream documents through the host and yield the keys of the taps, in document order.

    Documents are read as they are needed, some batches ahead. Threads pass a batch each, on one core each,
    and encode its keys; whoever iterates has the rest to do meanwhile. Chunks of neighbouring documents share
    a batch, those of one padded length where the host pads. So a document's keys depend neither on its
    neighbours nor on the number of threads.

    Args:
        documents: Any iterable, consumed lazily.
        host: The language model.
        taps: Key heads to read.
        config: How to cut and batch.
        encode: Makes of a piece's keys what the piece holds instead. Several threads call it at once.
        threads: How many batches are under way at once. None: as many as torch would use threads, at most one
            per core that this process may use.
        n_documents: How many documents there are, for the progress; None: what ``len`` says, if anything.
        show_progress: Show on standard error how far the scan is: a bar on a terminal, else a line every ten
            seconds.

    Returns:
        A generator of pieces; a document without tokens gives one piece with n = 0. Its end, an error and
        ``close()`` end the threads too.

    Raises:
        InvalidInputError: A tap is not in the host, or a chunk would exceed its window; ``threads`` is not
            positive; ``show_progress`` is no ``bool``.
    """
    config = config or ScanConfig()
    check("threads", threads, optional(whole(1)))
    check("show_progress", show_progress, FLAG)
    if config.chunk_tokens > host.max_tokens:
        msg = f"chunk_tokens {config.chunk_tokens} exceeds the host's window of {host.max_tokens} tokens"
        raise InvalidInputError(msg)
    host.keys([], taps)  # refuses a tap that is not there now, not at the first piece
    known = operator.length_hint(documents) if n_documents is None else n_documents
    return _scan(
        documents,
        _Reader(host, tuple(taps), config.batch_tokens, encode),
        config,
        threads or usual_threads(),
        lambda: ScanProgress(known, shown=show_progress),
    )


def _scan(
    documents: Iterable[Document],
    reader: _Reader,
    config: ScanConfig,
    threads: int,
    begin: Callable[[], ScanProgress],
) -> Generator[ScannedPiece[Any], None, None]:
    ahead: deque[_Window] = deque()
    with begin() as progress, single_threaded(threads) as pool:
        for chunks in _windows(_chunks(documents, reader.host, config), _WINDOW * config.batch_tokens):
            ahead.append(_Window(chunks, reader.start(chunks, pool)))
            ready = sum(len(window.batches) for window in itertools.islice(ahead, 1, None))
            if ready >= 2 * threads:  # beside those of the window that is waited for
                yield from ahead.popleft().pieces(progress)
                give_back()  # what was kept lay between what the host took: holes that would add up
        while ahead:
            yield from ahead.popleft().pieces(progress)


def _chunks(documents: Iterable[Document], host: Host, config: ScanConfig) -> Iterator[_Chunk]:
    """Cut each document by itself; all chunks but the last are full, overlap included."""
    for document in documents:
        tokens = host.encode(document.text)
        start, end, n = 0, -1, len(tokens)
        while end < n:
            left = max(0, start - config.overlap_tokens)
            end = min(left + config.chunk_tokens, n)
            share = (end - start) / n if n else 1.0
            yield _Chunk(document, start == 0, end == n, tokens[left:end], start - left, share)
            start = end


def _windows(chunks: Iterable[_Chunk], n_tokens: int) -> Iterator[list[_Chunk]]:
    """Group consecutive chunks until they hold ``n_tokens``, an empty chunk counting as one token."""
    window: list[_Chunk] = []
    size = 0
    for chunk in chunks:
        window.append(chunk)
        size += max(1, len(chunk.tokens))
        if size >= n_tokens:
            yield window
            window, size = [], 0
    if window:
        yield window


@dataclass(frozen=True, eq=False)
class _Reader:
    """What is read of a batch."""

    host: Host
    taps: tuple[Tap, ...]
    batch_tokens: int
    encode: Callable[[Keys], Any] | None

    def start(self, chunks: Sequence[_Chunk], pool: Executor) -> dict[Future[list[Any]], list[int]]:
        """Begin to read chunks in batches; return which chunks each batch has."""
        most = min(self.batch_tokens, _CORE_TOKENS) if self.host.on_cpu else self.batch_tokens
        sizes = [len(chunk.tokens) for chunk in chunks]
        if self.host.joins_rows:
            batches = filled(sizes, most)
        else:
            batches = of_one_length([self.host.padded_length(size) for size in sizes], most)
        return {pool.submit(self._read, [chunks[i] for i in batch]): batch for batch in batches}

    def _read(self, chunks: Sequence[_Chunk]) -> list[Any]:
        """Return what is kept of the new tokens of each chunk."""
        read = self.host.keys([chunk.tokens.ids for chunk in chunks], self.taps)
        new = [keys[chunk.overlap :] for chunk, keys in zip(chunks, read, strict=True)]
        return new if self.encode is None else list(map(self.encode, new))


@dataclass(frozen=True, eq=False)
class _Window:
    """Consecutive chunks, and the batches that they are in."""

    chunks: list[_Chunk]
    batches: dict[Future[list[Any]], list[int]]

    def pieces(self, progress: ScanProgress) -> Iterator[ScannedPiece[Any]]:
        """Wait for the batches and yield the pieces in order."""
        kept: list[Any] = [None] * len(self.chunks)
        while self.batches:
            # With a limit: so the display goes on, and on Windows an interrupt is heard.
            done, _ = wait(self.batches, timeout=1, return_when=FIRST_COMPLETED)
            progress.add(0, 0)
            for future in done:
                for i, one in zip(self.batches.pop(future), future.result(), strict=True):
                    kept[i] = one
                    chunk = self.chunks[i]
                    progress.add(chunk.share, len(chunk.tokens) - chunk.overlap)
        for i, chunk in enumerate(self.chunks):
            new = slice(chunk.overlap, None)
            piece = ScannedPiece(
                document=chunk.document,
                first=chunk.first,
                last=chunk.last,
                ids=chunk.tokens.ids[new],
                starts=chunk.tokens.starts[new],
                keys=kept[i],
            )
            kept[i] = None  # it belongs to whoever gets the piece
            yield piece
