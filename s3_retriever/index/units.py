"""The units of a segment's texts: sentences, rows, statements and the like, found when they were indexed."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import IndexFormatError
from s3_retriever.index import postings
from s3_retriever.index.documents import INDEX_AGAIN, ascends, file_of
from s3_retriever.index.spool import Spool
from s3_retriever.structure import Kind, Units
from s3_retriever.structure.kinds import BEGINS

Array = npt.NDArray[Any]

ARRAYS = ("unit_pointers", "unit_gaps", "unit_kinds", "unit_levels")
"""The arrays that hold the units of a segment; see :class:`UnitColumns`."""

_GAP_BYTES = 4
_KINDS = np.array([*Kind], np.uint8)


class UnitColumns:
    """The units of the D documents of a segment; nothing in it ever changes.

    Attributes:
        arrays: By their names in :data:`ARRAYS`, maybe memory-mapped:

            - ``unit_pointers``: int64 (D + 1,), where each document's units begin and end in the others.
            - ``unit_gaps``: unsigned, characters from the start of the unit before, or of the document.
            - ``unit_kinds``: uint8, a :class:`Kind` each, with 128 added where a block begins.
            - ``unit_levels``: uint8, see :class:`Units`.

    Raises:
        IndexFormatError: The arrays contradict each other.
    """

    def __init__(self, n_documents: int, arrays: Mapping[str, Array]) -> None:
        self._source = file_of(arrays["unit_gaps"])
        self.arrays = {name: postings.read_only(values) for name, values in arrays.items()}
        pointers, gaps, kinds, levels = (self.arrays[name] for name in ARRAYS)
        sound = (
            all(values.ndim == 1 for values in self.arrays.values())
            and pointers.dtype == np.int64
            and len(pointers) == n_documents + 1
            and gaps.dtype.kind == "u"
            and gaps.itemsize <= _GAP_BYTES
            and kinds.dtype == levels.dtype == np.uint8
            and len(gaps) == len(kinds) == len(levels)
            and ascends(pointers, len(gaps))
            and bool(np.isin(np.unique(kinds & ~np.uint8(BEGINS)), _KINDS).all())
        )
        if not sound:
            self.contradict("units")

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(values.nbytes) for values in self.arrays.values())

    @cached_property
    def are_code(self) -> npt.NDArray[np.bool_]:
        """Whether each document is source code: bool (D,).

        At least half of its units are statements, one of which opens a function or a class. Markup, logs and
        commands, whose lines are taken for statements as well, have no such one.
        """
        pointers, kinds = self.arrays["unit_pointers"], self.arrays["unit_kinds"] & ~np.uint8(BEGINS)

        def of_kind(kind: Kind) -> Array:
            before = np.zeros(len(kinds) + 1, np.uint32)
            np.cumsum(kinds == kind, out=before[1:])
            return np.diff(before[pointers])

        openers = of_kind(Kind.OPENER)
        code: npt.NDArray[np.bool_] = 2 * (openers + of_kind(Kind.CODE)) >= np.diff(pointers)
        return code & (openers > 0)

    def of(self, document: int) -> Units:
        """Return the units of one document."""
        gaps, kinds, levels = self.own(document)
        starts = np.cumsum(gaps, dtype=np.uint32)
        return Units(starts, kinds & ~np.uint8(BEGINS), levels, (kinds & BEGINS).astype(np.bool_))

    def own(self, document: int) -> tuple[Array, Array, Array]:
        """Return the gaps, kinds and levels of one document."""
        first, last = self.arrays["unit_pointers"][document : document + 2].tolist()
        gaps, kinds, levels = (self.arrays[name][first:last] for name in ARRAYS[1:])
        return gaps, kinds, levels

    def check(self, document: int, text: str) -> None:
        """Refuse a document whose units do not lie in its text.

        Raises:
            IndexFormatError: They do not.
        """
        gaps = self.own(document)[0]
        if bool(text) != bool(len(gaps)) or (text and int(gaps.sum(dtype=np.uint64)) >= len(text)):
            self.contradict(f"units of document number {document}")

    def contradict(self, what: str) -> NoReturn:
        """Say that arrays are damaged.

        Raises:
            IndexFormatError: Always.
        """
        msg = f"the {what} in {self._source} contradict the rest of their segment; {INDEX_AGAIN}"
        raise IndexFormatError(msg)


class UnitBuilder:
    """Builds the units of a segment, document by document."""

    def __init__(self) -> None:
        self._pointers = array("q", [0])
        self._outs = Spool(np.uint32), Spool(np.uint8), Spool(np.uint8)

    def add(self, units: Units) -> None:
        """Append those of a document."""
        kinds = units.kinds | np.where(units.begins, BEGINS, 0).astype(np.uint8)
        self._append(np.diff(units.starts, prepend=np.uint32(0)), kinds, units.levels)

    def extend(self, columns: UnitColumns, alive: npt.NDArray[np.bool_]) -> None:
        """Append those of the documents of a segment for which ``alive`` (bool (D,)) is true."""
        for document in np.flatnonzero(alive).tolist():
            self._append(*columns.own(document))

    def _append(self, *columns: Array) -> None:
        for out, values in zip(self._outs, columns, strict=True):
            out.append(values)
        self._pointers.append(len(self._outs[0]))

    def build(self) -> UnitColumns:
        """Return the units; nothing more can be appended."""
        gaps, kinds, levels = (out.take() for out in self._outs)
        values = np.array(self._pointers, np.int64), postings.smallest(gaps), kinds, levels
        return UnitColumns(len(self._pointers) - 1, dict(zip(ARRAYS, values, strict=True)))
