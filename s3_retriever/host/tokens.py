"""Text to token ids with exact character offsets."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check, instance
from s3_retriever.errors import UnsupportedHostError

PIECE_CHARS = 50_000
"""A long text is tokenised in pieces of about this many characters: memory stays bounded, and other threads
get their turn in between, since ``tokenizers`` 0.23.3 holds Python's lock while it encodes a text."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of one text: token ``i`` stands for ``text[starts[i]:ends[i]]``.

    Tokens that share one character (the bytes of an emoji) share its offsets.

    Attributes:
        ids: int32 (n,).
        starts: int32 (n,), first character of each token, never descending.
        ends: int32 (n,), one past its last character.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Tokens:
        return Tokens(self.ids[part], self.starts[part], self.ends[part])


class OffsetTokenizer:
    """A private copy of a fast tokenizer's backend, set to neither pad, truncate nor see special tokens.

    The copy never changes after construction, so threads need no lock around it ("Already borrowed"
    comes from changing a tokenizer while it is in use), and the caller's tokenizer stays as it is.
    Text such as ``<|im_end|>`` inside a document is plain text.

    Args:
        tokenizer: A fast ``transformers`` tokenizer.

    Raises:
        UnsupportedHostError: The tokenizer is a slow one, which has no character offsets.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            msg = (
                f"{type(tokenizer).__name__} is not a fast tokenizer, so it gives no character offsets; "
                "load one with AutoTokenizer.from_pretrained(..., use_fast=True)"
            )
            raise UnsupportedHostError(msg)
        self._take(copy.deepcopy(tokenizer.backend_tokenizer))

    @classmethod
    def of(cls, backend: Any) -> OffsetTokenizer:
        """Take a backend that nobody else uses."""
        made = cls.__new__(cls)
        made._take(backend)
        return made

    def _take(self, backend: Any) -> None:
        self._backend = backend
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True

    def encode(self, text: str) -> Tokens:
        """Tokenise a text; offsets count its characters exactly as given, lone surrogates included."""
        check("a text", text, instance(str, "a str"))
        clean = without_surrogates(text)
        ids, offsets = [], []
        for start, end in _pieces(clean):
            encoding = self._encoded(clean, start, end)
            ids.append(np.array(encoding.ids, np.int32))
            offsets.append(np.array(encoding.offsets, np.int32).reshape(-1, 2) + np.int32(start))
        if not ids:
            empty = np.zeros(0, np.int32)
            return Tokens(empty, empty, empty)
        starts, ends = np.ascontiguousarray(np.concatenate(offsets).T)
        return Tokens(np.concatenate(ids), starts, ends)

    def count(self, text: str) -> int:
        """Return how many tokens :meth:`encode` gives, without what it says of each."""
        check("a text", text, instance(str, "a str"))
        clean = without_surrogates(text)
        return sum(len(self._encoded(clean, *piece)) for piece in _pieces(clean))

    def _encoded(self, clean: str, start: int, end: int) -> Any:
        return self._backend.encode(clean[start:end], add_special_tokens=False)


def without_surrogates(text: str) -> str:
    """Return a text that a tokenizer takes, UTF-8 only; U+FFFD is one character too: offsets stay right."""
    return _SURROGATE.sub("\ufffd", text)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield ``(start, end)`` of pieces of at most PIECE_CHARS characters that together cover the text.

    A piece ends before the last space that follows a word: byte-level tokenizers begin a token there
    anyway, so the pieces have the tokens of the whole. Text without spaces is cut where the piece is full.
    """
    start = 0
    while len(text) - start > PIECE_CHARS:
        end = start + PIECE_CHARS
        # Look back over a tenth of the piece only: text without spaces must not cost a search each.
        for cut in range(end, end - PIECE_CHARS // 10, -1):
            if text[cut] == " " and not text[cut - 1].isspace():
                end = cut
                break
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)
