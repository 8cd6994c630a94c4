"""What a heading says, without the marks that make it one."""

from __future__ import annotations

import re
from html import unescape

_TAG = re.compile(r"<[^<>]*>")
_TAGGED = re.compile(r"<[^\W\d].*</[^<>]*>\s*$", re.DOTALL)
_MARKS = re.compile(r"(?:#+|=+|\*+|#\+title:|=head\d)\s+", re.IGNORECASE)
_LATEX = re.compile(r"\\[a-z]+\*?\s*(?:\[[^\]]*\])?\{(.*?)\}\s*(?:\\label\{[^{}]*\}\s*)?(?:%.*)?")
_ROFF = re.compile(r"\.S[HS]\s+\"?(.*?)\"?", re.IGNORECASE)


def title_of(heading: str) -> str:
    r"""Return a heading on one line, without its marks: of Markdown and other markups, tags, and underlines.

    Args:
        heading: The text of a unit.

    Examples:
        >>> title_of("## Fares ##"), title_of("Fares\n====="), title_of("\\section*{Fares}")
        ('Fares', 'Fares', 'Fares')
    """
    if _TAGGED.match(heading) and (said := _TAG.sub("", heading).split()):
        return unescape(" ".join(said))
    lines = map(str.strip, heading.splitlines())
    title = " ".join(line for line in lines if any(map(str.isalnum, line)))
    if command := _LATEX.fullmatch(title) or _ROFF.fullmatch(title):
        return command[1]
    if marks := _MARKS.match(title):
        title = title[marks.end() :]
        opened = title.rstrip("#=")
        title = opened.rstrip() if opened[-1:].isspace() else title
    return title
