"""The streaming scan: documents in, keys of the taps out, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.taps import Tap
from s3_retriever.host.tokens import Tokens
from s3_retriever.memory import give_back

_READ_AHEAD = 16
"""How many batches' worth of tokens are read ahead, to find chunks of one length for each batch."""


@dataclass(frozen=True)
class ScanConfig:
    """How documents are cut and batched.

    Attributes:
        chunk_tokens: Longest chunk, overlap included; at most the host's window.
        overlap_tokens: Tokens of the preceding chunk that a chunk sees as context.
        batch_tokens: Tokens per forward pass, padding included.

    Raises:
        InvalidInputError: A value is out of range.
    """

    chunk_tokens: int = 512
    overlap_tokens: int = 64
    batch_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.chunk_tokens < 1:
            msg = f"chunk_tokens must be at least 1, not {self.chunk_tokens}"
            raise InvalidInputError(msg)
        if not 0 <= self.overlap_tokens < self.chunk_tokens:
            msg = f"overlap_tokens must be from 0 to chunk_tokens - 1, not {self.overlap_tokens}"
            raise InvalidInputError(msg)
        if self.batch_tokens < self.chunk_tokens:
            msg = f"batch_tokens must be at least chunk_tokens ({self.chunk_tokens}), not {self.batch_tokens}"
            raise InvalidInputError(msg)


@dataclass(frozen=True, eq=False)
class ScannedPiece:
    """Consecutive tokens of one document with their keys.

    A document's pieces follow one another and together hold each of its tokens once.

    Attributes:
        document: The document.
        first: Whether this is its first piece.
        last: Whether this is its last piece.
        ids: int32 (n,), the host's id of each token.
        starts: int32 (n,), first character of each token.
        ends: int32 (n,), one past its last character.
        keys: float32 (n, T, d), pre-rotary keys, in the order of the taps.
    """

    document: Document
    first: bool
    last: bool
    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    keys: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Chunk:
    """What goes through the host at once: new tokens after ``overlap`` tokens of context."""

    document: Document
    first: bool
    last: bool
    tokens: Tokens
    overlap: int


def scan(
    documents: Iterable[Document],
    host: Host,
    taps: Sequence[Tap],
    config: ScanConfig | None = None,
    *,
    progress: bool = False,
) -> Iterator[ScannedPiece]:
    """Stream documents through the host and yield the keys of the taps, in document order.

    Documents are read as they are needed, a few batches ahead. Chunks of neighbouring documents share
    a batch when they are padded to one length, so a document's keys do not depend on its neighbours.

    Args:
        documents: Any iterable, consumed lazily.
        host: The language model.
        taps: Key heads to read.
        config: How to cut and batch.
        progress: Show a bar that counts tokens.

    Returns:
        An iterator over pieces; a document without tokens gives one piece with n = 0.

    Raises:
        InvalidInputError: A tap is not in the host, or a chunk would exceed its window.
    """
    config = config or ScanConfig()
    if config.chunk_tokens > host.max_tokens:
        msg = f"chunk_tokens {config.chunk_tokens} exceeds the host's window of {host.max_tokens} tokens"
        raise InvalidInputError(msg)
    host.keys([], taps)  # refuses a tap that is not there now, not at the first piece
    return _scan(documents, host, taps, config, progress)


def _scan(
    documents: Iterable[Document], host: Host, taps: Sequence[Tap], config: ScanConfig, progress: bool
) -> Iterator[ScannedPiece]:
    chunks = _chunks(documents, host, config)
    with tqdm(desc="scan", unit=" tokens", unit_scale=True, disable=not progress) as bar:
        for window in _windows(chunks, _READ_AHEAD * config.batch_tokens):
            for piece in _scan_window(window, host, taps, config.batch_tokens):
                bar.update(len(piece.starts))
                yield piece
            give_back()  # keys lay between what the host took: holes that would add up from window to window


def _chunks(documents: Iterable[Document], host: Host, config: ScanConfig) -> Iterator[_Chunk]:
    """Cut each document by itself; all chunks but the last are full, overlap included."""
    for document in documents:
        tokens = host.encode(document.text)
        start, end = 0, -1
        while end < len(tokens):
            left = max(0, start - config.overlap_tokens)
            end = min(left + config.chunk_tokens, len(tokens))
            yield _Chunk(document, start == 0, end == len(tokens), tokens[left:end], start - left)
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


def _scan_window(
    window: Sequence[_Chunk], host: Host, taps: Sequence[Tap], batch_tokens: int
) -> Iterator[ScannedPiece]:
    """Scan chunks in batches of one padded length each, and yield their pieces in order."""
    lengths = [host.padded_length(len(chunk.tokens)) for chunk in window]
    places = np.cumsum([0, *(len(chunk.tokens) - chunk.overlap for chunk in window)])
    # One array: many small ones would lie between what the host takes and frees, and leave holes.
    keys = np.empty((places[-1], len(taps), host.head_dim), np.float32)
    by_length = sorted(range(len(window)), key=lengths.__getitem__)
    for length, group in itertools.groupby(by_length, key=lengths.__getitem__):
        rows = max(1, batch_tokens // max(1, length))
        members = list(group)
        for batch in _batches(members, rows):
            read = host.keys([window[i].tokens.ids for i in batch], taps)
            for i, own in zip(batch, read, strict=True):
                keys[places[i] : places[i + 1]] = own[window[i].overlap :]
    for i, chunk in enumerate(window):
        new = slice(chunk.overlap, None)
        yield ScannedPiece(
            document=chunk.document,
            first=chunk.first,
            last=chunk.last,
            ids=chunk.tokens.ids[new],
            starts=chunk.tokens.starts[new],
            ends=chunk.tokens.ends[new],
            keys=keys[places[i] : places[i + 1]].copy(),  # who keeps a piece does not keep the window
        )


def _batches(members: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """Cut into batches of ``most``, and what is left into powers of two.

    torch makes kernels for each number of tokens in a batch and keeps them: few numbers, little memory.
    """
    start = 0
    while start < len(members):
        left = len(members) - start
        rows = most if left >= most else 1 << (left.bit_length() - 1)
        yield members[start : start + rows]
        start += rows
