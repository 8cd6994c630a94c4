"""Whether a statement of code goes on in the next line."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.compiled import njit
from s3_retriever.structure.characters import DIGIT, LETTER
from s3_retriever.structure.kinds import Flags, Points
from s3_retriever.structure.lines import FIRST, INDENT, LAST
from s3_retriever.structure.scanning import word_end


@njit(cache=True, nogil=True)
def goes_on(points: Points, row: npt.NDArray[np.int64]) -> Any:
    """Tell whether a line of code ends with what something must follow: an operator, a comma, a backslash."""
    first, last = row[FIRST], row[LAST]
    final = points[last - 1]
    before = points[last - 2] if last - 2 >= first else np.uint32(0)
    if final == 92 or final == 44 or final == 61:  # \ , =
        return True
    if (final == 38 or final == 124) and before == final:  # && ||
        return True
    if final == 62:  # =>
        return before == 61
    if last - first < 4 or before != 32:
        return False
    if final == 124:  # a pipe, no row of a table and no text of YAML
        return points[first] != 124 and points[last - 3] != 58
    return final == 43 or final == 63  # + ?


@njit(cache=True, nogil=True)
def continues(
    points: Points, flags: Flags, row: npt.NDArray[np.int64], above: npt.NDArray[np.int64], base: int
) -> Any:
    """Tell whether a line of code goes on with the line ``above``: it begins with an operator or a member.

    ``base`` are the columns that the statement is indented by.
    """
    first, last, final = row[FIRST], row[LAST], points[above[LAST] - 1]
    if row[INDENT] < base or final == 59 or final == 123 or final == 58:  # ; { :
        return False
    mark, second = points[first], points[first + 1]
    spaced = second == 32
    deeper = row[INDENT] > base
    if (mark == 45 and second == 62) or (mark == second and (mark == 38 or mark == 124)):  # -> && ||
        return True
    if mark == 63 and (second == 46 or second == 45):  # ?. ?->
        return True
    if mark == 46:  # a dot
        if not flags[first + 1] & LETTER and second != 95:
            return False
        end = word_end(points, flags, first + 1, last)
        while end < last and flags[end] & DIGIT:
            end += 1
        return deeper or (end < last and (points[end] == 40 or points[end] == 59 or points[end] == 63))
    if mark == 124:  # | |>
        return (spaced or second == 62) and points[last - 1] != 124
    if not deeper:
        return False
    if mark == 63 or (mark == 60 and second == 60) or (mark == 61 and second == 62):  # ? ?? << =>
        return second != 62 or mark == 61
    if mark == 58:  # : ::
        return spaced or second == 58
    return spaced and (mark == 61 or mark == 43 or mark == 44)  # = + ,
