"""The units of a text: what a passage should hold whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from s3_retriever.structure import kinds, words
from s3_retriever.structure.blocks import mark_rest
from s3_retriever.structure.characters import TOP, characters
from s3_retriever.structure.code import mark_code
from s3_retriever.structure.cutting import cut_members, cut_units
from s3_retriever.structure.furniture import mark_furniture
from s3_retriever.structure.grids import mark_simple_tables
from s3_retriever.structure.kinds import BEGINS
from s3_retriever.structure.lines import COLUMNS, PAGE, START, count_lines, look_at_lines
from s3_retriever.structure.manuals import mark_manual
from s3_retriever.structure.markup import mark_markup
from s3_retriever.structure.records import mark_records
from s3_retriever.structure.tables import mark_tables
from s3_retriever.structure.tagged import cut_tagged, has_root, may_be_tagged
from s3_retriever.structure.titles import mark_titles

_PIECE = 1 << 22  # characters looked at together: what is found there takes up to ten times their memory
_WORDS = (
    words.OPENING_WORDS,
    words.CLASS_WORDS,
    words.CONTROL_WORDS,
    words.ABBREVIATIONS,
    words.MONTHS,
    words.NUMBERED,
    words.CAPITALISED,
    words.BEFORE_ORDINALS,
)


_NONE = np.zeros(0, np.uint32), np.zeros(0, np.uint8), np.zeros(0, np.uint8)


class Kind(IntEnum):
    """What a unit is."""

    PROSE = kinds.PROSE
    HEADING = kinds.HEADING
    LIST = kinds.LIST
    TABLE = kinds.TABLE
    HEADER = kinds.HEADER
    CODE = kinds.CODE
    OPENER = kinds.OPENER
    DATA = kinds.DATA
    FURNITURE = kinds.FURNITURE


@dataclass(frozen=True)
class Units:
    """The n units of a text, in order; the white space after a unit belongs to it.

    They tile the text: each ends where the next begins, the last one with the text.

    Attributes:
        starts: uint32 (n,), offset of the first character of each. The first is 0.
        kinds: uint8 (n,), a :class:`Kind` each.
        levels: uint8 (n,): of headings their level, from 1; of items and of code the columns that they are
            indented by, and two for each star or dot of an item after the first; of members of JSON their
            depth; of lines of a long record 1, of sentences in them 2; else 0.
        begins: bool (n,), whether a block begins with it: a paragraph, an item, a row, a statement.
    """

    starts: npt.NDArray[np.uint32]
    kinds: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)


def find_units(text: str, pages: Sequence[int] = ()) -> Units:
    r"""Find the units of a text, in time linear in its length.

    Sentences of prose and of list items, headings, rows of tables, statements of code, members of JSON, and
    the furniture of pages. The markup is told from the text alone, of AsciiDoc, org, LaTeX, POD and roff
    too. In XML and HTML what elements say is cut.

    Args:
        text: Any ``str``.
        pages: The offset where each page begins, as :attr:`Document.pages` has them; where there are fewer
            than two, form feeds in the text tell.

    Examples:
        >>> text = "# Ferries\n\nThe ferry leaves at nine. It is red."
        >>> units = find_units(text)
        >>> units.starts.tolist(), [Kind(kind).name for kind in units.kinds]
        ([0, 11, 37], ['HEADING', 'PROSE', 'PROSE'])
    """
    feeds = [match.end() for match in re.finditer("\f", text)]
    tops = np.array(pages[1:] if len(pages) > 1 else feeds, np.int64)
    mark = ">\n" if len(text) > _PIECE and has_root(text) else ""
    found = [_find(piece, offset, tops, mark != "") for offset, piece in _pieces(text, mark or "\n\n")]
    starts, marked, levels = (
        (np.concatenate(column) for column in zip(*found, strict=True)) if found else _NONE
    )
    if text and not len(starts):  # nothing but white space
        starts, marked, levels = (
            np.zeros(1, np.uint32),
            np.full(1, kinds.PROSE | BEGINS, np.uint8),
            np.zeros(1, np.uint8),
        )
    starts[:1] = 0
    return Units(starts, marked & ~np.uint8(BEGINS), levels, (marked & BEGINS).astype(np.bool_))


def _pieces(text: str, mark: str) -> Iterator[tuple[int, str]]:
    """Yield a text in pieces with their offsets, cut behind a mark where there are any, else at lines."""
    begin = 0
    while len(text) - begin > _PIECE:
        end = text.rfind(mark, begin + _PIECE // 2, begin + _PIECE)
        end = (
            end + len(mark)
            if end >= 0
            else text.rfind("\n", begin + _PIECE // 2, begin + _PIECE) + 1 or begin + _PIECE
        )
        yield begin, text[begin:end]
        begin = end
    if begin < len(text):
        yield begin, text[begin:]


def _find(
    text: str, offset: int, tops: npt.NDArray[np.int64], of_tagged: bool
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return where units of a piece begin, their kinds, maybe with ``BEGINS``, and their levels.

    ``tops`` are the offsets where pages begin, after the first one. ``of_tagged`` tells that the
    text is a piece of one that is known to be in XML or HTML.
    """
    points, flags = characters(text)
    if of_tagged or may_be_tagged(text):
        units = cut_tagged(points, flags, _WORDS, offset if of_tagged else -1)
        if units:
            return units[0] + np.uint32(offset), units[1], units[2]
    before, after = np.searchsorted(tops, (offset, offset + len(text)), side="right").tolist()
    own = tops[before:after] - offset
    parted = [at for at in own.tolist() if not at or not text[at - 1 : at + 1].isalnum()]
    flags[parted] |= TOP  # a page that begins within a word begins no line
    lines = np.zeros((count_lines(points, flags), COLUMNS), np.int64)
    look_at_lines(points, flags, lines)
    lines[:, PAGE] = np.diff(np.searchsorted(own, lines[:, START], side="right"), prepend=0)
    room = len(lines) + len(text) // 2 + 1
    starts, found, levels = np.empty(room, np.uint32), np.empty(room, np.uint8), np.empty(room, np.uint8)
    if _is_json(text):
        n = cut_members(points, flags, starts, found, levels)
    else:
        line_kinds, line_levels = np.zeros(len(lines), np.uint8), np.zeros(len(lines), np.uint8)
        mark_furniture(text, lines, line_kinds, before)
        marked_up = mark_markup(text, points, flags, lines, words.CODE_WORDS, line_kinds, line_levels)
        if not marked_up:
            mark_manual(text, points, lines, line_kinds, line_levels)
            mark_records(points, flags, lines, line_kinds)
        signs = mark_code(points, flags, lines, words.CODE_WORDS, line_kinds, marked_up)
        mark_simple_tables(text, points, lines, line_kinds)
        mark_tables(points, flags, lines, line_kinds)
        mark_titles(text, flags, lines, line_kinds, line_levels)
        hashes = words.SECTION_WORDS, words.CAPTION_WORDS
        mark_rest(points, flags, lines, *hashes, signs, line_kinds, line_levels)
        n = cut_units(points, flags, lines, line_kinds, line_levels, _WORDS, starts, found, levels)
    return starts[:n] + np.uint32(offset), found[:n].copy(), levels[:n].copy()


def _is_json(text: str) -> bool:
    """Tell whether a text looks like JSON, or lines of it."""
    head, tail = text[:400].strip("\ufeff \t\r\n"), text[-400:].rstrip()
    if not head or head[0] not in "{[" or tail[-1:] not in "}]":
        return False
    within = head[1:].lstrip()
    return within[:1] == '"' if head[0] == "{" else within[:1] in '{["' and '"' in head
