"""Pieces of a corpus that stand for all of it where one question is concerned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from s3_retriever.features.bank import Bank, Example


def draw_segments(
    bank: Bank, example: Example, size: int, n: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the pieces of text a question is compared with; int64 (S, size), -1 where too short.

    The evidence's document is cut at random; its pieces with evidence come first, then one without, then
    pieces of any document until there are ``n``.
    """
    begin, end = bank.document_cells[example.document : example.document + 2]
    offset = int(rng.integers(size))
    cuts = np.arange(begin - offset, end, size)
    has_evidence = np.isin(np.arange(len(cuts)), (example.cells - begin + offset) // size)
    chosen = [(max(begin, cut), min(end, cut + size)) for cut in cuts[has_evidence]]
    rest = cuts[~has_evidence]
    if len(rest):
        cut = rng.choice(rest)
        chosen.append((max(begin, cut), min(end, cut + size)))
    lengths = np.diff(bank.document_cells)
    others = lengths / lengths.sum()
    is_alone = np.count_nonzero(lengths) == 1  # then it is compared with itself
    while len(chosen) < n:
        document = rng.choice(len(lengths), p=others)
        if document == example.document and not is_alone:
            continue
        low, high = bank.document_cells[document : document + 2]
        first = low + rng.integers(max(1, high - low - size + 1))
        chosen.append((first, min(first + size, high)))
    cells = np.full((len(chosen), size), -1, np.int64)
    for row, (first, last) in zip(cells, chosen, strict=True):
        row[: last - first] = np.arange(first, last)
    return cells
