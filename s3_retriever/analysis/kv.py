"""Text cut in rows, and the keys and values of its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.edit import Rows
from s3_retriever.host.model import Host

_ROWS_PER_DOCUMENT = 4
"""Rows that a document gives at first, so that a few long documents do not stand for all."""
_BATCH_TOKENS = 1024


@dataclass(frozen=True, eq=False)
class Vectors:
    """Keys and values of n tokens.

    Attributes:
        keys: By layer, float16 (n, K, d), before rotary embedding and after norms.
        values: By layer, float16 (n, K, d).
    """

    keys: dict[int, npt.NDArray[np.float16]]
    values: dict[int, npt.NDArray[np.float16]]


def collect(host: Host, rows: Rows, layers: Sequence[int], *, show_progress: bool = False) -> Vectors:
    """Read all keys and values of some layers.

    Args:
        host: The host.
        rows: Token ids (rows, n).
        layers: The layers.
        show_progress: Show a progress bar.

    Raises:
        InvalidInputError: A row is longer than the host's window.
        UnsupportedHostError: The host's values cannot be located.
    """
    taps = [tap for layer in layers for tap in host.taps(layer)]
    shape = len(layers), rows.size, len(taps) // len(layers)
    keys = np.empty((*shape, host.head_dim), np.float16)
    values = np.empty((*shape, host.value_dim), np.float16)
    at = 0
    with tqdm(total=rows.size, desc="host", unit="token", disable=not show_progress) as bar:
        for batch in batches(rows):
            for read in host.project(list(batch), taps=taps, values=taps):
                end = at + rows.shape[1]
                for part, to in ((read.keys, keys), (read.values, values)):
                    to[:, at:end] = part.reshape(-1, len(layers), *to.shape[2:]).swapaxes(0, 1)
                at = end
            bar.update(batch.size)
    return Vectors(dict(zip(layers, keys, strict=True)), dict(zip(layers, values, strict=True)))


def batches(rows: Rows) -> Iterator[Rows]:
    """Cut rows in batches of about a thousand tokens."""
    step = max(1, _BATCH_TOKENS // rows.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


@dataclass
class _Part:
    """The rows of one purpose, while they are gathered."""

    wanted: int
    rows: list[npt.NDArray[np.int32]] = field(default_factory=list)
    spare: list[npt.NDArray[np.int32]] = field(default_factory=list)

    @property
    def share(self) -> float:
        return len(self.rows) / self.wanted

    def add(self, rows: Sequence[npt.NDArray[np.int32]]) -> None:
        self.rows += rows[:_ROWS_PER_DOCUMENT]
        self.spare += rows[_ROWS_PER_DOCUMENT : _ROWS_PER_DOCUMENT + self.wanted - len(self.spare)]

    def taken(self) -> Rows:
        return np.stack([*self.rows, *self.spare][: self.wanted])


def split_rows(
    host: Host, texts: Iterable[Document], *, row_tokens: int, n_train: int, n_test: int
) -> tuple[Rows, Rows]:
    """Cut texts in rows of tokens to train on and rows held out; no document gives both.

    Texts are read until there are enough rows, a few of each document. Only if the texts end before that, the
    documents give more.

    Args:
        host: The host.
        texts: Text; the rest of a document after whole rows is not used.
        row_tokens: Tokens per row.
        n_train: Tokens to train on, at least; whole rows are taken.
        n_test: Tokens held out, at least.

    Returns:
        Token ids int32 (rows, row_tokens) to train on, and held out.

    Raises:
        InvalidInputError: The texts are too short.
    """
    train, test = _Part(-(-n_train // row_tokens)), _Part(-(-n_test // row_tokens))
    for document in texts:
        ids = host.encode(document.text).ids
        rows = list(ids[: len(ids) // row_tokens * row_tokens].reshape(-1, row_tokens))
        min(train, test, key=lambda part: part.share).add(rows)
        if train.share >= 1 and test.share >= 1:
            break
    for part, purpose in ((train, "to train on"), (test, "held out")):
        found = len(part.rows) + len(part.spare)
        if found < part.wanted:
            msg = (
                f"the text is too short: it gives {found * row_tokens} tokens {purpose}, in rows of "
                f"{row_tokens}, and {part.wanted * row_tokens} are wanted; give more documents, longer than "
                "a row, or ask for fewer tokens"
            )
            raise InvalidInputError(msg)
    return train.taken(), test.taken()
