"""The density of one document for a question: where it is high, and what of it S3 and BM25 gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from s3_retriever.checks import check, whole
from s3_retriever.index.layout import CELL
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.density import Float32, Int64
from s3_retriever.search.rank import Densities


@dataclass(frozen=True, eq=False)
class Profile:
    """The density of one document for a question, cell by cell.

    A cell is 32 tokens of the host; a document's last one may have less. Together they are the whole text.
    The highest cells are those that spans are cut around: the score of a span is the density of its peak.

    Attributes:
        doc_id: The document's id.
        starts: int64 (C,), first character of each cell, offset into the document's text.
        ends: int64 (C,), one past its last.
        density: float32 (C,), that of the answer: S3 and BM25 together, or the only side of the mode; higher
            where the best passages of an answer within 512 tokens name the section, and for the best rows of
            a table whose header says more than they do.
        s3: float32 (C,), S3's part; None in mode "bm25".
        bm25: float32 (C,), BM25's part; None in mode "s3".
        ranges: Least and greatest value in the whole corpus, by the names of the three.
    """

    doc_id: str
    starts: Int64
    ends: Int64
    density: Float32
    s3: Float32 | None
    bm25: Float32 | None
    ranges: dict[str, tuple[float, float]]

    def __len__(self) -> int:
        return len(self.density)

    def _repr_html_(self) -> str:
        from s3_retriever.notebook import profile_html

        return profile_html(self)

    def peaks(self, most: int = 8, apart: int = 3) -> list[int]:
        """Return the cells that are higher than those around them, highest first.

        Args:
            most: At most so many.
            apart: Cells on either side that a peak towers over; of equal ones the first counts.

        Raises:
            InvalidInputError: ``most`` is not positive, or ``apart`` negative.
        """
        check("most", most, whole(1))
        check("apart", apart, whole(0))
        padded = np.pad(self.density, apart, constant_values=-np.inf)
        highest = sliding_window_view(padded, 2 * apart + 1).max(axis=1) if len(self) else self.density
        tops = np.flatnonzero(self.density == highest)
        tops = tops[np.diff(tops, prepend=-apart - 1) > apart]
        ordered = tops[np.argsort(-self.density[tops], kind="stable")]
        found: list[int] = ordered[:most].tolist()
        return found

    def binned(self, most: int) -> Profile:
        """Return the profile in at most so many cells, each as high as the highest of those that it unites.

        Raises:
            InvalidInputError: ``most`` is not positive.
        """
        check("most", most, whole(1))
        if len(self) <= most:
            return self
        firsts = np.arange(most) * len(self) // most
        lasts = np.append(firsts[1:], len(self)) - 1
        borders = zip(firsts.tolist(), lasts.tolist(), strict=True)
        best = [first + int(np.argmax(self.density[first : last + 1])) for first, last in borders]
        return Profile(
            self.doc_id,
            self.starts[firsts],
            self.ends[lasts],
            self.density[best],
            None if self.s3 is None else self.s3[best],
            None if self.bm25 is None else self.bm25[best],
            self.ranges,
        )


def ranges_of(densities: Densities, density: Float32) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest of some densities, by their names; nothing where there is no cell."""
    return {
        name: (float(side.min()), float(side.max()))
        for name, side in _named(densities, density).items()
        if side is not None and len(side)
    }


def profile_of(
    snapshot: Snapshot,
    document: int,
    densities: Densities,
    density: Float32,
    ranges: dict[str, tuple[float, float]] | None = None,
) -> Profile:
    """Return the part of some densities over a snapshot's cells that is about one document.

    Args:
        snapshot: What was searched.
        document: Number of the document.
        densities: Of either side.
        density: Both together, float32 (n_cells,).
        ranges: Of the corpus that the snapshot is a part of; None: it is all of it.
    """
    first, last = snapshot.document_cells[document : document + 2].tolist()
    text = snapshot.checked_document(document).text
    starts = snapshot.token_starts(document)[::CELL].astype(np.int64)
    starts[:1] = 0  # what precedes the first token belongs to it
    parts = {
        name: None if side is None else side[first:last].copy()
        for name, side in _named(densities, density).items()
    }
    return Profile(
        snapshot.doc_id(document),
        starts,
        np.append(starts[1:], len(text))[: len(starts)],
        density[first:last].copy(),
        parts["s3"],
        parts["bm25"],
        ranges_of(densities, density) if ranges is None else ranges,
    )


def _named(densities: Densities, density: Float32) -> dict[str, Float32 | None]:
    return {"density": density, "s3": densities.s3, "bm25": densities.bm25}
