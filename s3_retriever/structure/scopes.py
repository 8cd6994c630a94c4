"""Which statements end the functions and classes above them."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"#|//|/\*|\*|--")
# A brace on a line of its own opens what the line before named; access labels stand in the middle of a class.
_INSIDE = re.compile(r"\{\s*\Z|(?:public|private|protected|signals|slots)\b[\w\s]*:\s*\Z")


def scope_level(statement: str, level: int) -> int | None:
    """Return the level from which on functions and classes end before a statement; None if none do.

    Comments and directives of preprocessors stand in any column. The code behind them in a unit decides.

    Args:
        statement: The text of a unit of code.
        level: The columns that it is indented by.

    Examples:
        >>> scope_level("return 1", 4), scope_level("{", 0), scope_level("# note", 0)
        (4, None, None)
    """
    if _INSIDE.match(statement):
        return None
    if not _COMMENT.match(statement):
        return level
    for line in statement.splitlines():
        code = line.lstrip()
        if code and not _COMMENT.match(code):
            return len(line) - len(code)
    return None
