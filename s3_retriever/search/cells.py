"""Cells: 32 consecutive tokens of one document, the unit on which all scores live."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s3_retriever.index.layout import CELL
from s3_retriever.search.text import words

__all__ = ["CELL", "cell_terms"]


def cell_terms(text: str, token_starts: NDArray[np.uint32], cell: int = CELL) -> list[list[str]]:
    """Give every word of a document to the cell that holds its first character.

    Args:
        text: The document.
        token_starts: (n,) character offset of each token, ascending.
        cell: Tokens per cell.

    Returns:
        ceil(n / cell) lists of terms; a cell without a word's start is empty.
    """
    cells: list[list[str]] = [[] for _ in range(-(-len(token_starts) // cell))]
    found = words(text) if cells else []
    # Only the starts of cells matter: a word before the first of them still belongs to it.
    places = np.searchsorted(token_starts[::cell], [start for _, start in found], side="right") - 1
    for (term, _), place in zip(found, np.maximum(places, 0).tolist(), strict=True):
        cells[place].append(term)
    return cells
