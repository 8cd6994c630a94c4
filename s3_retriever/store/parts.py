"""An index cut into parts of about the same size, by documents, and opened part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.errors import IndexFormatError
from s3_retriever.index.layout import CELL, Layout
from s3_retriever.index.snapshot import LiveSegment, Snapshot
from s3_retriever.index.storage import read_part
from s3_retriever.store.commit import array_of
from s3_retriever.store.place import Place


@dataclass(frozen=True)
class Piece:
    """Some documents of a segment.

    Attributes:
        entry: What the manifest says of the segment.
        first: Number of the first document.
        last: One past the last.
    """

    entry: Mapping[str, Any]
    first: int
    last: int


def layout_in(content: Mapping[str, Any]) -> Layout:
    """Return the sizes that a manifest's content names.

    Raises:
        IndexFormatError: It names none.
    """
    try:
        return Layout(**{field: tuple(values) for field, values in content["layout"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"the manifest's layout cannot be read ({error}); build the index again"
        raise IndexFormatError(msg) from error


def cut(place: Place, content: Mapping[str, Any], n: int) -> list[list[Piece]]:
    """Cut an index into ``n`` parts that follow each other, fewer where there are fewer documents.

    Args:
        place: The index; only the places of its tokens are read.
        content: Of its manifest.
        n: Parts, at least 1.
    """
    entries = content["segments"]
    costs = [_costs(place, entry) for entry in entries]
    ends = np.cumsum(np.concatenate([np.zeros(0, np.int64), *costs]))
    if not len(ends) or not ends[-1]:
        return [[Piece(entry, 0, len(cost)) for entry, cost in zip(entries, costs, strict=True)]]
    wanted = ends[-1] * np.arange(1, n) / n
    borders = np.unique([0, *(np.searchsorted(ends, wanted) + 1), len(ends)])
    firsts = np.cumsum([0, *map(len, costs)])
    parts = []
    for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        part = []
        for entry, first, last in zip(entries, firsts[:-1].tolist(), firsts[1:].tolist(), strict=True):
            low, high = max(begin, first), min(end, last)
            if low < high and ends[high - 1] > (ends[low - 1] if low else 0):
                part.append(Piece(entry, low - first, high - first))
        if part:
            parts.append(part)
    return parts


def _costs(place: Place, entry: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return about what each document of a segment costs to search, int64 (D,); 0 for a deleted one."""
    pointers = array_of(place, entry["name"], "token_pointers")
    costs = -(-np.diff(pointers) // CELL) + 1
    costs[entry["deleted"]] = 0
    return costs.astype(np.int64)


def open_pieces(
    folder_of: Callable[[Mapping[str, Any]], Path], layout: Layout, pieces: Sequence[Piece]
) -> Snapshot:
    """Map pieces of segments, after checking every file's size and SHA-256.

    Args:
        folder_of: Returns the folder that has the folder of a segment, given its entry.
        layout: Of the index.
        pieces: In the order of their documents.

    Raises:
        IndexFormatError: A file is missing, truncated or altered; names it.
    """
    parts = []
    for piece in pieces:
        try:
            part = read_part(folder_of(piece.entry), layout, piece.entry)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, IndexFormatError):
                raise
            msg = f"the manifest names a segment that cannot be read ({error}); build the index again"
            raise IndexFormatError(msg) from error
        alive = part.alive.copy()
        alive[: piece.first] = alive[piece.last :] = False
        parts.append(part if alive.sum() == len(part) else LiveSegment(part.segment, alive))
    return Snapshot(layout, parts)
