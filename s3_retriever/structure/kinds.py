"""Kinds of lines and of units, and the arrays that kernels of this room take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLANK, PROSE, HEADING, LIST, TABLE, HEADER, CODE, OPENER, DATA, FURNITURE = range(10)
"""Kinds of lines, and of units, which are never blank."""

JOINED = 64
"""Added to the kind of a line that goes on with the unit before."""

BEGINS = 128
"""Added to the kind of a unit with which a block begins: a paragraph, an item, a table, a statement."""

WEAK = 7
"""Level of a heading that only its shortness tells."""

Points = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Starts = npt.NDArray[np.uint32]
"""A text's characters as numbers, the bits of each; kinds and levels; ascending hashes; where units begin."""
