"""Which statements end the functions and classes above them; which keys stand above an entry of settings."""

from __future__ import annotations

import re

# Lines that may stand in any column within a function or class: comments, directives, a brace by itself,
# labels. "else:" and the like are no labels.
_APART = re.compile(
    r"#|//|/\*|\*|--|\{\s*(?://.*|/\*.*)?$|(?:public|private|protected|signals|slots)\b[\w\s]*:$"
    r"|(?!(?:else|try|finally|except)\b)\w+:$"
)
_TAB = " " * 4  # as indentation of units counts it

_ENTRY = re.compile(r"- |(?:- )?[\w./$'\"-]+(?::(?:\s|$)| *=)")
_OPENS = re.compile(r"- [\w./$'\"-]+:(?:\s|$)|(?:- )?[\w./$'\"{}-]+:(?: *#.*)?$")
_SECTION = re.compile(r"\[\[?[^\W\d][^][]*\]\]?$")
_COMMENT = re.compile(r"[#;]|$")
_LOOKED_AT = 500  # lines above an entry
_WIDEST = 200  # columns before one


def settings_above(text: str, at: int) -> list[str]:
    r"""Return the keys that an entry of settings stands below, the outermost first, with their indentation.

    Keys of YAML, by their columns, the first entries of items among them, and sections of INI and TOML.

    Args:
        text: The document.
        at: Where the entry begins, or comments above it. Nothing else has keys above it.

    Examples:
        >>> text = "server:\n  port: 5\n  host: a\n[client]\nwait = 7"
        >>> settings_above(text, text.index("host")), settings_above(text, text.index("wait"))
        (['server:'], ['[client]'])
    """
    while text.startswith("#", at):  # comments above the entry, which are in its unit
        end = text.find("\n", at) + 1
        at = (
            end + len(text[end : end + _WIDEST]) - len(text[end : end + _WIDEST].lstrip(" \t"))
            if end
            else len(text)
        )
    begin = text.rfind("\n", 0, at) + 1
    level = at - begin
    found: list[str] = []
    if text[begin:at].strip() or not _ENTRY.match(text, at):
        return found
    for _ in range(_LOOKED_AT):
        if not begin:
            break
        end = begin - 1
        begin = text.rfind("\n", 0, end) + 1
        line = text[begin:end].rstrip()
        said = line.lstrip()
        indent = len(line) - len(said)
        if _SECTION.match(said):
            return [line, *found]
        if _COMMENT.match(said) or indent > level:
            continue
        if indent < level and _OPENS.match(said):
            found.insert(0, line)
            level = indent
        elif indent < level or not _ENTRY.match(said):
            break
    return found


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
