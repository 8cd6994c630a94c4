"""Counts the work that a function does with a text, so that a test can double the text and compare."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


class Counted(str):
    """A text that counts the characters which are cut from it or searched."""

    taken: int = 0

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        self.taken += len(part)
        return part

    def rfind(self, part: str, start: Any = 0, end: Any = None) -> int:
        self.taken += len(range(len(self))[start:end])
        return super().rfind(part, start, end)


def work(function: Callable[[str], object], text: str) -> int:
    """Lines run and characters taken by a function of a text, outside of regular expressions."""
    counted = Counted(text)
    return lines_run(lambda: function(counted)) + counted.taken


def lines_run(function: Callable[[], object]) -> int:
    """Lines of Python that a call runs."""
    lines = 0

    def count(*_: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    traced = sys.gettrace()
    sys.settrace(count)
    try:
        function()
    finally:
        sys.settrace(traced)
    return lines
