"""Which statements end the functions and classes above them."""

from __future__ import annotations

import re

# Lines that may stand in any column within a function or class: comments, directives, a brace by itself,
# labels. "else:" and the like are no labels.
_APART = re.compile(
    r"#|//|/\*|\*|--|\{\s*(?://.*|/\*.*)?$|(?:public|private|protected|signals|slots)\b[\w\s]*:$"
    r"|(?!(?:else|try|finally|except)\b)\w+:$"
)
_TAB = " " * 4  # as indentation of units counts it


def scope_level(statement: str, level: int) -> int | None:
    """Return the level from which on functions and classes end before a statement; None if none do.

    Comments, directives and labels stand in any column. The code behind them in a unit decides.

    Args:
        statement: The text of a unit of code.
        level: The columns that it is indented by.

    Examples:
        >>> scope_level("return 1", 4), scope_level("{", 0), scope_level("# note", 0)
        (4, None, None)
    """
    for number, line in enumerate(statement.splitlines()):
        code = line.strip()
        if code and not _APART.match(code):
            return len(line[: line.index(code)].replace("\t", _TAB)) if number else level
    return None
