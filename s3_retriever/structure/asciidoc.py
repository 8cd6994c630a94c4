"""Lines of AsciiDoc."""

from __future__ import annotations

import re

from s3_retriever.structure.kinds import DATA, FURNITURE, HEADER, HEADING, JOINED, LIST, TABLE, Bytes, Points
from s3_retriever.structure.lines import FIRST, LAST, PIPES, WORDS, Lines
from s3_retriever.structure.listings import Borders, line_of, lines_with, mark_listing

_HEADING = re.compile(r"(={1,6}) +[^\s=].*")
_ITEM = re.compile(r"(\*{1,5}|\.{1,5}) +\S.*")
_LISTED = re.compile(r"-{4,}|\.{4,}|\+{4,}|`{3,}.*")
_BLOCK = re.compile(r"={4,}|\*{4,}|_{4,}|/{4,}|--")
_TABLE = re.compile(r"\|={3,}")
_NAME = re.compile(r"\.[^\s.].*")  # of a block, in the line above it
_ATTRIBUTES = re.compile(r"\[[^\s\]].*\]|:!?[\w-]+!?:(?: .*)?")
_COLUMNS = re.compile(r"\bcols=(?:\"([^\"]*)\"|([^,\]]*))")
_HEADED = re.compile(r"%header|%autowidth\.header|options=\"?[^\"\]]{0,80}\bheader")
_CELLS = re.compile(r"(?:(?<!\S)(\d{1,3})(?:\.\d{1,3})?[+*][\w<^>.]{0,8})?(?<!\\)\|")


def mark_asciidoc(text: str, points: Points, lines: Lines, kinds: Bytes, levels: Bytes) -> None:
    """Mark headings, items, listings, tables and attributes of a text in AsciiDoc.

    A heading has the level of its equals signs.

    Arguments are those of :func:`s3_retriever.structure.markup.mark_markup`.
    """
    likely = [(i, line_of(text, lines, i)) for i in lines_with(points, lines, "=|[:*.-+`_/")]
    borders = Borders((i, _end_of(line)) for i, line in likely if len(line) >= 3)
    reached = -1
    for i, line in likely:
        if i <= reached:
            continue
        if _TABLE.fullmatch(line) and (end := borders.after(i, line)):
            _mark_table(text, lines, kinds, _block_start(text, lines, i), i, end)
            reached = end
        elif _LISTED.fullmatch(line) and not _underlines(lines, kinds, i):
            if end := borders.after(i, _end_of(line)):
                mark_listing(lines, kinds, _block_start(text, lines, i), i, end)
                reached = end
        elif _BLOCK.fullmatch(line) and not _underlines(lines, kinds, i):
            kinds[i] = FURNITURE
        elif _ATTRIBUTES.fullmatch(line):
            kinds[i] = DATA
        elif (heading := _HEADING.fullmatch(line)) and (not i or not lines[i - 1, WORDS] or kinds[i - 1]):
            kinds[i], levels[i] = HEADING, len(heading[1])
        elif item := _ITEM.fullmatch(line):
            kinds[i], levels[i] = LIST, 2 * len(item[1]) - 2


def _end_of(line: str) -> str:
    """Return the line that ends what a line opens."""
    return "```" if line.startswith("```") else line


def _block_start(text: str, lines: Lines, i: int) -> int:
    """Return the first of the lines that name a block and give its attributes, which end above a line."""
    while i and lines[i - 1, WORDS]:
        line = line_of(text, lines, i - 1)
        if not (_NAME.fullmatch(line) or (line[0] == "[" and _ATTRIBUTES.fullmatch(line))):
            break
        i -= 1
    return i


def _underlines(lines: Lines, kinds: Bytes, i: int) -> bool:
    """Tell whether a line is as long as a line of text above it, give or take a character."""
    if not i or kinds[i - 1] or not lines[i - 1, WORDS]:
        return False
    return bool(abs((lines[i, LAST] - lines[i, FIRST]) - (lines[i - 1, LAST] - lines[i - 1, FIRST])) <= 1)


def _mark_table(text: str, lines: Lines, kinds: Bytes, first: int, opening: int, end: int) -> None:
    """Mark a table: a row has as many cells as there are columns, on a line or more."""
    attributes = " ".join(line_of(text, lines, i) for i in range(first, opening))
    filled = [i for i in range(opening + 1, end) if lines[i, WORDS]]
    if not filled:
        return
    cells = {i: _count_cells(line_of(text, lines, i)) if lines[i, PIPES] else 0 for i in filled}
    columns = _count_columns(attributes) or cells[filled[0]]
    is_headed = _HEADED.search(attributes) is not None or (
        filled[0] == opening + 1 and not lines[opening + 2, WORDS] and cells[filled[0]] == columns
    )
    kinds[first : end + 1] = (HEADER if is_headed else TABLE) | JOINED
    kinds[first] ^= JOINED
    row, found = 0, columns
    for i in filled:
        begins = cells[i] > 0 and (found >= columns or cells[i] == columns)
        row, found = row + begins, cells[i] + (0 if begins else found)
        kind = HEADER if is_headed and row < 2 else TABLE
        kinds[i] = kind if begins and row > 1 else kind | JOINED
    kinds[end] = TABLE | JOINED


def _count_cells(line: str) -> int:
    return sum(int(cell[1] or 1) for cell in _CELLS.finditer(line))


def _count_columns(attributes: str) -> int:
    """Return how many columns the attributes of a table give it; 0 where they do not tell."""
    if not (columns := _COLUMNS.search(attributes)):
        return 0
    parts = re.split("[,;]", columns[1] if columns[1] is not None else columns[2])
    return sum(int(times[1]) if (times := re.match(r"\s*(\d{1,3})\*", part)) else 1 for part in parts)
