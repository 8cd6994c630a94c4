"""Texts in AsciiDoc, org and LaTeX: which of them a text is, and the lines that its marks tell."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from s3_retriever.structure.asciidoc import mark_asciidoc
from s3_retriever.structure.code import is_program
from s3_retriever.structure.kinds import Bytes, Flags, Hashes, Points
from s3_retriever.structure.latex import mark_latex
from s3_retriever.structure.lines import END, FIRST, Lines
from s3_retriever.structure.listings import line_of, lines_with
from s3_retriever.structure.manuals import MENU
from s3_retriever.structure.marks import mark_fences
from s3_retriever.structure.org import mark_org

_ASCIIDOC = re.compile(
    r"== +[^\s=](?:.*[^=\s])?|\|={3,}"
    r"|\[(?:source,|cols=|options=|%header|(?:NOTE|TIP|WARNING|IMPORTANT|CAUTION)\]).*"
)
_ASCIIDOC_TITLE, _ATTRIBUTE = re.compile(r"= +[^\s=].*"), re.compile(r":!?[\w-]+!?:(?: .*)?")
_ORG = re.compile(
    r"#\+(?:(?:begin|end)_\w+|\w+:).*|:(?:PROPERTIES|LOGBOOK|END):|\|-+(?:\+-+)+\|?|# -\*- .*\borg\b.*"
    r"|\*+ (?: *(?:TODO|DONE|NEXT|WAITING) .*|.*\s:[\w@#%]+(?::[\w@#%]+)*:)",
    re.IGNORECASE,
)
_STARS = re.compile(r"\*{2,} +[^\s*].*")
_LATEX = re.compile(
    r"\\(?:documentclass|usepackage|maketitle|title|part|chapter|(?:sub){0,2}section|caption|item|bibitem"
    r"|(?:begin|end)\{(?:document|abstract|itemize|enumerate|description|tabular[xy]?|table|figure|verbatim"
    r"|longtable|lstlisting|quote|center|thebibliography|theorem|lemma|proof|definition)\*?\})(?![a-zA-Z]).*"
)
_NUMBER_SIGNS = re.compile(r"#{1,6} +\S.*")
_MARKS = "=|[:#*\\`~"
_LEAST = 2  # signs of a markup that a text has, so that it is in it


def mark_markup(
    text: str, points: Points, flags: Flags, lines: Lines, words: Hashes, kinds: Bytes, levels: Bytes
) -> bool:
    """Mark the lines that the marks of AsciiDoc, org or LaTeX tell, where a text is in one of them.

    A text with two signs of one of them is in it. What other texts have too, such as ``* `` before items, is
    no sign. A program in which such texts stand is in none.

    Args:
        text: What the lines are of.
        points: Its characters.
        flags: Bits of its characters.
        lines: Its lines.
        words: Hashes of the first words of lines of code.
        kinds: Of the lines; those that marks tell are overwritten.
        levels: Of the lines; likewise.

    Returns:
        Whether the text is in one of the three.
    """
    mark = _markup(text, points, flags, lines)
    if mark is None:
        return False
    found, of_found = np.zeros_like(kinds), np.zeros_like(levels)
    mark(text, points, lines, found, of_found)
    if is_program(points, flags, lines, words, found):
        return False
    kinds[found > 0], levels[found > 0] = found[found > 0], of_found[found > 0]
    return True


def _markup(
    text: str, points: Points, flags: Flags, lines: Lines
) -> Callable[[str, Points, Lines, Bytes, Bytes], None] | None:
    """Return what marks the lines of a text in its markup; None if it is in none of the three."""
    likely = lines_with(points, lines, _MARKS)
    if len(likely) < _LEAST:
        return None
    is_blank = lines[:, FIRST] == lines[:, END]
    top = int(np.argmin(is_blank))
    asciidoc = org = latex = hashed = titled = menus = 0
    fenced = np.zeros(len(lines), np.uint8)
    mark_fences(points, flags, lines, fenced, False)
    for i in likely:
        line = line_of(text, lines, i)
        if fenced[i]:
            continue
        if _ASCIIDOC.fullmatch(line):
            asciidoc += line[0] != "=" or i == 0 or is_blank[i - 1] or text[lines[i - 1, FIRST]] == "["
        elif i == top and _ASCIIDOC_TITLE.fullmatch(line):
            asciidoc, titled = 1, i
        elif titled == i - 1 and asciidoc and _ATTRIBUTE.fullmatch(line):
            asciidoc, titled = asciidoc + 1, i
        elif _ORG.fullmatch(line) or (_STARS.fullmatch(line) and _is_headed(text, lines, i)):
            org += 1
        elif _LATEX.fullmatch(line):
            latex += 1
        elif _NUMBER_SIGNS.fullmatch(line):
            hashed += 1
        menus += line == MENU  # of Info, whose entries look like headings of org
    most = max(asciidoc, 0 if menus else org, 0 if hashed else latex)
    if most < _LEAST or most <= hashed:
        return None
    return mark_asciidoc if most == asciidoc else mark_org if most == org else mark_latex


def _is_headed(text: str, lines: Lines, i: int) -> bool:
    """Tell whether a line of stars heads the paragraph below it: the next word had room on it."""
    if i + 1 == len(lines):
        return False
    line, below = (line_of(text, lines, k) for k in (i, i + 1))
    if not below[:1].isalnum() or below[0].islower() or line[-1] in ".,;:":
        return False
    return len(line) + 1 + len(below.split(maxsplit=1)[0]) < len(below)
