"""How far a scan is, for people: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

_SECONDS = 10.0
"""Between two lines, where standard error is no terminal."""


class ScanProgress:
    """Counts documents and tokens, and shows the counts on standard error; use it in a ``with`` block.

    Args:
        n_documents: How many there will be, or 0 if that is not known.
        shown: Whether to show anything.
    """

    def __init__(self, n_documents: int, *, shown: bool) -> None:
        self._total = n_documents
        self._documents = 0.0
        self._tokens = 0
        self._lines = shown and not sys.stderr.isatty()
        self._start = self._said = time.monotonic()
        share = "{percentage:3.0f}% |{bar}| {desc} [{elapsed}<{remaining}]"
        self._bar = tqdm(
            total=n_documents or None,
            bar_format="scan: " + (share if n_documents else "{desc} [{elapsed}]"),
            miniters=0,
            disable=self._lines or not shown,
        )

    def __enter__(self) -> ScanProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def add(self, documents: float, tokens: int) -> None:
        """Count what was scanned, a part of a document as a fraction; call it once a second at least."""
        self._documents += documents
        self._tokens += tokens
        now = time.monotonic()
        if self._lines and now - self._said >= _SECONDS:
            self._said = now
            sys.stderr.write(f"scan: {self._counts(now)}\n")
            sys.stderr.flush()
        elif not self._bar.disable:
            self._bar.n = self._documents
            self._bar.set_description_str(self._counts(now), refresh=False)
            self._bar.update(0)

    def _counts(self, now: float) -> str:
        of = f" of {self._total:,}" if self._total else ""
        rate = self._tokens / max(now - self._start, 1e-9)
        return f"{self._documents:,.0f}{of} documents, {self._tokens:,} tokens, {rate:,.0f} tokens/s"
