"""Lines of LaTeX."""

from __future__ import annotations

import re

from s3_retriever.structure.kinds import CODE, DATA, HEADER, HEADING, JOINED, LIST, TABLE, Bytes, Points
from s3_retriever.structure.lines import FIRST, INDENT, Lines
from s3_retriever.structure.listings import Borders, line_of, lines_with, mark_listing

_LEVELS = {
    "title": 1,
    "part": 1,
    "chapter": 2,
    "section": 3,
    "subsection": 4,
    "subsubsection": 5,
    "paragraph": 6,
}
_HEADING = re.compile(
    r"\\(title|part|chapter|(?:sub){0,2}section|paragraph)\*?[ \t]*(?:\[[^\]\n]{0,200}\])?"
    r"\{(?:[^{}\n]|\{[^{}\n]{0,200}\}|\n(?![ \t]*\n)){1,300}\}[ \t]*(?:\\label\{[^{}\n]*\}[ \t]*)?(?:%.*)?$",
    re.MULTILINE,
)
_BORDER = re.compile(r"\s*\\(begin|end)\{(\w+\*?)\}.*")
_LISTED = {"verbatim", "Verbatim", "lstlisting", "minted", "alltt"}
_SHOWN = {"equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "tikzpicture"}
_TABLES = {"tabular", "tabularx", "tabulary", "longtable", "tabu"}
_ITEM = re.compile(r"\s*\\(?:bib)?item\b.*")
_RULES = (
    r"\\(?:hline|toprule|midrule|bottomrule|cline|cmidrule|endhead|endfirsthead)\b"
    r"(?:\s*(?:\([^)]*\)|\{[^}]*\}))*\s*"
)
_RULE = re.compile(rf"\s*(?:{_RULES})+(?:%.*)?")
_HEADED = re.compile(r"\\(?:midrule|endhead|endfirsthead)\b")
_ROW_END = re.compile(rf".*\\\\(?:\[[^\]]{{0,40}}\])?\s*((?:{_RULES})*)(?:%.*)?")
_DATA = re.compile(
    r"\s*\\(?:begin|end|label|maketitle|tableofcontents|centering|newpage|clearpage|appendix|bibliography"
    r"|bibliographystyle|includegraphics|input|include|[vh]space|noindent|pagestyle|setlength|usepackage)"
    r"\b\*?(?:\[[^\]]*\]|\{[^{}]*\}|\\[a-z]+)*\s*(?:%.*)?"
)


def mark_latex(text: str, points: Points, lines: Lines, kinds: Bytes, levels: Bytes) -> None:
    """Mark headings, items, tables, listings and what stands before a document in LaTeX.

    Arguments are those of :func:`s3_retriever.structure.markup.mark_markup`.
    """
    likely = [(i, line_of(text, lines, i)) for i in lines_with(points, lines, "\\")]
    borders = [(i, found) for i, line in likely if (found := _BORDER.fullmatch(line))]
    ends = Borders((i, found[2]) for i, found in borders if found[1] == "end")
    body = next((i for i, found in borders if found[2] == "document"), 0)
    kinds[: body + 1] = CODE if body else 0
    reached = -1
    for i, line in likely:
        border = _BORDER.fullmatch(line)
        end = ends.after(i, border[2]) if border and border[1] == "begin" else 0
        name = border[2].rstrip("*") if border and end else ""
        if heading := _HEADING.match(text, lines[i, FIRST]):
            wrapped = heading[0].count("\n")
            kinds[i], levels[i] = HEADING, _LEVELS[heading[1]]
            kinds[i + 1 : i + 1 + wrapped] = HEADING | JOINED
        elif i <= max(body, reached):
            continue
        elif name in _LISTED:
            mark_listing(lines, kinds, i, i, end)
            reached = end
        elif name in _SHOWN:
            kinds[i], kinds[i + 1 : end + 1] = CODE, CODE | JOINED
            reached = end
        elif name in _TABLES:
            _mark_table(text, lines, kinds, i, end)
            reached = end
        elif _ITEM.fullmatch(line):
            kinds[i], levels[i] = LIST, min(lines[i, INDENT], 255)
        elif _DATA.fullmatch(line):
            kinds[i] = DATA


def _mark_table(text: str, lines: Lines, kinds: Bytes, opening: int, end: int) -> None:
    """Mark a table: a row ends with two backslashes; a header is what a rule parts from the rows."""
    rows: list[int] = []
    rules: list[tuple[int, str]] = []
    is_open = False
    for i in range(opening + 1, end):
        line = line_of(text, lines, i)
        if not line or (not is_open and _RULE.fullmatch(line)):
            rules.append((i, line))
            continue
        if not is_open:
            rows.append(i)
        ended = _ROW_END.fullmatch(line)
        is_open = ended is None
        if ended:
            rules.append((i, ended[1]))
    below = [i for i, rule in rules if rule.strip() and rows and i >= rows[0]]
    head = next((i for i, rule in rules if _HEADED.search(rule)), below[0] if below else opening)
    is_headed = opening < head < rows[-1] if rows else False
    kinds[opening : end + 1] = TABLE | JOINED
    kinds[opening : head + 1] = (HEADER if is_headed else TABLE) | JOINED
    kinds[opening] ^= JOINED
    kinds[[i for i in rows[1:] if i > head or not is_headed]] = TABLE
